package handler

import (
	"reflect"
	"testing"

	"chronik/broker/group"
	"chronik/broker/transaction"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

var txnProducer = transaction.Producer{ID: "x", ProducerID: 40, Epoch: 2}

func (r *rig) wantAsked(want any) {
	r.Helper()
	if !reflect.DeepEqual(r.broker.txnAsked, want) {
		r.Errorf("the broker was asked %+v, want %+v", r.broker.txnAsked, want)
	}
}

// T10: all partitions are added or none; one that is unknown keeps the others from being tried.
func TestT10AddPartitionsToTxn(t *testing.T) {
	r := newRig(t, richBroker())
	var resp msg.AddPartitionsToTxnResponse
	q := requests[msg.KeyAddPartitionsToTxn](3).(*msg.AddPartitionsToTxnRequest)
	codes := func() (out []int16) {
		for _, topic := range resp.ResultsByTopicV3AndBelow {
			for _, p := range topic.ResultsByPartition {
				out = append(out, p.PartitionErrorCode)
			}
		}
		return out
	}
	r.ask(q, 3, &resp)
	if got := codes(); !reflect.DeepEqual(got, []int16{0, 0}) {
		t.Errorf("codes %v", got)
	}
	r.wantAsked([]any{txnProducer, []transaction.Partition{{Topic: "t", Index: 0}, {Topic: "t", Index: 1}}})
	for version, want := range map[int16]kerr.Code{3: kerr.ProducerFenced, 1: kerr.InvalidProducerEpoch} {
		r.broker.groupErr = group.ProducerFenced
		r.ask(q, version, &resp)
		if got := codes(); !reflect.DeepEqual(got, []int16{int16(want), int16(want)}) {
			t.Errorf("version %d: codes %v", version, got)
		}
	}
	r.broker.groupErr, r.broker.txnAsked = group.None, nil
	q.V3AndBelowTopics = append(q.V3AndBelowTopics, msg.AddPartitionsToTxnTopic{Name: "gone", Partitions: []int32{0}})
	r.ask(q, 3, &resp)
	if got := codes(); !reflect.DeepEqual(got, []int16{int16(kerr.OperationNotAttempted), int16(kerr.OperationNotAttempted), int16(kerr.UnknownTopicOrPartition)}) {
		t.Errorf("codes %v", got)
	}
	r.wantAsked(nil)
}

// AddOffsetsToTxn adds the partition that has the group's offsets.
func TestAddOffsetsToTxn(t *testing.T) {
	r := newRig(t, richBroker())
	var resp msg.AddOffsetsToTxnResponse
	q := requests[msg.KeyAddOffsetsToTxn](4).(*msg.AddOffsetsToTxnRequest)
	r.ask(q, 4, &resp)
	r.wantCode("added", resp.ErrorCode, kerr.None)
	r.wantAsked([]any{txnProducer, []transaction.Partition{{Topic: "__consumer_offsets", Index: 7}}})
	r.broker.groupErr = group.ConcurrentTransactions
	r.ask(q, 4, &resp)
	r.wantCode("refused", resp.ErrorCode, kerr.ConcurrentTransactions)
	q.GroupId = ""
	r.ask(q, 4, &resp)
	r.wantCode("no group", resp.ErrorCode, kerr.InvalidGroupID)
}

// T30: the end of a transaction, and its errors.
func TestT30EndTxn(t *testing.T) {
	r := newRig(t, richBroker())
	var resp msg.EndTxnResponse
	for _, commit := range []bool{true, false} {
		r.ask(&msg.EndTxnRequest{TransactionalId: "x", ProducerId: 40, ProducerEpoch: 2, Committed: commit}, 4, &resp)
		r.wantCode("ended", resp.ErrorCode, kerr.None)
		r.wantAsked([]any{txnProducer, commit})
	}
	r.broker.groupErr = group.ProducerFenced
	r.ask(requests[msg.KeyEndTxn](1), 1, &resp)
	r.wantCode("version 1", resp.ErrorCode, kerr.InvalidProducerEpoch)
	r.ask(requests[msg.KeyEndTxn](2), 2, &resp)
	r.wantCode("version 2", resp.ErrorCode, kerr.ProducerFenced)
}

// T20 to T23: offsets go to the group, with the producer; what does not exist is told apart.
func TestT20TxnOffsetCommit(t *testing.T) {
	r := newRig(t, richBroker())
	var resp msg.TxnOffsetCommitResponse
	codes := func() (out []int16) {
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				out = append(out, p.ErrorCode)
			}
		}
		return out
	}
	q := requests[msg.KeyTxnOffsetCommit](4).(*msg.TxnOffsetCommitRequest)
	const unknown = int16(kerr.UnknownTopicOrPartition)
	want := group.CommitOffsetsRequest{
		Group: "g", Generation: 3, MemberID: "m-1", InstanceID: "i", Retention: -1, Txn: &group.Txn{ProducerID: 40, Epoch: 2},
		Topics: []group.TopicToCommit{{Name: "t", ID: topicID, Partitions: []group.OffsetToCommit{{Partition: 0, Offset: 5, LeaderEpoch: -1, Metadata: "m"}}}},
	}
	r.ask(q, 4, &resp)
	r.wantAsked([]any{"x", want})
	for _, c := range []struct {
		err     group.Error
		version int16
		want    kerr.Code
	}{
		{group.None, 4, kerr.None},
		{group.TransactionAbortable, 4, kerr.TransactionAbortable},
		{group.TransactionAbortable, 3, kerr.InvalidTxnState},
		{group.CoordinatorLoadInProgress, 2, kerr.CoordinatorLoadInProgress},
		{group.CoordinatorLoadInProgress, 1, kerr.CoordinatorNotAvailable},
		{group.InvalidProducerEpoch, 0, kerr.InvalidProducerEpoch},
	} {
		r.broker.groupErr = c.err
		r.ask(requests[msg.KeyTxnOffsetCommit](c.version), c.version, &resp)
		if got := codes(); !reflect.DeepEqual(got, []int16{unknown, int16(c.want), unknown}) {
			t.Errorf("%v in version %d: codes %v", c.err, c.version, got)
		}
	}
	q.GroupId, r.broker.groupErr = "", group.None
	r.ask(q, 4, &resp)
	if got := codes(); !reflect.DeepEqual(got, []int16{unknown, int16(kerr.InvalidGroupID), unknown}) {
		t.Errorf("no group: codes %v", got)
	}
}

// DescribeTransactions tells each id once.
func TestDescribeTransactions(t *testing.T) {
	r := newRig(t, richBroker())
	var resp msg.DescribeTransactionsResponse
	r.ask(requests[msg.KeyDescribeTransactions](0), 0, &resp)
	want := []msg.DescribeTransactionsResponseTransactionState{
		{TransactionalId: "x", TransactionState: "Ongoing", TransactionTimeoutMs: 60000, TransactionStartTimeMs: 1000, ProducerId: 40, ProducerEpoch: 2,
			Topics: []msg.DescribeTransactionsResponseTopicData{{Topic: "a", Partitions: []int32{1, 2}}, {Topic: "b", Partitions: []int32{0}}}},
		{TransactionalId: "y", ErrorCode: int16(kerr.TransactionalIDNotFound), Topics: []msg.DescribeTransactionsResponseTopicData{}},
	}
	for i := range resp.TransactionStates {
		if len(resp.TransactionStates[i].Topics) == 0 {
			resp.TransactionStates[i].Topics = []msg.DescribeTransactionsResponseTopicData{}
		}
	}
	if !reflect.DeepEqual(resp.TransactionStates, want) {
		t.Errorf("%+v", resp.TransactionStates)
	}
}

// ListTransactions lets through what every filter does.
func TestListTransactions(t *testing.T) {
	r := newRig(t, richBroker())
	now := r.handler.clock.Now().UnixMilli()
	r.broker.transactions[0].StartMs = now - 1000
	for _, c := range []struct {
		q       msg.ListTransactionsRequest
		want    []string
		unknown []string
		err     kerr.Code
	}{
		{q: msg.ListTransactionsRequest{DurationFilter: -1}, want: []string{"x", "xy"}},
		{q: msg.ListTransactionsRequest{DurationFilter: -1, StateFilters: []string{"Ongoing", "Odd"}}, want: []string{"x"}, unknown: []string{"Odd"}},
		{q: msg.ListTransactionsRequest{DurationFilter: -1, StateFilters: []string{"Odd"}}, unknown: []string{"Odd"}},
		{q: msg.ListTransactionsRequest{DurationFilter: -1, ProducerIdFilters: []int64{41, 7}}, want: []string{"xy"}},
		{q: msg.ListTransactionsRequest{DurationFilter: 999}, want: []string{"x"}},
		{q: msg.ListTransactionsRequest{DurationFilter: 1000}},
		{q: msg.ListTransactionsRequest{DurationFilter: -1, TransactionalIdPattern: wire.Str("x.")}, want: []string{"xy"}},
		{q: msg.ListTransactionsRequest{DurationFilter: -1, TransactionalIdPattern: wire.Str("x|y")}, want: []string{"x"}},
		{q: msg.ListTransactionsRequest{DurationFilter: -1, TransactionalIdPattern: wire.Str("(")}, err: kerr.InvalidRegularExpression},
	} {
		var resp msg.ListTransactionsResponse
		r.ask(&c.q, 2, &resp)
		var got []string
		for _, s := range resp.TransactionStates {
			got = append(got, s.TransactionalId)
		}
		if len(resp.UnknownStateFilters) == 0 {
			resp.UnknownStateFilters = nil
		}
		if !reflect.DeepEqual(got, c.want) || !reflect.DeepEqual(resp.UnknownStateFilters, c.unknown) || resp.ErrorCode != int16(c.err) {
			t.Errorf("%+v: %v, unknown %v, code %d", c.q, got, resp.UnknownStateFilters, resp.ErrorCode)
		}
	}
}
