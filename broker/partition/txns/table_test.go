package txns

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"chronik/broker/partition/producers"
	"chronik/kafka/batch"
	"chronik/segment"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0: a new one each time")

// data is a transactional batch of n records.
func data(id int64, epoch int16, seq int32, n int) batch.View {
	var b batch.Builder
	for range n {
		b.Add(1, nil, []byte("v"))
	}
	o := batch.Plain(batch.None)
	o.ProducerID, o.ProducerEpoch, o.BaseSequence, o.Transactional = id, epoch, seq, true
	raw, err := b.Build(nil, o)
	if err != nil {
		panic(err)
	}
	return raw
}

// marker ends a transaction.
func marker(id int64, epoch int16, coordinator int32, commit bool) batch.View {
	typ := batch.Abort
	if commit {
		typ = batch.Commit
	}
	return batch.AppendEndTxn(nil, typ, id, epoch, coordinator, 5)
}

// String is what a ledger knows of transactions: open ones, aborted ones, fences; pages are read from blobs, by the ends of
// their segments.
func (l *Ledger) text(t *testing.T, blobs map[int64][]byte) string {
	t.Helper()
	var b strings.Builder
	for _, x := range l.Txns.order {
		if !x.done {
			fmt.Fprintf(&b, "open %d/%d from %d to %d\n", x.id, x.epoch, x.first, x.last)
		}
	}
	found := l.find(t, blobs, 0, 1<<60)
	fmt.Fprintf(&b, "aborted %v\n", found)
	fmt.Fprintf(&b, "fences %v", l.Txns.fences.asOf(1<<60))
	return b.String()
}

func (l *Ledger) find(t *testing.T, blobs map[int64][]byte, from, upTo int64) []Aborted {
	t.Helper()
	found, pages := l.Txns.Find(from, upTo)
	for _, end := range pages {
		var err error
		if found, err = PageAborted(found, blobs[end], from, upTo); err != nil {
			t.Fatal(err)
		}
	}
	Sort(found)
	return found
}

// T43, T51, F9: a transaction begins with its first batch and ends with its marker; the last stable offset moves when the
// marker is below the high watermark.
func TestT43LastStableOffset(t *testing.T) {
	l := NewLedger(0)
	stable := func(hw, want int64) {
		t.Helper()
		if got := l.Txns.Stable(hw); got != want {
			t.Errorf("the last stable offset at the high watermark %d is %d, want %d", hw, got, want)
		}
	}
	l.Observe(data(7, 0, 0, 3), 10, 1) // 10..12
	stable(10, 10)
	stable(13, 10)
	l.Observe(data(8, 0, 0, 1), 13, 1)
	l.Observe(data(7, 0, 3, 2), 14, 1)
	l.Observe(marker(7, 0, 1, false), 16, 1)
	l.Observe(marker(9, 0, 1, false), 17, 1) // T51: of nothing
	stable(16, 10)                           // its marker is the next
	stable(17, 13)
	l.Observe(marker(8, 0, 1, true), 18, 1)
	stable(18, 13)
	stable(19, 19)
	l.Observe(data(8, 0, 1, 1), 19, 1)
	stable(20, 19)
	for _, c := range []struct {
		from, upTo int64
		want       []Aborted
	}{
		{0, 10, nil}, {0, 11, []Aborted{{7, 10, 16}}}, {16, 17, []Aborted{{7, 10, 16}}}, {17, 99, nil},
	} {
		if got := l.find(t, nil, c.from, c.upTo); !reflect.DeepEqual(got, c.want) {
			t.Errorf("F9 aborted in [%d, %d): %v, want %v", c.from, c.upTo, got, c.want)
		}
	}
	if a, b := l.Txns.First(8), l.Txns.First(7); a != 19 || b != -1 {
		t.Errorf("first offsets %d, %d", a, b)
	}
}

// T50, P22, T60: markers fence producers and coordinators.
func TestT50Fences(t *testing.T) {
	l := NewLedger(0)
	l.Observe(data(7, 3, 0, 1), 0, 1)
	for name, c := range map[string]struct {
		m    Marker
		want error
	}{
		"T50 an older epoch":            {Marker{ProducerID: 7, Epoch: 2, CoordinatorEpoch: 5}, producers.ErrInvalidProducerEpoch},
		"T50 the same epoch":            {Marker{ProducerID: 7, Epoch: 3, CoordinatorEpoch: 5}, nil},
		"T50 it should be bumped":       {Marker{ProducerID: 7, Epoch: 3, CoordinatorEpoch: 5, Bumped: true}, producers.ErrInvalidProducerEpoch},
		"T50 it is bumped":              {Marker{ProducerID: 7, Epoch: 4, CoordinatorEpoch: 5, Bumped: true}, nil},
		"T51 of an unknown producer":    {Marker{ProducerID: 8, CoordinatorEpoch: 5}, nil},
		"T51 the same, as if it bumped": {Marker{ProducerID: 8, CoordinatorEpoch: 5, Bumped: true}, nil},
	} {
		if err := l.CheckMarker(c.m); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for step, settle := range []int64{0, 2} { // while the marker waits, and when it is in the log
		if step == 0 {
			l.Observe(marker(7, 4, 5, false), 1, 1)
		}
		l.Settle(settle)
		if err := l.CheckMarker(Marker{ProducerID: 7, Epoch: 4, CoordinatorEpoch: 4}); !errors.Is(err, ErrFencedCoordinator) {
			t.Errorf("T50 an older coordinator: %v", err)
		}
		if err := l.CheckMarker(Marker{ProducerID: 7, Epoch: 4, CoordinatorEpoch: 5, Bumped: true}); err != nil {
			t.Errorf("T50 a marker again: %v", err)
		}
		if err := l.CheckMarker(Marker{ProducerID: 7, Epoch: 3, CoordinatorEpoch: 5}); !errors.Is(err, producers.ErrInvalidProducerEpoch) {
			t.Errorf("T50 an older epoch than the marker: %v", err)
		}
		if _, _, _, err := l.Check(data(7, 3, 1, 1)); !errors.Is(err, producers.ErrInvalidProducerEpoch) {
			t.Errorf("P22, T60 what a marker has fenced: %v", err)
		}
		if _, _, begins, err := l.Check(data(7, 4, 0, 1)); err != nil || !begins {
			t.Errorf("P23 the epoch of the marker: begins %v, %v", begins, err)
		}
		if _, _, _, err := l.Check(data(7, 4, 1, 1)); !errors.Is(err, producers.ErrOutOfOrderSequence) {
			t.Errorf("P23 the epoch of the marker with a sequence: %v", err)
		}
	}
}

func TestCheckOfTransactions(t *testing.T) {
	l := NewLedger(0)
	l.Observe(data(7, 3, 0, 1), 0, 1)
	plain := slices.Clone(data(7, 3, 1, 1))
	plain[22] &^= byte(batch.AttrTransactional)
	if _, _, _, err := l.Check(plain); !errors.Is(err, ErrInvalidTxnState) {
		t.Errorf("a batch of no transaction in one: %v", err)
	}
	if _, dup, begins, err := l.Check(data(7, 3, 0, 1)); !dup || begins || err != nil {
		t.Errorf("P21 the first batch again: %v %v %v", dup, begins, err)
	}
	l.Observe(marker(7, 3, 1, true), 1, 1)
	if _, dup, begins, err := l.Check(data(7, 3, 0, 1)); !dup || begins || err != nil {
		t.Errorf("P21 the same after its transaction: %v %v %v", dup, begins, err)
	}
	if _, _, _, err := l.Check(plain); err != nil {
		t.Errorf("P30 a batch of no transaction, after one: %v", err)
	}
	for id := range int64(OpenMax) {
		l.Txns.begin(1000+id, 0, id)
	}
	if _, _, _, err := l.Check(data(7, 3, 1, 1)); !errors.Is(err, ErrTooManyOpen) {
		t.Errorf("one transaction too many: %v", err)
	}
}

// P27: what is idle is forgotten, unless it has a transaction open.
func TestP27ExpireKeepsOpenTransactions(t *testing.T) {
	l := NewLedger(100)
	l.Observe(data(7, 3, 0, 1), 0, 10)
	l.Observe(data(8, 3, 0, 1), 1, 10)
	l.Observe(marker(8, 3, 1, true), 2, 10)
	l.Observe(marker(9, 3, 1, true), 3, 30)
	l.Expire(20)
	if got, want := fmt.Sprint(l.Producers()), "[{7 3 0 1 -1 0} {9 3 -1 30 1 -1}]"; got != want {
		t.Errorf("D2 %s, want %s", got, want)
	}
}

func TestFencesAreBounded(t *testing.T) {
	l := NewLedger(1 << 40)
	for id := range int64(producers.Max + 5) {
		l.Observe(marker(id, 1, 1, true), id, 1)
	}
	for _, id := range []int64{4, 5} {
		if _, ok := l.Txns.fences.of(id); ok != (id == 5) {
			t.Errorf("the fence of producer %d is known: %v", id, ok)
		}
	}
}

// A permit is used once, and void when a marker comes while it is asked for.
func TestT40Permits(t *testing.T) {
	var p Permits
	a, b := p.Ask(7, 1), p.Ask(7, 1)
	if a != b {
		t.Error("two batches of one transaction ask for two permits")
	}
	if p.Has(7, 1) {
		t.Error("it is given before the answer")
	}
	a.Give()
	if !p.Has(7, 1) || p.Has(7, 2) || p.Has(8, 1) {
		t.Error("it is for this producer and epoch")
	}
	p.Take(7)
	b.Give()
	if p.Has(7, 1) {
		t.Error("it is given although a marker has come since")
	}
	for id := range int64(3 * permitsMax) {
		p.Ask(id, 0)
	}
	if len(p.asked) > permitsMax {
		t.Errorf("%d permits", len(p.asked))
	}
}

// world is a log and those who read it in different ways.
type world struct {
	t      *testing.T
	rnd    *rand.Rand
	log    []batch.View // with base offsets
	next   int64
	seqs   map[int64]int32
	blobs  map[int64][]byte // by the ends of sealed segments
	sealed []int64
}

func (w *world) add(v batch.View) batch.View {
	v.SetBaseOffset(w.next)
	w.next = v.NextOffset()
	w.log = append(w.log, v)
	return v
}

// step appends something to the log.
func (w *world) step() batch.View {
	id := w.rnd.Int64N(6)
	if w.rnd.IntN(3) == 0 {
		return w.add(marker(id, 0, 1, w.rnd.IntN(2) == 0))
	}
	n := 1 + w.rnd.IntN(3)
	v := w.add(data(id, 0, w.seqs[id], n))
	w.seqs[id] += int32(n)
	return v
}

// truth is what the simplest reading of the log says, with the high watermark at its end.
func (w *world) truth() (aborted []Aborted, stable int64) {
	open := map[int64]int64{}
	for _, v := range w.log {
		id := v.ProducerID()
		first, is := open[id]
		switch typ, _, err := batch.EndTxn(v); {
		case err != nil && !is:
			open[id] = v.BaseOffset()
		case err != nil || !is:
		default:
			delete(open, id)
			if typ == batch.Abort {
				aborted = append(aborted, Aborted{id, first, v.BaseOffset()})
			}
		}
	}
	stable = w.next
	if len(open) > 0 {
		stable = slices.Min(slices.Collect(maps.Values(open)))
	}
	return aborted, stable
}

// Whatever of a log is in checkpoints, in whichever segments, with whatever a leader had noted that the log has lost: the
// ledger says what the log says.
func TestCheckpointsAndReplay(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./broker/partition/txns -run '^%s$' -seed %d", t.Name(), seed)
	for run := range uint64(200) {
		w := &world{t: t, rnd: rand.New(rand.NewPCG(seed, run)), seqs: map[int64]int32{}, blobs: map[int64][]byte{}}
		l, hw := NewLedger(0), int64(0)
		for range 60 {
			v := w.step()
			l.Observe(v, v.BaseOffset(), 1)
			if w.rnd.IntN(3) > 0 {
				l.Settle(w.next)
				hw = max(hw, w.next-w.rnd.Int64N(4))
			}
			l.Txns.Stable(hw)
			switch w.rnd.IntN(12) {
			case 0:
				l = w.seal(l)
			case 1:
				l = w.reload()
			}
		}
		w.compare(l)
		if t.Failed() {
			t.Fatalf("run %d", run)
		}
	}
}

// seal ends a segment behind the log, unless it is not written; batches that wait for the log are noted by then.
func (w *world) seal(l *Ledger) *Ledger {
	end := w.next
	l.Settle(end)
	was := len(w.log)
	seqs := maps.Clone(w.seqs)
	for range w.rnd.IntN(4) { // these will be lost, or not
		v := w.step()
		l.Observe(v, v.BaseOffset(), 1)
	}
	made := l.Checkpoint(producers.AsOf{Offset: segment.Offset(end)}, end, 0, func(end int64) bool { return w.blobs[end] != nil })
	if w.rnd.IntN(4) > 0 { // else the roll has failed
		w.blobs[end] = made
		w.sealed = append(w.sealed, end)
	}
	if w.rnd.IntN(2) == 0 {
		return l
	}
	w.log, w.next, w.seqs = w.log[:was], end, seqs
	return w.reload()
}

// reload is the ledger of a restart.
func (w *world) reload() *Ledger {
	w.t.Helper()
	l, of := NewLedger(w.next), producers.AsOf{}
	if n := len(w.sealed); n > 0 {
		if err := l.Load(w.blobs[w.sealed[n-1]], w.sealed[n-1], &of); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, v := range w.log {
		if v.BaseOffset() >= int64(of.Offset) {
			l.Observe(v, v.BaseOffset(), 1)
		}
	}
	l.Settle(w.next)
	return l
}

func (w *world) compare(l *Ledger) {
	w.t.Helper()
	l.Settle(w.next)
	all, stable := w.truth()
	if got := l.Txns.Stable(w.next); got != stable {
		w.t.Errorf("the last stable offset is %d, want %d", got, stable)
	}
	for range 30 {
		from := w.rnd.Int64N(w.next)
		upTo := from + 1 + w.rnd.Int64N(w.next-from)
		var want []Aborted
		for _, a := range all {
			if a.Last >= from && a.First < upTo {
				want = append(want, a)
			}
		}
		slices.SortFunc(want, func(a, b Aborted) int { return cmp.Compare(a.First, b.First) })
		if got := l.find(w.t, w.blobs, from, upTo); !reflect.DeepEqual(got, want) {
			w.t.Errorf("aborted in [%d, %d): %v, want %v", from, upTo, got, want)
		}
	}
	last := map[int64]int64{}
	for _, v := range w.log {
		if v.Attributes().Control() {
			last[v.ProducerID()] = v.BaseOffset()
		}
	}
	for id := range int64(6) {
		f, ok := l.Txns.fences.of(id)
		if at, is := last[id]; ok != is || f.at != at {
			w.t.Errorf("the last marker of producer %d is at %d, %v; want %d, %v", id, f.at, ok, at, is)
		}
	}
	again := w.reload()
	again.Txns.Stable(w.next)
	if a, b := l.text(w.t, w.blobs), again.text(w.t, w.blobs); a != b {
		w.t.Errorf("a ledger says\n%s\nafter a restart it says\n%s", a, b)
	}
}

// Damaged checkpoints are errors; nothing panics.
func TestLoadRefusesDamage(t *testing.T) {
	w := &world{t: t, rnd: rand.New(rand.NewPCG(1, 1)), seqs: map[int64]int32{}, blobs: map[int64][]byte{}}
	l := NewLedger(0)
	for range 50 {
		v := w.step()
		l.Observe(v, v.BaseOffset(), 1)
	}
	l.Settle(w.next)
	blob := l.Checkpoint(producers.AsOf{Offset: segment.Offset(w.next)}, w.next, 0, func(int64) bool { return true })
	if err := NewLedger(0).Load(blob, w.next, new(producers.AsOf)); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < len(blob); n++ {
		if err := NewLedger(0).Load(blob[:n], w.next, new(producers.AsOf)); err == nil {
			t.Errorf("%d of %d bytes are taken for a checkpoint", n, len(blob))
		}
		if _, err := PageAborted(nil, blob[:n], 0, 9); n < 20 && n >= prefixBytes && err == nil {
			t.Errorf("%d of %d bytes are taken for a page", n, len(blob))
		}
	}
	newer := slices.Clone(blob)
	newer[0] = checkpointVersion + 1
	if err := NewLedger(0).Load(newer, w.next, new(producers.AsOf)); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("a newer version: %v", err)
	}
	for i := range blob { // whatever a byte says, it is read within bounds
		damaged := slices.Clone(blob)
		damaged[i] ^= 0xff
		_ = NewLedger(0).Load(damaged, w.next, new(producers.AsOf))
		_, _ = PageAborted(nil, damaged, 0, 9)
	}
}
