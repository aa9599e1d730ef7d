package handler

import (
	"context"
	"sync"

	"chronik/broker"
	"chronik/kafka/batch"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// Produce (key 0), versions 3 to 13. Topics by id from 13.

type producing interface {
	Produce(ctx context.Context, r *broker.ProduceRequest) *broker.Produce
	PartitionLeader(tp broker.TopicPartition) (broker.LeaderEpoch, bool)
	Nodes() []broker.Node
}

// produceUnderWay is *broker.Produce.
type produceUnderWay interface {
	Done() <-chan struct{}
	Failed() bool
}

// produceCall is the memory of a Produce, reused.
type produceCall struct {
	*call
	req     msg.ProduceRequest
	resp    msg.ProduceResponse
	to      broker.ProduceRequest
	pending produceUnderWay
}

var produceCalls = sync.Pool{New: func() any { return new(produceCall) }}

func serveProduce(c *call) (wait func() error, release func(), err error) {
	p := produceCalls.Get().(*produceCall)
	p.call = c
	if err := c.decode(&p.req); err != nil {
		return nil, nil, err
	}
	p.to = broker.ProduceRequest{
		Version: c.version, Acks: p.req.Acks, Timeout: milliseconds(p.req.TimeoutMs), ClientID: c.header.ClientId.String,
		TransactionalID: p.req.TransactionalId.String, Partitions: p.to.Partitions[:0],
	}
	for i := range p.req.TopicData {
		t := &p.req.TopicData[i]
		for j := range t.PartitionData {
			p.to.Partitions = append(p.to.Partitions, broker.ProducePartition{
				TopicPartition: broker.TopicPartition{Topic: t.Name, TopicID: t.TopicId, Partition: t.PartitionData[j].Index},
				ByID:           c.version >= 13, Records: t.PartitionData[j].Records,
			})
		}
	}
	p.pending = c.h.produce(c.s.conn.Context(), &p.to)
	if p.req.Acks == 0 {
		return nil, nil, p.silent()
	}
	return p.wait, nil, nil
}

// silent ends a produce without acknowledgement: no response, and the
// connection closed if anything failed (P10).
func (p *produceCall) silent() error {
	p.await() // at once, unless the disk is far behind
	p.count()
	p.observe()
	failed := p.pending.Failed()
	if failed {
		for i := range p.to.Partitions {
			p.code(p.to.Partitions[i].Err)
		}
	}
	p.reuse()
	if failed {
		return errProduceFailed
	}
	return nil
}

// await blocks until every partition has its result, even when the peer has
// gone: the broker refers to this memory, and the request's share of the
// server's memory must not be given back while its batches take as much.
func (p *produceCall) await() { <-p.pending.Done() }

// wait ends a produce that is answered.
func (p *produceCall) wait() error {
	p.await()
	p.count()
	p.fill()
	err := p.reply(&p.resp)
	p.reuse()
	return err
}

// fill answers the partitions grouped as in the request (P14).
func (p *produceCall) fill() {
	p.resp.Default()
	p.resp.Responses = wire.Resize(p.resp.Responses, len(p.req.TopicData))
	var leaders endpoints
	next := 0
	for i := range p.req.TopicData {
		t, out := &p.req.TopicData[i], &p.resp.Responses[i]
		out.Name, out.TopicId = t.Name, t.TopicId
		out.PartitionResponses = wire.Resize(out.PartitionResponses, len(t.PartitionData))
		for j := range out.PartitionResponses {
			p.fillPartition(&out.PartitionResponses[j], &p.to.Partitions[next], &leaders)
			next++
		}
	}
	for _, n := range leaders.used {
		p.resp.NodeEndpoints = append(p.resp.NodeEndpoints,
			msg.ProduceResponseNodeEndpoint{NodeId: n.ID, Host: n.Host, Port: n.Port, Rack: nullable(n.Rack)})
	}
}

func (p *produceCall) fillPartition(out *msg.PartitionProduceResponse, r *broker.ProducePartition, leaders *endpoints) {
	*out = msg.PartitionProduceResponse{
		Index: r.Partition, ErrorCode: p.code(r.Err), ErrorMessage: message(r.Err),
		BaseOffset: r.BaseOffset, LogAppendTimeMs: r.LogAppendTime, LogStartOffset: r.LogStart,
		CurrentLeader: msg.ProduceResponseLeaderIdAndEpoch{LeaderId: -1, LeaderEpoch: -1},
	}
	for _, e := range r.RecordErrors { // P13
		out.RecordErrors = append(out.RecordErrors,
			msg.BatchIndexAndErrorMessage{BatchIndex: int32(e.Index), BatchIndexErrorMessage: nullable(e.Msg)})
	}
	if kerr.Code(out.ErrorCode) == kerr.NotLeaderOrFollower && p.version >= 10 { // P7
		if l, ok := p.h.PartitionLeader(r.TopicPartition); ok {
			out.CurrentLeader = msg.ProduceResponseLeaderIdAndEpoch{LeaderId: l.ID, LeaderEpoch: l.Epoch}
			leaders.add(p.h, l.ID)
		}
	}
}

// count adds what was appended to the metrics.
func (p *produceCall) count() {
	bytes, records := 0, 0
	for i := range p.to.Partitions {
		if r := &p.to.Partitions[i]; r.Err == nil && len(r.Records) >= batch.HeaderSize {
			bytes += len(r.Records)
			records += int(batch.View(r.Records).Count())
		}
	}
	p.h.metrics.Kafka.BytesProduced.Add(float64(bytes))
	p.h.metrics.Kafka.RecordsProduced.Add(float64(records))
}

// reuse gives the memory back; nothing refers to it any more.
func (p *produceCall) reuse() {
	if cap(p.to.Partitions) > partitionsKept || cap(p.req.TopicData) > partitionsKept {
		return
	}
	clear(p.to.Partitions)
	p.call, p.pending = nil, nil
	produceCalls.Put(p)
}
