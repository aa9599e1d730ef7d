package broker

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"chronik/internal/vfs"
	"chronik/kafka/batch"
)

func TestProduceRules(t *testing.T) {
	r := newRig(t)
	r.create("a", 1)
	r.create("stamped", 1, ConfigValue{Name: "message.timestamp.type", Value: "LogAppendTime"})
	good := func() []byte { return recordsOf(t, batch.Plain(batch.None), "v") }
	broken := good()
	broken[len(broken)-1] ^= 1
	txn := batch.Plain(batch.None)
	txn.ProducerID, txn.ProducerEpoch, txn.BaseSequence, txn.Transactional = 1, 0, 0, true
	for _, c := range []struct {
		rule      string
		topic     string
		partition int32
		acks      int16
		records   []byte
		want      error
	}{
		{"P2", "no", 0, -1, good(), ErrUnknownTopicOrPartition},
		{"P2", "a", 1, -1, good(), ErrUnknownTopicOrPartition},
		{"P3", "a", 0, 2, good(), ErrInvalidRequiredAcks},
		{"P1", "a", 0, -1, recordsOf(t, txn, "v"), ErrTransactionalIDMissing},
	} {
		if got := r.produce(c.topic, c.partition, c.acks, c.records); !errors.Is(got.Err, c.want) || got.BaseOffset != -1 || got.LogStart != -1 {
			t.Errorf("%s: %+v, want %v", c.rule, got, c.want)
		}
	}
	named := r.Produce(background, &ProduceRequest{Version: 9, Acks: -1, Timeout: time.Minute, TransactionalID: "x", Partitions: []ProducePartition{
		{TopicPartition: TopicPartition{Topic: "a"}, Records: recordsOf(t, txn, "v")}, {TopicPartition: TopicPartition{Topic: "a"}, Records: good()},
	}})
	<-named.Done()
	if a, b := named.Partitions[0].Err, named.Partitions[1].Err; !errors.Is(a, ErrNotEnoughReplicas) || b != nil {
		t.Errorf("T40 a batch of a transaction that no coordinator knows: %v, and an ordinary one beside it: %v", a, b)
	}
	var be *batch.Error
	for rule, c := range map[string]struct {
		records []byte
		kind    batch.Kind
	}{"P15": {nil, batch.InvalidRecord}, "CRC": {broken, batch.CorruptMessage}} {
		if got := r.produce("a", 0, -1, c.records); !errors.As(got.Err, &be) || be.Kind != c.kind {
			t.Errorf("%s: %v", rule, got.Err)
		}
	}
	if got := r.produce("stamped", 0, -1, good()); got.Err != nil || got.LogAppendTime != r.clock.Now().UnixMilli() {
		t.Errorf("P41: %+v", got)
	}
	if got := r.produce("a", 0, 0, good()); got.Err != nil {
		t.Errorf("P10: %+v", got)
	}
	r.Metadata(background, MetadataRequest{Topics: []TopicRef{{Name: offsetsTopic}}, AutoCreate: true})
	if got := r.produce(offsetsTopic, 0, -1, good()); !errors.Is(got.Err, ErrInvalidTopic) {
		t.Errorf("P6: %v", got.Err)
	}
}

// A produce whose partition has much that is not written yet is not answered
// by its timeout: its memory is still taken.
func TestTimeoutWaitsForAPartitionThatIsBehind(t *testing.T) {
	r := newRig(t, "message.max.bytes=16000000")
	r.stop()
	stuck, release := make(chan struct{}), make(chan struct{})
	r.fs = vfs.NewFaulty(r.fs, func(op vfs.Op, name string) error {
		if op == vfs.OpDatasync && strings.HasPrefix(name, "data/topics/a-") {
			select {
			case <-stuck:
				<-release
			default:
			}
		}
		return nil
	})
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	r.create("a", 1)
	close(stuck)
	const batches = 8 // of 5 MB: some are proposed, more than 8 MiB are not
	value := strings.Repeat("x", 5_000_000)
	var waiting []*Produce
	for range batches {
		waiting = append(waiting, r.Produce(background, &ProduceRequest{Version: 9, Acks: -1, Timeout: time.Second, Partitions: []ProducePartition{
			{TopicPartition: TopicPartition{Topic: "a"}, Records: recordsOf(t, batch.Plain(batch.None), value)},
		}}))
	}
	r.clock.Advance(2 * time.Second)
	last := waiting[batches-1]
	select {
	case <-last.Done():
		t.Errorf("answered while behind: %v", last.Partitions[0].Err)
	default:
	}
	close(release)
	for i, p := range waiting {
		select {
		case <-p.Done():
		case <-time.After(time.Minute):
			t.Fatalf("produce %d has no result", i)
		}
		if err := p.Partitions[0].Err; err != nil && !errors.Is(err, ErrRequestTimedOut) {
			t.Errorf("produce %d: %v", i, err)
		}
	}
}

func TestFetchWaits(t *testing.T) {
	r := newRig(t)
	r.create("a", 2)
	q, res := r.fetch(0, 1, at("a", 0, 0)) // F6
	if res.Release(); q.Partitions[0].Size != 0 || q.Partitions[0].Err != nil {
		t.Errorf("F6: %+v", q.Partitions[0])
	}
	q, res = r.fetch(time.Hour, 1, at("a", 0, 0), at("no", 0, 0)) // an error is answered at once
	if res.Release(); !errors.Is(q.Partitions[1].Err, ErrUnknownTopicOrPartition) {
		t.Errorf("F21: %+v", q.Partitions[1])
	}
	done := make(chan *FetchRequest)
	waiting := func(from int64) {
		go func() {
			q, res := r.fetch(time.Hour, 1, at("a", 0, 0), at("a", 1, from))
			res.Release()
			done <- q
		}()
	}
	get := func() *FetchRequest {
		select {
		case q := <-done:
			return q
		case <-time.After(time.Minute):
			t.Fatal("F7: the fetch was not woken in a minute")
			return nil
		}
	}
	for i := range int64(50) { // the append comes before, while and after the fetch registers
		waiting(i)
		if i%2 == 0 {
			runtime.Gosched()
		}
		r.produce("a", 1, -1, recordsOf(t, batch.Plain(batch.None), "x"))
		if q := get(); q.Partitions[1].Size == 0 || q.Partitions[1].HighWatermark != i+1 {
			t.Errorf("F7: %+v", q.Partitions[1])
		}
	}
	r.create("b", 1)
	go func() {
		q, res := r.fetch(time.Hour, 1, at("b", 0, 0))
		res.Release()
		done <- q
	}()
	if got := r.DeleteTopics(background, []TopicRef{{Name: "b"}}, time.Minute)[0]; got.Err != nil {
		t.Fatal(got.Err)
	}
	if q := get(); !errors.Is(q.Partitions[0].Err, ErrUnknownTopicOrPartition) && !errors.Is(q.Partitions[0].Err, ErrNotLeader) {
		t.Errorf("A21 fetch: %v", q.Partitions[0].Err)
	}
}

func TestFetchSharesTheLimit(t *testing.T) {
	r := newRig(t)
	r.create("a", 2)
	raw := recordsOf(t, batch.Plain(batch.None), strings.Repeat("x", 1000))
	for p := range int32(2) {
		for range 3 {
			r.produce("a", p, -1, slices.Clone(raw))
		}
	}
	for _, c := range []struct {
		max         int32
		first, last int // batches
	}{{1, 1, 0}, {int32(len(raw)), 1, 0}, {int32(2 * len(raw)), 2, 0}, {int32(4*len(raw) + 10), 3, 1}} {
		q := &FetchRequest{ReplicaID: -1, MaxBytes: c.max, Partitions: []FetchPartition{at("a", 0, 0), at("a", 1, 0)}}
		r.Fetch(background, q).Release()
		if a, b := q.Partitions[0].Size/len(raw), q.Partitions[1].Size/len(raw); a != c.first || b != c.last {
			t.Errorf("F3, F4 with %d bytes: %d and %d batches, want %d and %d", c.max, a, b, c.first, c.last)
		}
	}
}
