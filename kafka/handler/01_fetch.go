package handler

import (
	"context"
	"sync"

	"chronik/broker"
	"chronik/broker/fetchsession"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// Fetch (key 1), versions 4 to 18. Sessions from 7, topics by id from 13.

type fetching interface {
	Fetch(ctx context.Context, r *broker.FetchRequest) *broker.FetchResult
}

// consumer is the replica id of one that is no replica.
const consumer = -1

// fetchCall is the memory of a Fetch, reused.
type fetchCall struct {
	*call
	req     msg.FetchRequest
	resp    msg.FetchResponse
	asked   fetchsession.Request
	session fetchsession.Fetch
	to      broker.FetchRequest
	results []fetchsession.Result
	listed  []bool
}

var fetchCalls = sync.Pool{New: func() any { return new(fetchCall) }}

func serveFetch(c *call) (wait func() error, release func(), err error) {
	f := fetchCalls.Get().(*fetchCall)
	f.call = c
	if err := c.decode(&f.req); err != nil {
		return nil, nil, err
	}
	f.resp.Default()
	f.resp.Responses = f.resp.Responses[:0]
	f.readRequest()
	if err := c.h.sessions.Begin(c.start, f.asked, &f.session); err != nil { // F33
		f.resp.ErrorCode = c.code(err)
		err = c.reply(&f.resp)
		f.reuse()
		return nil, nil, err
	}
	f.fillRequest()
	read := c.h.Fetch(c.s.conn.PollContext(), &f.to)
	f.fillResponse()
	err = c.reply(&f.resp)
	f.reuse()
	return nil, read.Release, err
}

// readRequest takes what concerns the session.
func (f *fetchCall) readRequest() {
	a := &f.asked
	a.SessionID, a.Epoch, a.ByID = f.req.SessionId, f.req.SessionEpoch, f.version >= 13
	a.Partitions, a.Forgotten = a.Partitions[:0], a.Forgotten[:0]
	for i := range f.req.Topics {
		t := &f.req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			a.Partitions = append(a.Partitions, fetchsession.Partition{
				Key:                fetchsession.Key{Topic: t.Topic, TopicID: t.TopicId, Partition: p.Partition},
				CurrentLeaderEpoch: p.CurrentLeaderEpoch, FetchOffset: p.FetchOffset,
				LastFetchedEpoch: p.LastFetchedEpoch, MaxBytes: p.PartitionMaxBytes,
			})
		}
	}
	for i := range f.req.ForgottenTopicsData {
		t := &f.req.ForgottenTopicsData[i]
		for _, p := range t.Partitions {
			a.Forgotten = append(a.Forgotten, fetchsession.Key{Topic: t.Topic, TopicID: t.TopicId, Partition: p})
		}
	}
}

// fillRequest asks the broker for the session's partitions.
func (f *fetchCall) fillRequest() {
	replica := f.req.ReplicaId
	if f.version >= 15 {
		replica = f.req.ReplicaState.ReplicaId
	}
	f.to = broker.FetchRequest{
		ReplicaID: replica, MaxWait: milliseconds(f.req.MaxWaitMs), MinBytes: f.req.MinBytes, MaxBytes: f.req.MaxBytes,
		Committed: f.req.IsolationLevel == 1, ClientRack: f.req.RackId, Partitions: f.to.Partitions[:0],
		ReplicaRead: f.version >= 11 && replica == consumer, // F13
	}
	for i := range f.session.Partitions {
		p := &f.session.Partitions[i]
		f.to.Partitions = append(f.to.Partitions, broker.FetchPartition{
			TopicPartition: broker.TopicPartition{Topic: p.Topic, TopicID: p.TopicID, Partition: p.Partition},
			ByID:           f.asked.ByID, CurrentLeaderEpoch: p.CurrentLeaderEpoch, FetchOffset: p.FetchOffset,
			LastFetchedEpoch: p.LastFetchedEpoch, MaxBytes: p.MaxBytes,
		})
	}
}

// fillResponse lists the partitions that the session says, neighbours of one
// topic together.
func (f *fetchCall) fillResponse() {
	n := len(f.to.Partitions)
	f.results, f.listed = wire.Resize(f.results, n), wire.Resize(f.listed, n)
	bytes := 0
	for i := range f.to.Partitions {
		p := &f.to.Partitions[i]
		f.results[i] = fetchsession.Result{
			HighWatermark: p.HighWatermark, LogStart: p.LogStart, HasRecords: p.Size > 0,
			Failed: p.Err != nil, Urgent: p.Diverging != nil || f.preferred(p) >= 0,
		}
		bytes += p.Size
	}
	f.h.metrics.Kafka.BytesFetched.Add(float64(bytes))
	f.resp.SessionId = f.session.Finish(f.h.clock.Now(), f.results, f.listed)
	var leaders endpoints
	for i := range f.to.Partitions {
		if f.listed[i] {
			f.fillPartition(f.add(i), &f.to.Partitions[i], &leaders)
		}
	}
	for _, n := range leaders.used {
		f.resp.NodeEndpoints = append(f.resp.NodeEndpoints,
			msg.FetchResponseNodeEndpoint{NodeId: n.ID, Host: n.Host, Port: n.Port, Rack: nullable(n.Rack)})
	}
}

// add makes room in the response for partition i.
func (f *fetchCall) add(i int) *msg.FetchResponsePartitionData {
	key := &f.session.Partitions[i].Key
	topics := f.resp.Responses
	if n := len(topics); n == 0 || topics[n-1].Topic != key.Topic || topics[n-1].TopicId != key.TopicID {
		topics = wire.Extend(topics)
		topics[n].Topic, topics[n].TopicId, topics[n].Partitions = key.Topic, key.TopicID, topics[n].Partitions[:0]
		f.resp.Responses = topics
	}
	t := &topics[len(topics)-1]
	t.Partitions = wire.Extend(t.Partitions)
	return &t.Partitions[len(t.Partitions)-1]
}

func (f *fetchCall) fillPartition(out *msg.FetchResponsePartitionData, p *broker.FetchPartition, leaders *endpoints) {
	*out = msg.FetchResponsePartitionData{
		PartitionIndex: p.Partition, ErrorCode: f.code(p.Err),
		HighWatermark: p.HighWatermark, LastStableOffset: p.LastStableOffset, LogStartOffset: p.LogStart,
		DivergingEpoch: msg.FetchResponseEpochEndOffset{Epoch: -1, EndOffset: -1},
		CurrentLeader:  msg.FetchResponseLeaderIdAndEpoch{LeaderId: -1, LeaderEpoch: -1},
		SnapshotId:     msg.SnapshotId{Epoch: -1, EndOffset: -1}, PreferredReadReplica: f.preferred(p),
		Records: p.Records,
	}
	if out.Records == nil {
		out.Records = noRecords
	}
	if f.to.Committed { // F9
		out.AbortedTransactions = noTransactions
		for _, a := range p.Aborted {
			out.AbortedTransactions = append(out.AbortedTransactions, msg.AbortedTransaction{ProducerId: a.ProducerID, FirstOffset: a.First})
		}
	}
	if p.Diverging != nil {
		out.DivergingEpoch = msg.FetchResponseEpochEndOffset{Epoch: p.Diverging.Epoch, EndOffset: p.Diverging.EndOffset}
	}
	code := kerr.Code(out.ErrorCode)
	if f.version >= 16 && (code == kerr.NotLeaderOrFollower || code == kerr.FencedLeaderEpoch) { // F11
		if l, ok := f.h.PartitionLeader(p.TopicPartition); ok {
			out.CurrentLeader = msg.FetchResponseLeaderIdAndEpoch{LeaderId: l.ID, LeaderEpoch: l.Epoch}
			leaders.add(f.h, l.ID)
		}
	}
}

// preferred is the replica that the client is sent to (F13), -1 none.
func (f *fetchCall) preferred(p *broker.FetchPartition) int32 {
	if !f.to.ReplicaRead {
		return -1
	}
	return p.PreferredReplica
}

var (
	noRecords      = wire.Records{}
	noTransactions = []msg.AbortedTransaction{}
)

// partitionsKept is the most partitions that the memory of a call is kept for: a
// request that waits must not hold what a larger one needed before.
const partitionsKept = 128

// reuse gives the memory back; what the response refers to is in the output.
func (f *fetchCall) reuse() {
	if cap(f.to.Partitions) > partitionsKept || cap(f.asked.Partitions) > partitionsKept || cap(f.resp.Responses) > partitionsKept {
		return
	}
	clear(f.to.Partitions)
	for i := range f.resp.Responses {
		clear(f.resp.Responses[i].Partitions)
	}
	f.call = nil
	fetchCalls.Put(f)
}
