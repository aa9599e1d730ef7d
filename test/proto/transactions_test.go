package proto

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

// transactional is a producer with a transactional id.
type transactional struct {
	*conn
	id    string
	pid   int64
	epoch int16
}

// newTransactional waits for the coordinator of an id of its own, and asks for the producer's id.
func newTransactional(t *testing.T, b *harness.Broker) *transactional {
	t.Helper()
	p := &transactional{conn: dial(t, b), id: fmt.Sprintf("%s-%d", t.Name(), time.Now().UnixNano())}
	harness.Eventually(t, time.Minute, "a producer id", func() error {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.Version, find.CoordinatorType, find.CoordinatorKeys = 4, 1, []string{p.id}
		ask[*kmsg.FindCoordinatorResponse](p.conn, find)
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 4, ptr(p.id), 60_000
		req.ProducerID, req.ProducerEpoch = -1, -1
		r := ask[*kmsg.InitProducerIDResponse](p.conn, req)
		p.pid, p.epoch = r.ProducerID, r.ProducerEpoch
		return kerr.ErrorForCode(r.ErrorCode)
	})
	return p
}

// add puts a partition into the transaction.
func (p *transactional) add(tp topic, part int32) {
	p.t.Helper()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, p.id, p.pid, p.epoch
	rt := kmsg.NewAddPartitionsToTxnRequestTopic()
	rt.Topic, rt.Partitions = tp.name, []int32{part}
	req.Topics = append(req.Topics, rt)
	r := ask[*kmsg.AddPartitionsToTxnResponse](p.conn, req)
	code(p.t, "AddPartitionsToTxn", r.Topics[0].Partitions[0].ErrorCode, nil)
}

// put sends a batch of the transaction.
func (p *transactional) put(version int16, tp topic, part, seq int32) int16 {
	p.t.Helper()
	req := produceRequest(version, -1, tp, part, batch{records: texts("v"), attrs: 0x10, idem: true, pid: p.pid, epoch: p.epoch, seq: seq}.bytes())
	req.TransactionID = ptr(p.id)
	return ask[*kmsg.ProduceResponse](p.conn, req).Topics[0].Partitions[0].ErrorCode
}

// end commits or aborts.
func (p *transactional) end(commit bool) {
	p.t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = 3, p.id, p.pid, p.epoch, commit
	code(p.t, "EndTxn", ask[*kmsg.EndTxnResponse](p.conn, req).ErrorCode, nil)
}

// stable is the last stable offset, as ListOffsets tells it (L1).
func (c *conn) stable(tp topic, p int32) int64 {
	c.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID, req.IsolationLevel = 7, -1, 1
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = tp.name
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = p, -1, -1
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	r := ask[*kmsg.ListOffsetsResponse](c, req).Topics[0].Partitions[0]
	code(c.t, "ListOffsets", r.ErrorCode, nil)
	return r.Offset
}

// describe lists the producers of a partition (D2).
func (c *conn) describe(tp topic, p int32) kmsg.DescribeProducersResponseTopicPartition {
	c.t.Helper()
	req := kmsg.NewPtrDescribeProducersRequest()
	rt := kmsg.NewDescribeProducersRequestTopic()
	rt.Topic, rt.Partitions = tp.name, []int32{p}
	req.Topics = append(req.Topics, rt)
	return ask[*kmsg.DescribeProducersResponse](c, req).Topics[0].Partitions[0]
}

// TestTransactionalProduce holds what a leader takes of a transaction (T40, T41).
func TestTransactionalProduce(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 1)
	p := newTransactional(t, b)
	code(t, "T40 v10, not added", p.put(10, tp, 0, 0), kerr.InvalidTxnState)
	code(t, "T40 v11, not added", p.put(11, tp, 0, 0), kerr.TransactionAbortable)
	p.add(tp, 0)
	code(t, "T41 v12", p.put(12, tp, 0, 0), kerr.UnsupportedVersion)
	code(t, "T40 v11, added", p.put(11, tp, 0, 0), nil)
	code(t, "P24 a gap", p.put(11, tp, 0, 2), kerr.OutOfOrderSequenceNumber)
	equal(t, "end offset", p.conn.end(tp, 0), 1)
	p.end(true)
}

// TestReadCommitted holds what readers of committed records get, in every version: F8, F9, L1, T43, T51, T70, T71, D2.
func TestReadCommitted(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 1)
	p := newTransactional(t, b)
	p.appended(tp, 0, batch{records: texts("plain")}, 0)
	p.add(tp, 0)
	code(t, "produce", p.put(9, tp, 0, 0), nil)
	p.appended(tp, 0, batch{records: texts("plain")}, 2)
	equal(t, "T43 last stable offset", p.stable(tp, 0), 1)
	equal(t, "L1 end offset", p.conn.end(tp, 0), 3)
	d := p.describe(tp, 0)
	code(t, "DescribeProducers", d.ErrorCode, nil)
	equal(t, "D2 producers", len(d.ActiveProducers), 1)
	a := d.ActiveProducers[0]
	equal(t, "D2 id", a.ProducerID, p.pid)
	equal(t, "D2 epoch", a.ProducerEpoch, int32(p.epoch))
	equal(t, "D2 last sequence", a.LastSequence, 0)
	equal(t, "D2, T71 start of the transaction", a.CurrentTxnStartOffset, 1)
	read := func(version int16, isolation int8) kmsg.FetchResponseTopicPartition {
		t.Helper()
		req := fetchRequest(version, tp, part{})
		req.IsolationLevel = isolation
		r := p.fetchOne(req)
		code(t, "Fetch", r.ErrorCode, nil)
		return r
	}
	for version := int16(4); version <= 18; version++ {
		r := read(version, 1)
		equal(t, "T70 batches below an open transaction", len(batches(t, r.RecordBatches)), 1)
		equal(t, "F9 aborted", len(r.AbortedTransactions), 0)
		equal(t, "F8 last stable offset", r.LastStableOffset, 1)
		equal(t, "F1 batches of all", len(batches(t, read(version, 0).RecordBatches)), 3)
	}
	p.end(false)
	harness.Eventually(t, time.Minute, "the marker", func() error {
		if at := p.stable(tp, 0); at != 4 {
			return fmt.Errorf("the last stable offset is %d", at)
		}
		return nil
	})
	for version := int16(4); version <= 18; version++ {
		r := read(version, 1)
		equal(t, "F10 batches, the marker among them", len(batches(t, r.RecordBatches)), 4)
		equal(t, "F9 aborted", len(r.AbortedTransactions), 1)
		equal(t, "F9 producer", r.AbortedTransactions[0].ProducerID, p.pid)
		equal(t, "F9 first offset", r.AbortedTransactions[0].FirstOffset, 1)
		if r := read(version, 0); r.AbortedTransactions != nil {
			t.Errorf("F9 v%d: aborted transactions for those who read all: %v", version, r.AbortedTransactions)
		}
	}
	for _, a := range p.describe(tp, 0).ActiveProducers {
		equal(t, "D2 start of no transaction", a.CurrentTxnStartOffset, -1)
	}
}

// TestWriteTxnMarkers holds T50 and T51.
func TestWriteTxnMarkers(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 1)
	cn := dial(t, b)
	write := func(version int16, part int32, epoch int16, coordinator int32) int16 {
		t.Helper()
		req := kmsg.NewPtrWriteTxnMarkersRequest()
		req.Version = version
		m := kmsg.NewWriteTxnMarkersRequestMarker()
		m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch, m.Committed = 1<<40, epoch, coordinator, true
		rt := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
		rt.Topic, rt.Partitions = tp.name, []int32{part}
		m.Topics = append(m.Topics, rt)
		req.Markers = append(req.Markers, m)
		return ask[*kmsg.WriteTxnMarkersResponse](cn, req).Markers[0].Topics[0].Partitions[0].ErrorCode
	}
	code(t, "T51 of no transaction", write(1, 0, 3, 5), nil)
	code(t, "T50 again", write(1, 0, 3, 5), nil)
	code(t, "T50 an older coordinator", write(1, 0, 3, 4), kerr.TransactionCoordinatorFenced)
	code(t, "T50 an older producer", write(1, 0, 2, 5), kerr.InvalidProducerEpoch)
	code(t, "T50 an unknown partition", write(1, 9, 3, 5), kerr.UnknownTopicOrPartition)
	equal(t, "T51 a marker takes one offset", cn.end(tp, 0), 2)
	equal(t, "T51 nothing is open", cn.stable(tp, 0), 2)
	r := cn.produce(tp, 0, batch{records: texts("v"), idem: true, pid: 1 << 40, epoch: 2})
	code(t, "P22 a producer that a marker has fenced", r.ErrorCode, kerr.InvalidProducerEpoch)
}
