package handler

import (
	"reflect"
	"testing"

	"chronik/broker"
	"chronik/broker/partition"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
)

// F9: aborted transactions are told to those who read committed records, and to nobody else.
func TestF9AbortedTransactions(t *testing.T) {
	for _, isolation := range []int8{0, 1} {
		r := newRig(t, richBroker())
		rich := r.broker.fetch
		r.broker.fetch = func(q *broker.FetchRequest) {
			rich(q)
			if q.Committed {
				q.Partitions[0].Aborted = []partition.Aborted{{ProducerID: 7, First: 2, Last: 8}, {ProducerID: 9, First: 3, Last: 5}}
			}
		}
		q := fetchRequest(12, 0, -1, "t", 0, 1)
		q.IsolationLevel = isolation
		var resp msg.FetchResponse
		r.ask(q, 12, &resp)
		var want []msg.AbortedTransaction
		if isolation == 1 {
			want = []msg.AbortedTransaction{{ProducerId: 7, FirstOffset: 2}, {ProducerId: 9, FirstOffset: 3}}
		}
		p := resp.Responses[0].Partitions[0]
		if !reflect.DeepEqual(p.AbortedTransactions, want) || p.LastStableOffset != 9 {
			t.Errorf("F9 isolation %d: %+v, last stable offset %d", isolation, p.AbortedTransactions, p.LastStableOffset)
		}
	}
}

// T50, T53: each marker is written to its partitions, and answered partition by partition.
func TestT50WriteTxnMarkers(t *testing.T) {
	r := newRig(t, richBroker())
	q := requests[msg.KeyWriteTxnMarkers](2).(*msg.WriteTxnMarkersRequest)
	q.Markers = append(q.Markers, msg.WritableTxnMarker{ProducerId: -1, Topics: q.Markers[0].Topics[:1]},
		msg.WritableTxnMarker{ProducerId: 8, ProducerEpoch: 1, CoordinatorEpoch: 4, TransactionVersion: 2, Topics: q.Markers[0].Topics[1:]})
	r.broker.marker = broker.ErrTransactionCoordinatorFenced
	var resp msg.WriteTxnMarkersResponse
	r.ask(q, 2, &resp)
	code := func(p int32, c kerr.Code) msg.WritableTxnMarkerPartitionResult {
		return msg.WritableTxnMarkerPartitionResult{PartitionIndex: p, ErrorCode: int16(c)}
	}
	type results = []msg.WritableTxnMarkerPartitionResult
	fenced := kerr.TransactionCoordinatorFenced
	want := []msg.WritableTxnMarkerResult{
		{ProducerId: 7, Topics: []msg.WritableTxnMarkerTopicResult{{Name: "t", Partitions: results{code(0, fenced), code(1, fenced)}}, {Name: "u", Partitions: results{code(5, fenced)}}}},
		{ProducerId: -1, Topics: []msg.WritableTxnMarkerTopicResult{{Name: "t", Partitions: results{code(0, kerr.InvalidRequest), code(1, kerr.InvalidRequest)}}}},
		{ProducerId: 8, Topics: []msg.WritableTxnMarkerTopicResult{{Name: "u", Partitions: results{code(5, fenced)}}}},
	}
	if !reflect.DeepEqual(resp.Markers, want) {
		t.Errorf("T50 %+v\nwant %+v", resp.Markers, want)
	}
	tp := func(name string, p int32) broker.TopicPartition {
		return broker.TopicPartition{Topic: name, Partition: p}
	}
	asked := []any{
		broker.TxnMarker{Marker: partition.Marker{ProducerID: 7, Epoch: 2, CoordinatorEpoch: 3, Commit: true}, Partitions: []broker.TopicPartition{tp("t", 0), tp("t", 1), tp("u", 5)}},
		broker.TxnMarker{Marker: partition.Marker{ProducerID: 8, Epoch: 1, CoordinatorEpoch: 4, Bumped: true}, Partitions: []broker.TopicPartition{tp("u", 5)}},
	}
	if !reflect.DeepEqual(r.broker.asked, asked) {
		t.Errorf("T53 the broker was asked %+v\nwant %+v", r.broker.asked, asked)
	}
}

func TestD2DescribeProducers(t *testing.T) {
	r := newRig(t, richBroker())
	var resp msg.DescribeProducersResponse
	r.ask(requests[msg.KeyDescribeProducers](0), 0, &resp)
	want := msg.ProducerState{ProducerId: 7, ProducerEpoch: 2, LastSequence: 4, LastTimestamp: 99, CoordinatorEpoch: -1, CurrentTxnStartOffset: 12}
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || len(p.ActiveProducers) != 1 || p.ActiveProducers[0] != want {
		t.Errorf("D2 %+v", p)
	}
	makeFail(r.broker, r)
	r.ask(requests[msg.KeyDescribeProducers](0), 0, &resp)
	if p := resp.Topics[0].Partitions[0]; kerr.Code(p.ErrorCode) != kerr.NotLeaderOrFollower || len(p.ActiveProducers) != 0 {
		t.Errorf("D2 of another's partition: %+v", p)
	}
}

// T40: what old clients are told of a partition that is not in their transaction.
func TestT40Codes(t *testing.T) {
	r := newRig(t, richBroker())
	for version, want := range map[int16]kerr.Code{3: kerr.InvalidTxnState, 10: kerr.InvalidTxnState, 11: kerr.TransactionAbortable} {
		c := &call{h: r.handler, s: r.session, api: r.handler.lookup(msg.KeyProduce), version: version}
		r.wantCode("T40", c.code(broker.ErrTransactionAbortable), want)
	}
}
