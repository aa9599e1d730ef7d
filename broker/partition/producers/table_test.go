package producers

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"chronik/kafka/batch"
	"chronik/segment"
)

const p = int64(7) // a producer id

func win(t *Table, id int64, epoch int16, first, last int32, base int64) {
	t.put(id, epoch, Batch{First: first, Last: last, Base: base, LastOffset: base + int64(last-first), Timestamp: base}, 0)
}

// loaded is a table of at most most producers, made from a checkpoint, of a log that ends at the offset written.
func loaded(t *testing.T, blob []byte, most int, written int64) *Table {
	t.Helper()
	table := New(most, written)
	if err := table.Load(blob, new(AsOf)); err != nil {
		t.Fatal(err)
	}
	return table
}

// list is what a table knows, least recently seen first.
func (t *Table) list() (out []string) {
	for p := t.ring.newer; p != &t.ring; p = p.newer {
		out = append(out, fmt.Sprintf("%d epoch %d %v", p.id, p.epoch, p.window()))
		if t.byID[p.id] != p {
			panic("BUG: the ring has a producer that the map does not have")
		}
	}
	if len(out) != len(t.byID) {
		panic("BUG: the map has producers that the ring does not have")
	}
	return out
}

// Rules of semantics P21 to P26 and P31.
func TestSequences(t *testing.T) {
	table := New(9, 0)
	for i := range int32(7) { // sequences 0..13 in batches of two; 0..3 have left the window
		win(table, p, 3, 2*i, 2*i+1, int64(100+2*i))
	}
	cases := []struct {
		name        string
		id          int64
		epoch       int16
		first, last int32
		dupBase     int64 // -1: not a duplicate
		err         error
	}{
		{"P23 unknown producer starts anywhere", 8, 0, 55, 60, -1, nil},
		{"P24 next sequence", p, 3, 14, 14, -1, nil},
		{"P24 gap", p, 3, 15, 15, -1, ErrOutOfOrderSequence},
		{"P21 newest again", p, 3, 12, 13, 112, nil},
		{"P21 oldest of five again", p, 3, 4, 5, 104, nil},
		{"P31 out of the window", p, 3, 2, 3, -1, ErrOutOfOrderSequence},
		{"P21 same start, other end is no duplicate", p, 3, 12, 12, -1, ErrOutOfOrderSequence},
		{"P22 older epoch", p, 2, 14, 14, -1, ErrInvalidProducerEpoch},
		{"P23 newer epoch from 0", p, 4, 0, 9, -1, nil},
		{"P23 newer epoch not from 0", p, 4, 14, 14, -1, ErrOutOfOrderSequence},
	}
	for _, c := range cases {
		dup, isDup, err := table.Check(c.id, c.epoch, c.first, c.last)
		if !errors.Is(err, c.err) || isDup != (c.dupBase >= 0) || (isDup && dup.Base != c.dupBase) {
			t.Errorf("%s: got %+v, %v, %v", c.name, dup, isDup, err)
		}
	}
	win(table, p, 4, 0, 0, 200)
	if _, isDup, err := table.Check(p, 4, 12, 13); isDup || !errors.Is(err, ErrOutOfOrderSequence) {
		t.Errorf("P26: the old epoch's window answers for the new one: %v, %v", isDup, err)
	}
}

// What is remembered of a producer grows to a full window, and is used again from then on, over epochs too.
func TestAFullWindowTakesNoMemory(t *testing.T) {
	table := New(9, 0)
	at := int32(0)
	epoch := func() {
		for range 4 * windowBatches {
			table.Settle(int64(at))
			win(table, p, int16(at/(4*windowBatches)), at, at, int64(at))
			at++
		}
	}
	epoch()
	if n := testing.AllocsPerRun(100, epoch); n != 0 {
		t.Errorf("%v allocations an epoch of %d batches", n, 4*windowBatches)
	}
	if got := table.byID[p]; len(got.window()) != windowBatches || got.last().First != at-1 {
		t.Errorf("after %d batches: %+v", at, got)
	}
}

func TestSequenceWraps(t *testing.T) {
	const top = 1<<31 - 1
	table := New(9, 0)
	win(table, p, 0, top-1, top, 0)
	if _, _, err := table.Check(p, 0, 0, 3); err != nil {
		t.Errorf("P24: 0 does not follow 2147483647: %v", err)
	}
	var b batch.Builder
	for range 4 {
		b.Add(1, nil, []byte("v"))
	}
	raw, err := b.Build(nil, batch.BuildOptions{ProducerID: p, ProducerEpoch: 0, BaseSequence: top - 1})
	if err != nil {
		t.Fatal(err)
	}
	table = New(9, 0)
	table.Observe(batch.View(raw), 50, 0)
	if got := table.byID[p].last(); got.First != top-1 || got.Last != 1 || got.LastOffset != 53 {
		t.Errorf("a batch across the wrap is remembered as %+v", got)
	}
}

// A checkpoint as of any offset, and the batches behind it, give the table that wrote everything: the same producers,
// the same windows, in the same order, however many did not find room. So they do when all that waited for the log
// is lost, and the checkpoint is what is left.
func TestCheckpointAndReplayGiveTheSameTable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d: set it in the source to replay", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	type step struct {
		id          int64
		epoch       int16
		first, last int32
		base        int64
		bump        bool
	}
	const most = 9
	var steps []step
	seq := map[int64]int32{}
	epoch := map[int64]int16{}
	end := int64(0)
	for range 300 {
		id := int64(rnd.IntN(14))
		bump := rnd.IntN(20) == 0
		if bump {
			epoch[id]++
			seq[id] = 0
		}
		n := int32(1 + rnd.IntN(4))
		steps = append(steps, step{id, epoch[id], seq[id], seq[id] + n - 1, end, bump})
		seq[id] += n
		end += int64(n)
	}
	play := func(table *Table, steps []step) *Table {
		for _, s := range steps {
			win(table, s.id, s.epoch, s.first, s.last, s.base)
		}
		return table
	}
	full := play(New(most, end), steps).list()
	for at := range steps {
		cut := steps[at].base
		waits := at // up to which step batches wait: of one producer no more than its window holds, all of one epoch
		for most := min(at+rnd.IntN(windowBatches), len(steps)); waits < most && !steps[waits].bump; {
			waits++
		}
		live := play(New(most, cut), steps[:waits])
		again := loaded(t, live.Checkpoint(AsOf{Offset: segment.Offset(cut)}), most, end)
		whole := play(New(most, cut), steps[:at])
		if waits == at && !slices.Equal(again.list(), whole.list()) {
			t.Fatalf("cut at step %d: got\n%q, want\n%q", at, again.list(), whole.list())
		}
		if got, want := slices.Sorted(maps.Keys(again.byID)), slices.Sorted(maps.Keys(whole.byID)); !slices.Equal(got, want) {
			t.Fatalf("cut at step %d, lost to step %d: got %v, want %v", at, waits, got, want)
		}
		if got := play(again, steps[at:]).list(); !slices.Equal(got, full) {
			t.Fatalf("cut at step %d, replayed: got\n%q, want\n%q", at, got, full)
		}
		live.Settle(end)
		if len(live.evicted) > 0 {
			t.Fatalf("cut at step %d: %d that gave way are kept when all is in the log", at, len(live.evicted))
		}
	}
}

func TestLoadProducersRefusesDamage(t *testing.T) {
	table := New(9, 0)
	win(table, 1, 0, 0, 3, 10)
	win(table, 2, 5, 0, 0, 14)
	blob := table.Checkpoint(AsOf{Offset: 100})
	if again := loaded(t, blob, 9, 100).Checkpoint(AsOf{Offset: 100}); !bytes.Equal(again, blob) {
		t.Fatalf("a checkpoint does not survive itself: %x, want %x", again, blob)
	}
	load := func(b []byte) error { return New(9, 100).Load(b, new(AsOf)) }
	for n := 1; n < len(blob); n++ {
		if err := load(blob[:n]); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if err := load(append(bytes.Clone(blob), 0)); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("with a byte too many: %v", err)
	}
	huge := bytes.Clone(blob)
	huge[2], huge[3], huge[4], huge[5] = 0xff, 0xff, 0xff, 0x7f
	if err := load(huge); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("with a huge count: %v", err)
	}
}

// Batches that wait may fill a whole window when a segment is sealed, and may
// be lost in a crash: the checkpoint still knows where the producer stood.
func TestCheckpointBehindAWindowThatWaits(t *testing.T) {
	five := New(9, 0)
	for i := range int32(6) {
		win(five, p, 3, i, i, int64(i))
	}
	bumped := New(9, 0)
	win(bumped, p, 3, 0, 0, 0)
	win(bumped, p, 4, 0, 0, 1)
	for name, table := range map[string]*Table{"five wait": five, "a new epoch waits": bumped} {
		got := loaded(t, table.Checkpoint(AsOf{Offset: 1}), 9, 1)
		if dup, isDup, err := got.Check(p, 3, 0, 0); err != nil || !isDup || dup.Base != 0 {
			t.Errorf("%s: the batch in the log again: %+v, %v, %v", name, dup, isDup, err)
		}
		if _, _, err := got.Check(p, 3, 1, 1); err != nil {
			t.Errorf("%s: next sequence: %v", name, err)
		}
		if _, _, err := got.Check(p, 3, 2, 2); !errors.Is(err, ErrOutOfOrderSequence) {
			t.Errorf("%s: a gap: %v", name, err)
		}
		if _, _, err := got.Check(p, 2, 0, 0); !errors.Is(err, ErrInvalidProducerEpoch) {
			t.Errorf("%s: an older epoch: %v", name, err)
		}
	}
}

func TestExpireForgetsIdleProducers(t *testing.T) {
	table := New(9, 0)
	win(table, 1, 0, 0, 0, 10) // the helper writes the offset as the timestamp
	win(table, 2, 0, 0, 0, 20)
	table.Expire(20, nil)
	if got := table.list(); len(got) != 1 || table.byID[2] == nil {
		t.Errorf("P27: %q left", got)
	}
}

// A checkpoint with more producers than are kept, as earlier releases wrote them: those that wrote last stay.
func TestLoadKeepsThoseThatWroteLast(t *testing.T) {
	table := New(100, 0)
	for i, id := range rand.Perm(100) {
		win(table, int64(id), 0, 0, 0, int64(i))
	}
	few := loaded(t, table.Checkpoint(AsOf{Offset: 100}), 10, 100)
	if got, want := few.list(), table.list()[90:]; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A client makes up ten times as many producer ids as a partition remembers. Whoever goes on writing stays.
func TestMadeUpProducersAreBounded(t *testing.T) {
	table := New(Max, 0)
	base := int64(0)
	for i := range int32(10) {
		win(table, -1-p, 0, i, i, base)
		base++
		for range Max {
			win(table, base<<8, 0, 0, 0, base)
			base++
		}
		table.Settle(base)
		if n := len(table.byID); n > Max || n < min(int(base), Max) {
			t.Fatalf("%d producers after %d batches", n, base)
		}
	}
	win(table, -1-p, 0, 10, 10, base)
	for i := range int64(Max - 1) {
		win(table, i, 0, 0, 0, base+1+i)
	}
	if _, _, err := table.Check(-1-p, 0, 12, 12); !errors.Is(err, ErrOutOfOrderSequence) {
		t.Errorf("P24 the producer that wrote within the last %d: a gap is %v", Max, err)
	}
	win(table, 1<<62, 0, 0, 0, base+Max)
	if _, _, err := table.Check(-1-p, 0, 12, 12); err != nil || table.byID[-1-p] != nil {
		t.Errorf("P23 the producer that %d others wrote after: %v", Max, err)
	}
	if n := len(table.Checkpoint(AsOf{Offset: segment.Offset(base + 2*Max)})); n > 2<<20 {
		t.Errorf("the checkpoint has %d bytes", n)
	}
}

// BenchmarkProducerMemory reports what a partition's memory grows by for each producer that wrote so many batches.
func BenchmarkProducerMemory(b *testing.B) {
	for _, batches := range []int32{1, 2, 10} {
		b.Run(fmt.Sprintf("batches=%d", batches), func(b *testing.B) {
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				table := New(Max, 1<<40)
				for i := range batches {
					for id := range int64(Max) {
						win(table, id, 0, i, i, int64(i)<<32+id)
					}
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				runtime.KeepAlive(table)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/Max, "B/producer")
		})
	}
}
