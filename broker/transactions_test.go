package broker

import (
	"context"
	"errors"
	"testing"
	"time"

	"chronik/broker/group/effect"
	"chronik/broker/partition"
	"chronik/broker/transaction"
	"chronik/kafka/batch"
)

// eventually polls until ok, which another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited a minute for: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// transactional is a producer with the transactional id x.
func (r *rig) transactional() transaction.Producer {
	r.t.Helper()
	if _, err := r.FindCoordinator(background, 1, "x"); err != nil {
		r.t.Fatal(err)
	}
	p := transaction.Producer{ID: "x"}
	eventually(r.t, "a producer id", func() (ok bool) {
		var err error
		p.ProducerID, p.Epoch, err = r.InitProducerID(background, transaction.InitProducerIDRequest{ID: "x", Timeout: time.Minute, ProducerID: -1, Epoch: -1}, true)
		return err == nil
	})
	return p
}

// produceIn is the answer to a Produce with one transactional batch.
func (r *rig) produceIn(version int16, p transaction.Producer, topic string, index, seq int32) *ProducePartition {
	r.t.Helper()
	o := batch.Plain(batch.None)
	o.ProducerID, o.ProducerEpoch, o.BaseSequence, o.Transactional = p.ProducerID, p.Epoch, seq, true
	got := r.Produce(background, &ProduceRequest{Version: version, Acks: -1, Timeout: time.Minute, TransactionalID: p.ID, Partitions: []ProducePartition{
		{TopicPartition: TopicPartition{Topic: topic, Partition: index}, Records: recordsOf(r.t, o, "v")},
	}})
	<-got.Done()
	return &got.Partitions[0]
}

func TestTransactionsOfProduce(t *testing.T) {
	r := newRig(t)
	r.create("a", 2)
	p := r.transactional()
	unnamed, other := p, p
	unnamed.ID, other.ProducerID = "", -1
	for _, c := range []struct {
		rule    string
		version int16
		p       transaction.Producer
		want    error
	}{
		{"P1, T42 no transactional id", 9, unnamed, ErrTransactionalIDMissing},
		{"a transactional batch of nobody", 9, other, ErrInvalidProducerIDMapping},
		{"T41 the broker is to add the partition", 12, p, ErrUnsupportedVersion},
		{"T40 it was not added", 11, p, ErrTransactionAbortable},
	} {
		if got := r.produceIn(c.version, c.p, "a", 0, 0); !errors.Is(got.Err, c.want) || got.BaseOffset != -1 {
			t.Errorf("%s: %+v, want %v", c.rule, got, c.want)
		}
	}
	if e := r.AddPartitions(background, p, []transaction.Partition{{Topic: "a", Index: 0}}); e != effect.None {
		t.Fatal(e)
	}
	if got := r.produceIn(11, p, "a", 0, 0); got.Err != nil || got.BaseOffset != 0 {
		t.Errorf("T40 it was added: %+v", got)
	}
	if got := r.produceIn(11, p, "a", 1, 0); !errors.Is(got.Err, ErrTransactionAbortable) {
		t.Errorf("T40 another partition: %+v", got)
	}
	o := batch.Plain(batch.None)
	o.ProducerID, o.ProducerEpoch, o.BaseSequence, o.Transactional = p.ProducerID, p.Epoch, 1, true
	o2 := o
	o2.ProducerEpoch++
	two := r.Produce(background, &ProduceRequest{Version: 9, Acks: -1, Timeout: time.Minute, TransactionalID: "x", Partitions: []ProducePartition{
		{TopicPartition: TopicPartition{Topic: "a"}, Records: recordsOf(t, o, "v")}, {TopicPartition: TopicPartition{Topic: "a", Partition: 1}, Records: recordsOf(t, o2, "v")},
	}})
	<-two.Done()
	for _, got := range two.Partitions {
		if !errors.Is(got.Err, ErrInvalidProducerIDMapping) {
			t.Errorf("P4 two producers in a request: %+v", got)
		}
	}
}

// F1, F8, F9, L1, T31, T70: an open transaction holds readers of committed records back, an aborted one is told of.
func TestReadCommittedOfTheBroker(t *testing.T) {
	r := newRig(t)
	r.create("a", 1)
	p := r.transactional()
	tp := TopicPartition{Topic: "a"}
	latest := func(committed bool) int64 {
		t.Helper()
		at, err := r.ListOffset(background, ListOffset{TopicPartition: tp, ReplicaID: -1, Committed: committed, CurrentLeaderEpoch: -1, Timestamp: TimestampLatest})
		if err != nil {
			t.Fatal(err)
		}
		return at.Offset
	}
	read := func(committed bool) FetchPartition {
		t.Helper()
		q := &FetchRequest{ReplicaID: -1, MaxBytes: 1 << 20, Committed: committed, Partitions: []FetchPartition{at("a", 0, 0)}}
		res := r.Fetch(background, q)
		defer res.Release()
		if q.Partitions[0].Err != nil {
			t.Fatal(q.Partitions[0].Err)
		}
		return q.Partitions[0]
	}
	if e := r.AddPartitions(background, p, []transaction.Partition{{Topic: "a"}}); e != effect.None {
		t.Fatal(e)
	}
	if got := r.produceIn(9, p, "a", 0, 0); got.Err != nil {
		t.Fatal(got.Err)
	}
	for committed, want := range map[bool]int64{false: 1, true: 0} {
		if got := latest(committed); got != want {
			t.Errorf("L1 latest, committed %v: %d, want %d", committed, got, want)
		}
		got := read(committed)
		if (got.Size == 0) != committed || got.LastStableOffset != 0 || got.HighWatermark != 1 || got.Aborted != nil {
			t.Errorf("F8 committed %v: %+v", committed, got)
		}
	}
	if known, err := r.Producers(tp); err != nil || len(known) != 1 || known[0].ID != p.ProducerID || known[0].TxnFirst != 0 {
		t.Errorf("D2 %+v, %v", known, err)
	}
	if e := r.EndTxn(background, p, false); e != effect.None {
		t.Fatal(e)
	}
	eventually(t, "the marker", func() bool { return latest(true) == 2 })
	if got := read(true); got.Size == 0 || len(got.Aborted) != 1 || got.Aborted[0] != (partition.Aborted{ProducerID: p.ProducerID, First: 0, Last: 1}) {
		t.Errorf("F9 %+v", got)
	}
	if got := read(false); got.Size == 0 || got.Aborted != nil {
		t.Errorf("F9 of those who read all: %+v", got)
	}
}

func TestT50WriteTxnMarkers(t *testing.T) {
	r := newRig(t)
	r.create("a", 2)
	write := func(m partition.Marker) []error {
		return r.WriteTxnMarkers(background, TxnMarker{Marker: m, Partitions: []TopicPartition{{Topic: "a"}, {Topic: "a", Partition: 7}, {Topic: "no"}, {Topic: "a", Partition: 1}}})
	}
	check := func(rule string, got []error, want error) {
		t.Helper()
		if len(got) != 4 || !errors.Is(got[0], want) || !errors.Is(got[3], want) ||
			!errors.Is(got[1], ErrUnknownTopicOrPartition) || !errors.Is(got[2], ErrUnknownTopicOrPartition) {
			t.Errorf("T50 %s: %v", rule, got)
		}
	}
	check("a marker", write(partition.Marker{ProducerID: 7, Epoch: 3, CoordinatorEpoch: 5, Commit: true}), nil)
	check("an older coordinator", write(partition.Marker{ProducerID: 7, Epoch: 3, CoordinatorEpoch: 4, Commit: true}), ErrTransactionCoordinatorFenced)
	check("an older epoch", write(partition.Marker{ProducerID: 7, Epoch: 2, CoordinatorEpoch: 5, Commit: true}), ErrInvalidProducerEpoch)
	check("again", write(partition.Marker{ProducerID: 7, Epoch: 3, CoordinatorEpoch: 5, Commit: true, Bumped: true}), nil)
	_, a, err := r.lookup(&TopicPartition{Topic: "a"}, false)
	if err != nil {
		t.Fatal(err)
	}
	before := a.State().HighWatermark
	twice := r.WriteTxnMarkers(background, TxnMarker{Marker: partition.Marker{ProducerID: 8, CoordinatorEpoch: 5}, Partitions: []TopicPartition{{Topic: "a"}, {Topic: "no"}, {Topic: "a"}}})
	if len(twice) != 3 || twice[0] != nil || !errors.Is(twice[1], ErrUnknownTopicOrPartition) || twice[2] != nil || a.State().HighWatermark != before+1 {
		t.Errorf("a partition that is named twice: %v, %d offsets taken, want 1", twice, a.State().HighWatermark-before)
	}
	ended, cancel := context.WithCancel(background)
	cancel()
	got := r.WriteTxnMarkers(ended, TxnMarker{Marker: partition.Marker{ProducerID: 7, Epoch: 3, CoordinatorEpoch: 5}, Partitions: []TopicPartition{{Topic: "a"}}})
	if len(got) != 1 || got[0] != nil && !errors.Is(got[0], ErrRequestTimedOut) {
		t.Errorf("with a context that has ended: %v", got)
	}
}
