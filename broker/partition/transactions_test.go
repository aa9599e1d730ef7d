package partition

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"chronik/kafka/batch"
)

// txnRecords builds one transactional batch.
func txnRecords(t *testing.T, s sequence, ts int64, values ...string) []byte {
	t.Helper()
	var b batch.Builder
	for i, v := range values {
		b.Add(ts+int64(i), nil, []byte(v))
	}
	o := batch.Plain(batch.None)
	o.ProducerID, o.ProducerEpoch, o.BaseSequence, o.Transactional = s.id, s.epoch, s.first, true
	raw, err := b.Build(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// txn appends a transactional batch and waits for its result.
func (r *rig) txn(s sequence, values ...string) (Result, error) {
	r.t.Helper()
	told := make(waiter, 1)
	if err := r.p.Append(txnRecords(r.t, s, 100, values...), AcksAll, -1, told, 0); err != nil {
		return Result{}, err
	}
	select {
	case got := <-told:
		return got, got.Err
	case <-time.After(3 * time.Minute):
		r.t.Fatal("no acknowledgement in three minutes")
		return Result{}, nil
	}
}

func (r *rig) mustTxn(s sequence, values ...string) int64 {
	r.t.Helper()
	res, err := r.txn(s, values...)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.BaseOffset
}

// mark ends a producer's transaction.
func (r *rig) mark(id int64, epoch int16, coordinator int32, commit bool) {
	r.t.Helper()
	if err := r.p.WriteMarker(context.Background(), Marker{ProducerID: id, Epoch: epoch, CoordinatorEpoch: coordinator, Commit: commit}); err != nil {
		r.t.Fatal(err)
	}
}

// committed is what a client sees that reads committed records, as it filters them (T70), and what it was told was aborted.
func committed(t *testing.T, p *Partition, from int64, bytesMax int) (seen string, next int64, aborted []Aborted) {
	t.Helper()
	res, _, err := p.Read(Read{Offset: from, BytesMax: bytesMax, AtLeastOne: true, Isolation: ReadCommitted, Follower: true, CurrentEpoch: -1, LastEpoch: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Release()
	var out []string
	next = from
	waiting, gone := res.Aborted, map[int64]bool{}
	for _, piece := range res.Records {
		for v, err := range batch.All(piece) {
			if err != nil {
				t.Fatal(err)
			}
			if v.BaseOffset() >= res.LastStable {
				t.Errorf("T70 offset %d is read although the last stable offset is %d", v.BaseOffset(), res.LastStable)
			}
			for len(waiting) > 0 && waiting[0].First <= v.LastOffset() {
				gone[waiting[0].ProducerID] = true
				waiting = waiting[1:]
			}
			next = v.NextOffset()
			if v.Attributes().Control() {
				if typ, _, err := batch.EndTxn(v); err == nil && typ == batch.Abort {
					delete(gone, v.ProducerID())
				}
				continue
			}
			if v.Attributes().Transactional() && gone[v.ProducerID()] {
				continue
			}
			for rec, err := range batch.Records(v, nil) {
				if err != nil {
					t.Fatal(err)
				}
				if rec.Offset >= from {
					out = append(out, fmt.Sprintf("%d=%s", rec.Offset, rec.Value))
				}
			}
		}
	}
	return strings.Join(out, " "), next, res.Aborted
}

// allCommitted is committed over many reads.
func allCommitted(t *testing.T, p *Partition, bytesMax int) string {
	t.Helper()
	var out []string
	for at := p.LogStart(); ; {
		seen, next, _ := committed(t, p, at, bytesMax)
		if seen != "" {
			out = append(out, seen)
		}
		if next == at {
			return strings.Join(out, " ")
		}
		at = next
	}
}

func (r *rig) wantStable(rule string, want int64) {
	r.t.Helper()
	if got := r.p.LastStable(); got != want {
		r.t.Errorf("%s the last stable offset is %d, want %d", rule, got, want)
	}
}

// F1, F8, F9, L1, L5, T43, T51, T70: what readers of committed records see while transactions come and go, and after a
// restart, with the log in one segment and in many.
func TestT70ReadCommitted(t *testing.T) {
	for _, roll := range []bool{false, true} {
		r := newRig(t, nil)
		step := func() {
			if roll {
				if err := r.p.log.Roll(); err != nil {
					t.Fatal(err)
				}
			}
		}
		r.mustAppend(plain, 1, "a")
		r.mustTxn(sequence{7, 0, 0}, "b", "c") // 1, 2
		step()
		r.mustAppend(plain, 1000, "d") // 3
		r.mustTxn(sequence{8, 0, 0}, "e")
		r.wantStable("T43", 1)
		step()
		r.mark(7, 0, 1, false) // 5
		r.wantStable("T43 another one is open:", 4)
		step()
		r.mark(8, 0, 1, true)             // 6
		r.mark(9, 0, 1, true)             // 7, T51
		r.mustTxn(sequence{7, 0, 2}, "f") // 8
		r.mustAppend(plain, 1_800_000_000_000, "g")
		step()
		check := func(when string) {
			t.Helper()
			r.wantStable(when, 8)
			b := Aborted{ProducerID: 7, First: 1, Last: 5}
			if got, want := allCommitted(t, r.p, 1<<20), "0=a 3=d 4=e"; got != want {
				t.Errorf("%s T70 committed: %q, want %q", when, got, want)
			}
			if got, want := allCommitted(t, r.p, 1), "0=a 3=d 4=e"; got != want {
				t.Errorf("%s T70 committed, batch by batch: %q, want %q", when, got, want)
			}
			for from, want := range map[int64][]Aborted{0: {b}, 2: {b}, 5: {b}, 6: nil} {
				if _, _, got := committed(t, r.p, from, 1<<20); !reflect.DeepEqual(got, want) {
					t.Errorf("%s F9 from %d: %v, want %v", when, from, got, want)
				}
			}
			if _, _, got := committed(t, r.p, 0, 1); got != nil {
				t.Errorf("%s F9 of the first batch alone: %v", when, got)
			}
			for i, want := range map[Isolation]int64{ReadUncommitted: 10, ReadCommitted: 8, ReadAll: 10} {
				if at, err := r.p.Latest(-1, i); err != nil || at.Offset != want {
					t.Errorf("%s L1 latest of isolation %d: %+v, %v, want %d", when, i, at, err, want)
				}
			}
			for i, want := range map[Isolation]int64{ReadUncommitted: 9, ReadCommitted: -1} {
				if at, err := r.p.ByTimestamp(-1, 1_800_000_000_000, i); err != nil || at.Offset != want {
					t.Errorf("%s L5 by time, isolation %d: %+v, %v, want %d", when, i, at, err, want)
				}
			}
			if got, want := r.read(8, 1<<20), "8=f 9=g"; got != want {
				t.Errorf("%s F1 not committed: %q, want %q", when, got, want)
			}
		}
		check("at first")
		r.reopen()
		check("after a restart")
		r.mark(7, 0, 1, true)
		r.wantStable("T51", 11)
		if got, want := allCommitted(t, r.p, 1<<20), "0=a 3=d 4=e 8=f 9=g"; got != want {
			t.Errorf("T70 %q, want %q", got, want)
		}
		if t.Failed() {
			t.Fatalf("segments rolled: %v", roll)
		}
	}
}

// A last stable offset in the middle of a frame: whole frames are cut there.
func TestT70StableInsideAFrame(t *testing.T) {
	r := newRig(t, nil)
	a := make(acks, 3)
	r.p.mu.Lock() // one proposal of three batches
	p := r.p
	p.acceptLocked(records(t, plain, 1, "a"), AcksAll, a, 0)
	p.acceptLocked(txnRecords(t, sequence{7, 0, 0}, 1, "b"), AcksAll, a, 1)
	p.acceptLocked(records(t, plain, 1, "c"), AcksAll, a, 2)
	r.p.mu.Unlock()
	for range 3 {
		if got := <-a; got.r.Err != nil {
			t.Fatal(got.r.Err)
		}
	}
	if seen, next, _ := committed(t, r.p, 0, 1<<20); seen != "0=a" || next != 1 {
		t.Errorf("T70 %q up to %d", seen, next)
	}
	if seen, next, _ := committed(t, r.p, 1, 1<<20); seen != "" || next != 1 {
		t.Errorf("T70 from the last stable offset: %q up to %d", seen, next)
	}
}

// T50, P22: what a marker fences, over a restart.
func TestT50Markers(t *testing.T) {
	r := newRig(t, nil)
	write := func(m Marker) error { return r.p.WriteMarker(t.Context(), m) }
	r.mustTxn(sequence{7, 3, 0}, "a")
	if err := write(Marker{ProducerID: 7, Epoch: 2, CoordinatorEpoch: 5}); !errors.Is(err, ErrInvalidProducerEpoch) {
		t.Errorf("T50 an older epoch: %v", err)
	}
	r.mark(7, 4, 5, false) // the coordinator has timed it out: T60
	for _, when := range []string{"before", "after"} {
		if _, err := r.txn(sequence{7, 3, 1}, "late"); !errors.Is(err, ErrInvalidProducerEpoch) {
			t.Errorf("%s a restart, T60 the producer that was fenced: %v", when, err)
		}
		if err := write(Marker{ProducerID: 7, Epoch: 4, CoordinatorEpoch: 4}); !errors.Is(err, ErrFencedCoordinator) {
			t.Errorf("%s a restart, T50 an older coordinator: %v", when, err)
		}
		r.reopen()
	}
	r.mark(7, 4, 5, false) // T50 again
	r.mustTxn(sequence{7, 4, 0}, "b")
	if err := r.p.Append(records(t, sequence{7, 4, 1}, 1, "not of it"), AcksAll, -1, make(acks, 1), 0); !errors.Is(err, ErrInvalidTxnState) {
		t.Errorf("a batch of no transaction in one: %v", err)
	}
	if got, err := r.p.Producers(); err != nil || !reflect.DeepEqual(got, []Producer{{ID: 7, Epoch: 4, LastSequence: 0, LastTimestamp: got[0].LastTimestamp, CoordinatorEpoch: 5, TxnFirst: 3}}) {
		t.Errorf("D2, T71: %+v, %v", got, err)
	}
}

// P27, T71: a transaction stays open however long its producer is idle.
func TestT71HangingTransaction(t *testing.T) {
	r := newRig(t, nil)
	r.mustTxn(sequence{7, 0, 0}, "a")
	r.mustAppend(sequence{8, 0, 0}, 1, "b")
	r.p.ExpireProducers(r.clock.Now().UnixMilli() + 1)
	r.wantStable("T71", 0)
	if got, _ := r.p.Producers(); len(got) != 1 || got[0].ID != 7 || got[0].TxnFirst != 0 {
		t.Errorf("P27 %+v", got)
	}
	if _, err := r.p.DeleteRecords(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	r.wantStable("R1 the log start does not wait for a transaction:", 1)
}

// T40: no transaction begins that the coordinator was not asked for, or that ended while it was asked.
func TestT40Verify(t *testing.T) {
	r := newRig(t, nil)
	var asked int
	var answer func(id int64) error
	r.p.opt.Verify = func(_ context.Context, name string, id int64, epoch int16, topic string, p int32) error {
		asked++
		if got, want := fmt.Sprint(name, epoch, topic, p), "x0t0"; strings.ReplaceAll(got, " ", "") != want {
			t.Errorf("asked for %s, want %s", got, want)
		}
		return answer(id)
	}
	ok := func(int64) error { return nil }
	verify := func(seq int32) error {
		return r.p.Verify(t.Context(), time.Minute, "x", txnRecords(t, sequence{7, 0, seq}, 1, "v"))
	}
	answer = ok
	if _, err := r.txn(sequence{7, 0, 0}, "v"); !errors.Is(err, ErrUnverified) {
		t.Errorf("T40 nobody was asked: %v", err)
	}
	for _, c := range []struct{ says, want error }{
		{ErrNotInTransaction, ErrNotInTransaction}, {ErrInvalidProducerEpoch, ErrInvalidProducerEpoch}, {errors.New("unreachable"), ErrUnverified},
	} {
		answer = func(int64) error { return c.says }
		if err := verify(0); !errors.Is(err, c.want) {
			t.Errorf("T40 the coordinator says %v: %v", c.says, err)
		}
		if _, err := r.txn(sequence{7, 0, 0}, "v"); !errors.Is(err, ErrUnverified) {
			t.Errorf("T40 the coordinator has said %v: %v", c.says, err)
		}
	}
	answer = func(id int64) error { r.mark(id, 0, 1, false); return nil }
	if err := verify(0); err != nil {
		t.Fatal(err)
	}
	if _, err := r.txn(sequence{7, 0, 0}, "v"); !errors.Is(err, ErrUnverified) {
		t.Errorf("T40 the transaction has ended meanwhile: %v", err)
	}
	answer = ok
	if err := verify(0); err != nil {
		t.Fatal(err)
	}
	r.mustTxn(sequence{7, 0, 0}, "v")
	asked = 0
	for _, seq := range []int32{0, 1} { // again, and the next
		if err := verify(seq); err != nil || asked != 0 {
			t.Errorf("T40 inside of the transaction: asked %d times, %v", asked, err)
		}
		if res, err := r.txn(sequence{7, 0, seq}, "v"); err != nil || res.Duplicate != (seq == 0) {
			t.Errorf("T40 inside of the transaction: %+v, %v", res, err)
		}
	}
	r.mark(7, 0, 1, true)
	if _, err := r.txn(sequence{7, 0, 2}, "v"); !errors.Is(err, ErrUnverified) {
		t.Errorf("T40 the next transaction is another one: %v", err)
	}
}

// Aborted transactions of sealed segments are found in their checkpoints, and leave with them.
func TestAbortedTransactionsAreInCheckpoints(t *testing.T) {
	r := newRig(t, map[string]string{"retention.ms": "-1"})
	var want []Aborted
	for i := range int64(20) {
		first := r.mustTxn(sequence{7, 0, int32(i)}, "v")
		r.mark(7, 0, 1, i%2 == 0)
		if i%2 == 1 {
			want = append(want, Aborted{ProducerID: 7, First: first, Last: first + 1})
		}
		if i%3 == 2 {
			if err := r.p.log.Roll(); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(when string, from int64, want []Aborted) {
		t.Helper()
		if _, _, got := committed(t, r.p, from, 1<<20); !reflect.DeepEqual(got, want) {
			t.Errorf("%s F9 %v\nwant %v", when, got, want)
		}
	}
	if in, pages := r.p.ledger.Txns.Find(0, 100); len(in) > 4 || len(pages) < 4 {
		t.Errorf("%d in memory, %d pages", len(in), len(pages))
	}
	check("at first", 0, want)
	r.reopen()
	check("after a restart", 0, want)
	if _, err := r.p.DeleteRecords(t.Context(), 21); err != nil {
		t.Fatal(err)
	}
	r.p.beside.Wait()
	want = want[5:]
	check("after records were deleted", 21, want)
	if err := r.p.log.Roll(); err != nil {
		t.Fatal(err)
	}
	check("after the next checkpoint", 21, want)
	r.reopen()
	check("after a restart", 21, want)
	if _, _, err := r.p.Read(Read{Isolation: ReadCommitted, Offset: 19, BytesMax: 1, CurrentEpoch: -1, LastEpoch: -1}, nil); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("F2 what was deleted: %v", err)
	}
	if _, err := r.p.abortedIn(19, 30); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("F9 of records that were deleted while they were read: %v", err)
	}
}

// Very many aborted transactions have their segment sealed.
func TestAbortedTransactionsDoNotPileUp(t *testing.T) {
	r := newRig(t, nil)
	const many = 55_000
	block := make(acks, 1)
	r.p.mu.Lock()
	for i := range int64(many) {
		id := i % 100
		r.p.acceptLocked(txnRecords(t, sequence{id, 0, int32(i / 100)}, 1, "v"), AcksNone, nil, 0)
		r.p.acceptLocked(batch.AppendEndTxn(nil, batch.Abort, id, 0, 1, 1), AcksNone, nil, 0)
	}
	r.p.acceptLocked(records(t, plain, 1, "end"), AcksAll, block, 0)
	r.p.mu.Unlock()
	<-block
	r.await(func() bool {
		r.mustAppend(plain, 1, "more")
		r.p.mu.Lock()
		defer r.p.mu.Unlock()
		in, pages := r.p.ledger.Txns.Find(0, 2*many)
		return !r.p.ledger.Txns.Crowded() && len(in) < many && len(pages) > 0
	})
	if found, err := r.p.abortedIn(0, 2*many); err != nil || len(found) != many {
		t.Errorf("%d aborted, %v", len(found), err)
	}
}

// T40: no batch of an epoch that the coordinator has not given enters an open transaction, whose marker it would fence.
func TestNewerEpochInAnOpenTransaction(t *testing.T) {
	r := newRig(t, nil)
	r.mustTxn(sequence{5, 0, 0}, "good")
	if _, err := r.txn(sequence{5, 32767, 0}, "forged"); !errors.Is(err, ErrInvalidProducerEpoch) {
		t.Errorf("a batch of a newer epoch in the transaction of epoch 0: %v", err)
	}
	if _, err := r.append(sequence{5, 32767, 0}, 0, "forged"); !errors.Is(err, ErrInvalidProducerEpoch) {
		t.Errorf("a plain one: %v", err)
	}
	if err := r.p.WriteMarker(t.Context(), Marker{ProducerID: 5, Epoch: 0, CoordinatorEpoch: 1, Commit: true}); err != nil {
		t.Errorf("the commit marker: %v", err)
	}
	if got, hw := r.p.LastStable(), r.p.State().HighWatermark; got != hw {
		t.Errorf("last stable offset %d, high watermark %d", got, hw)
	}
}
