package partition

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"chronik/kafka/batch"
)

const p = int64(7) // a producer id

func win(t producers, id int64, epoch int16, first, last int32, base int64) {
	pr := t[id]
	if pr == nil {
		pr = &producer{epoch: epoch}
		t[id] = pr
	}
	pr.add(epoch, producedBatch{first: first, last: last, base: base, lastOffset: base + int64(last-first), timestamp: base})
}

// Rules of semantics P21 to P26 and P31.
func TestSequences(t *testing.T) {
	table := producers{}
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
		dup, isDup, err := table.check(c.id, c.epoch, c.first, c.last)
		if !errors.Is(err, c.err) || isDup != (c.dupBase >= 0) || (isDup && dup.base != c.dupBase) {
			t.Errorf("%s: got %+v, %v, %v", c.name, dup, isDup, err)
		}
	}
	win(table, p, 4, 0, 0, 200)
	if _, isDup, err := table.check(p, 4, 12, 13); isDup || !errors.Is(err, ErrOutOfOrderSequence) {
		t.Errorf("P26: the old epoch's window answers for the new one: %v, %v", isDup, err)
	}
}

func TestSequenceWraps(t *testing.T) {
	const top = 1<<31 - 1
	table := producers{}
	win(table, p, 0, top-1, top, 0)
	if _, _, err := table.check(p, 0, 0, 3); err != nil {
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
	table = producers{}
	table.observe(batch.View(raw), 50, 0)
	if got, _ := table[p].last(); got.first != top-1 || got.last != 1 || got.lastOffset != 53 {
		t.Errorf("a batch across the wrap is remembered as %+v", got)
	}
}

// A checkpoint as of any offset, and the batches behind it, give the table
// that wrote everything.
func TestCheckpointAndReplayGiveTheSameTable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d: set it in the source to replay", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	type step struct {
		id          int64
		epoch       int16
		first, last int32
		base        int64
	}
	var steps []step
	full := producers{}
	seq := map[int64]int32{}
	epoch := map[int64]int16{}
	end := int64(0)
	for range 300 {
		id := int64(rnd.IntN(9))
		if rnd.IntN(20) == 0 {
			epoch[id]++
			seq[id] = 0
		}
		n := int32(1 + rnd.IntN(4))
		s := step{id, epoch[id], seq[id], seq[id] + n - 1, end}
		seq[id] += n
		end += int64(n)
		steps = append(steps, s)
		win(full, s.id, s.epoch, s.first, s.last, s.base)
	}
	for at := 0; at <= len(steps); at++ {
		cut := end
		if at < len(steps) {
			cut = steps[at].base
		}
		got, err := loadProducers(full.checkpoint(cut))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps[at:] {
			win(got, s.id, s.epoch, s.first, s.last, s.base)
		}
		for id, want := range full {
			g := got[id]
			if g == nil || g.epoch != want.epoch || g.n != want.n || !reflect.DeepEqual(g.window[:g.n], want.window[:want.n]) {
				t.Fatalf("cut at step %d, producer %d: got %+v, want %+v", at, id, g, want)
			}
		}
	}
}

func TestLoadProducersRefusesDamage(t *testing.T) {
	table := producers{}
	win(table, 1, 0, 0, 3, 10)
	win(table, 2, 5, 0, 0, 14)
	blob := table.checkpoint(100)
	if again, err := loadProducers(blob); err != nil || !bytes.Equal(again.checkpoint(100), blob) {
		t.Fatalf("a checkpoint does not survive itself: %v", err)
	}
	for n := 1; n < len(blob); n++ {
		if _, err := loadProducers(blob[:n]); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := loadProducers(append(bytes.Clone(blob), 0)); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("with a byte too many: %v", err)
	}
	huge := bytes.Clone(blob)
	huge[2], huge[3], huge[4], huge[5] = 0xff, 0xff, 0xff, 0x7f
	if _, err := loadProducers(huge); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("with a huge count: %v", err)
	}
}

// Batches that wait may fill a whole window when a segment is sealed, and may
// be lost in a crash: the checkpoint still knows where the producer stood.
func TestCheckpointBehindAWindowThatWaits(t *testing.T) {
	five := producers{}
	for i := range int32(6) {
		win(five, p, 3, i, i, int64(i))
	}
	bumped := producers{}
	win(bumped, p, 3, 0, 0, 0)
	win(bumped, p, 4, 0, 0, 1)
	for name, table := range map[string]producers{"five wait": five, "a new epoch waits": bumped} {
		got, err := loadProducers(table.checkpoint(1))
		if err != nil {
			t.Fatal(err)
		}
		if dup, isDup, err := got.check(p, 3, 0, 0); err != nil || !isDup || dup.base != 0 {
			t.Errorf("%s: the batch in the log again: %+v, %v, %v", name, dup, isDup, err)
		}
		if _, _, err := got.check(p, 3, 1, 1); err != nil {
			t.Errorf("%s: next sequence: %v", name, err)
		}
		if _, _, err := got.check(p, 3, 2, 2); !errors.Is(err, ErrOutOfOrderSequence) {
			t.Errorf("%s: a gap: %v", name, err)
		}
		if _, _, err := got.check(p, 2, 0, 0); !errors.Is(err, ErrInvalidProducerEpoch) {
			t.Errorf("%s: an older epoch: %v", name, err)
		}
	}
}

func TestExpireForgetsIdleProducers(t *testing.T) {
	table := producers{}
	win(table, 1, 0, 0, 0, 10) // the helper writes the offset as the timestamp
	win(table, 2, 0, 0, 0, 20)
	table.expire(20)
	if len(table) != 1 || table[2] == nil {
		t.Errorf("P27: %v left", table)
	}
}
