package partition

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chronik/broker/partition/producers"
	"chronik/broker/partition/txns"
	"chronik/internal/vfs"
	"chronik/raftstore/multiraft"
	"chronik/segment"
	"chronik/wal"
)

func TestAppendReadRestart(t *testing.T) {
	r := newRig(t, nil)
	if s := r.p.State(); s.Epoch != 0 || s.HighWatermark != 0 || s.End != 0 || s.Leader != 1 {
		t.Errorf("a new partition is %+v", s)
	}
	if res := r.mustAppend(plain, 100, "a", "b"); res.BaseOffset != 0 || res.LastOffset != 1 {
		t.Errorf("first append: %+v", res)
	}
	if res := r.mustAppend(plain, 90, "c"); res.BaseOffset != 2 {
		t.Errorf("second append: %+v", res)
	}
	for from, want := range []string{"0=a 1=b 2=c", "0=a 1=b 2=c", "2=c", ""} { // F5: from the batch that holds it
		if got := r.read(int64(from), 1<<20); got != want {
			t.Errorf("from %d: %q, want %q", from, got, want)
		}
	}
	r.reopen()
	if s := r.p.State(); s.Epoch != 1 || s.HighWatermark != 3 || s.End != 3 {
		t.Errorf("after a restart: %+v", s)
	}
	if res := r.mustAppend(plain, 95, "d"); res.BaseOffset != 3 {
		t.Errorf("append after a restart: %+v", res)
	}
	if got, want := r.read(0, 1<<20), "0=a 1=b 2=c 3=d"; got != want {
		t.Errorf("after a restart: %q, want %q", got, want)
	}
}

func TestReadLimits(t *testing.T) {
	r := newRig(t, nil)
	size := len(records(t, plain, 0, "0123456789"))
	for range 4 {
		r.mustAppend(plain, 0, "0123456789")
	}
	one := func(n int) string {
		var s []string
		for i := range n {
			s = append(s, fmt.Sprintf("%d=0123456789", i))
		}
		return strings.Join(s, " ")
	}
	for _, c := range []struct{ bytes, batches int }{{1, 1}, {size, 1}, {2*size - 1, 1}, {2 * size, 2}, {3*size + 5, 3}, {1 << 20, 4}} {
		if got, want := r.read(0, c.bytes), one(c.batches); got != want {
			t.Errorf("F3 with %d bytes: %q, want %q", c.bytes, got, want)
		}
	}
	res, _, err := r.p.Read(Read{BytesMax: size - 1, CurrentEpoch: -1, LastEpoch: -1}, nil)
	if err != nil || res.Bytes != 0 {
		t.Errorf("F3: a later partition got %d bytes of %d: %v", res.Bytes, size-1, err)
	}
	for _, offset := range []int64{-1, 5} {
		if _, _, err := r.p.Read(Read{Offset: offset, BytesMax: 1, AtLeastOne: true, CurrentEpoch: -1, LastEpoch: -1}, nil); !errors.Is(err, ErrOutOfRange) {
			t.Errorf("F2 at %d: %v", offset, err)
		}
	}
}

func TestLeaderEpochChecks(t *testing.T) {
	r := newRig(t, nil)
	r.reopen() // epoch 1
	for epoch, want := range map[int32]error{-1: nil, 0: ErrFencedEpoch, 1: nil, 2: ErrUnknownEpoch} {
		_, _, err := r.p.Read(Read{CurrentEpoch: epoch, LastEpoch: -1, BytesMax: 1}, nil)
		if !errors.Is(err, want) {
			t.Errorf("F11 read with epoch %d: %v, want %v", epoch, err, want)
		}
		if _, err := r.p.Latest(epoch, ReadUncommitted); !errors.Is(err, want) {
			t.Errorf("L8 latest with epoch %d: %v, want %v", epoch, err, want)
		}
		if err := r.p.Append(records(t, plain, 0, "x"), AcksNone, epoch, nil, 0); !errors.Is(err, want) {
			t.Errorf("append with epoch %d: %v, want %v", epoch, err, want)
		}
	}
}

func TestEpochEndsOverRestarts(t *testing.T) {
	r := newRig(t, nil)
	r.mustAppend(plain, 0, "a", "b", "c") // epoch 0: 0..2
	r.reopen()
	r.reopen()                       // epoch 1 wrote nothing
	r.mustAppend(plain, 0, "d", "e") // epoch 2: 3..4
	r.reopen()                       // epoch 3: newest
	for _, c := range []struct {
		ask, epoch int32
		end        int64
		rule       string
	}{{0, 0, 3, "E3"}, {1, 0, 3, "E3, an epoch without records"}, {2, 2, 5, "E3"}, {3, 3, 5, "E1"}, {4, -1, -1, "E2"}, {-1, -1, -1, "E2"}} {
		epoch, end, err := r.p.EpochEnd(-1, c.ask)
		if err != nil || epoch != c.epoch || end != c.end {
			t.Errorf("%s: epoch %d ends at (%d, %d), %v; want (%d, %d)", c.rule, c.ask, epoch, end, err, c.epoch, c.end)
		}
	}
	res, _, err := r.p.Read(Read{Offset: 4, LastEpoch: 1, CurrentEpoch: -1, BytesMax: 100}, nil)
	if err != nil || !res.Diverging || res.DivergeEpoch != 0 || res.DivergeEnd != 3 {
		t.Errorf("F12: %+v, %v", res, err)
	}
	res, _, err = r.p.Read(Read{Offset: 4, LastEpoch: 2, CurrentEpoch: -1, BytesMax: 1000}, nil)
	if err != nil || res.Diverging || res.Bytes == 0 {
		t.Errorf("F12 without divergence: %+v, %v", res, err)
	}
	res.Release()
}

func TestTimestamps(t *testing.T) {
	r := newRig(t, nil)
	r.mustAppend(plain, 100, "a", "b", "c") // 100 101 102
	r.mustAppend(plain, 300, "d")
	r.mustAppend(plain, 200, "e", "f") // 200 201
	r.mustAppend(plain, 300, "g")
	for _, c := range []struct {
		ts  int64
		pos Position
	}{
		{0, Position{0, 100, 0}}, {101, Position{1, 101, 0}}, {103, Position{3, 300, 0}}, {300, Position{3, 300, 0}}, {301, None},
	} {
		if got, err := r.p.ByTimestamp(-1, c.ts, ReadUncommitted); err != nil || got != c.pos {
			t.Errorf("L5 %d: %+v, %v; want %+v", c.ts, got, err, c.pos)
		}
	}
	if got, err := r.p.MaxTimestamp(-1, ReadUncommitted); err != nil || got != (Position{3, 300, 0}) {
		t.Errorf("L3: %+v, %v", got, err)
	}
	if _, err := r.p.DeleteRecords(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	if got, err := r.p.ByTimestamp(-1, 0, ReadUncommitted); err != nil || got != (Position{4, 200, 0}) {
		t.Errorf("L5 behind a moved log start: %+v, %v", got, err)
	}
	if got, err := r.p.Earliest(-1); err != nil || got.Offset != 4 || got.Epoch != 0 {
		t.Errorf("L2: %+v, %v", got, err)
	}
	if got, err := r.p.MaxTimestamp(-1, ReadUncommitted); err != nil || got.Timestamp != 300 || got.Offset != 6 {
		t.Errorf("L3 behind a moved log start: %+v, %v", got, err)
	}
}

func TestDeleteRecords(t *testing.T) {
	r := newRig(t, nil)
	r.mustAppend(plain, 0, "a", "b", "c")
	r.mustAppend(plain, 0, "d")
	for _, c := range []struct{ ask, start int64 }{{1, 1}, {0, 1}, {3, 3}, {-1, 4}} {
		if got, err := r.p.DeleteRecords(t.Context(), c.ask); err != nil || got != c.start {
			t.Errorf("R1 %d: %d, %v; want %d", c.ask, got, err, c.start)
		}
	}
	for _, ask := range []int64{5, -2} {
		if _, err := r.p.DeleteRecords(t.Context(), ask); !errors.Is(err, ErrOutOfRange) {
			t.Errorf("R1 %d: %v", ask, err)
		}
	}
	r.reopen()
	if s := r.p.State(); s.LogStart != 4 || s.HighWatermark != 4 {
		t.Errorf("after a restart: %+v", s)
	}
	if res := r.mustAppend(plain, 0, "e"); res.BaseOffset != 4 {
		t.Errorf("append at the log start: %+v", res)
	}
}

func TestIdempotenceOverRestartsAndSegments(t *testing.T) {
	r := newRig(t, nil)
	want := map[int32]int64{}
	for seq := range int32(40) {
		res := r.mustAppend(sequence{9, 0, seq}, int64(seq), "v")
		want[seq] = res.BaseOffset
		switch seq % 10 {
		case 3:
			if err := r.p.log.Roll(); err != nil { // a checkpoint in the middle of the window
				t.Fatal(err)
			}
		case 6:
			r.reopen()
		}
		for back := max(0, seq-4); back <= seq; back++ {
			dup := r.mustAppend(sequence{9, 0, back}, int64(back), "v")
			if !dup.Duplicate || dup.BaseOffset != want[back] || dup.Timestamp != int64(back) {
				t.Fatalf("P21 sequence %d again after %d: %+v, want offset %d", back, seq, dup, want[back])
			}
		}
		if _, err := r.append(sequence{9, 0, seq + 2}, 0, "gap"); !errors.Is(err, ErrOutOfOrderSequence) {
			t.Fatalf("P24 gap after %d: %v", seq, err)
		}
	}
	if end := r.p.State().End; end != 40 {
		t.Errorf("the log holds %d records, want 40", end)
	}
	if _, err := r.append(sequence{9, 1, 0}, 0, "new epoch"); err != nil {
		t.Errorf("P23: %v", err)
	}
	if _, err := r.append(sequence{9, 0, 40}, 0, "old epoch"); !errors.Is(err, ErrInvalidProducerEpoch) {
		t.Errorf("P22: %v", err)
	}
}

func TestRetention(t *testing.T) {
	day := int64(24 * 3600 * 1000)
	start := time.UnixMilli(1_700_000_000_000)
	r := newRig(t, map[string]string{"retention.ms": fmt.Sprint(day), "segment.bytes": "1048576"})
	big := strings.Repeat("x", 300_000)
	for i := range 12 { // about four segments
		r.mustAppend(plain, start.UnixMilli()+int64(i), big)
	}
	segs := len(r.p.Segments())
	if segs < 3 {
		t.Fatalf("%d segments, want several", segs)
	}
	retain := func(at time.Time) int64 {
		if err := r.p.Retain(at); err != nil {
			t.Fatal(err)
		}
		return r.p.State().LogStart
	}
	if got := retain(start.Add(24 * time.Hour)); got != 0 {
		t.Errorf("nothing has expired, and the log starts at %d", got)
	}
	if got := retain(start.Add(25 * time.Hour)); got != 12 {
		t.Errorf("all has expired, and the log starts at %d", got)
	}
	if res := r.mustAppend(plain, start.UnixMilli(), "after"); res.BaseOffset != 12 {
		t.Errorf("append behind an empty log: %+v", res)
	}
	r.conf.RetentionMs, r.conf.RetentionBytes = -1, 1_000_000
	for i := range 12 {
		r.mustAppend(plain, start.UnixMilli()+int64(i), big)
	}
	before := r.p.State().Bytes
	got := retain(start)
	if got <= 12 || r.p.State().Bytes < 1_000_000 || r.p.State().Bytes >= before {
		t.Errorf("retention by size: log starts at %d with %d bytes, before %d", got, r.p.State().Bytes, before)
	}
	r.conf.DeleteExpired = false
	r.conf.RetentionBytes = 0
	if again := retain(start.Add(1000 * time.Hour)); again != got {
		t.Errorf("without cleanup.policy=delete the log start moved to %d", again)
	}
}

// A log whose sync fails acknowledges nothing from then on, and says so.
func TestFailedSyncIsFinal(t *testing.T) {
	r := newRig(t, nil)
	r.mustAppend(plain, 0, "kept")
	r.close()
	var fail atomic.Bool // the syncer looks at it
	r.fs = vfs.NewFaulty(r.fs, func(op vfs.Op, name string) error {
		if fail.Load() && op == vfs.OpDatasync && strings.HasPrefix(name, "p/") {
			return errors.New("injected")
		}
		return nil
	})
	r.open()
	fail.Store(true)
	if _, err := r.append(plain, 0, "lost"); !errors.Is(err, ErrStorage) {
		t.Errorf("append over a failing sync: %v", err)
	}
	fail.Store(false)
	r.broken = wal.ErrPoisoned
	if _, err := r.append(plain, 0, "refused"); !errors.Is(err, ErrStorage) {
		t.Errorf("append after a failed sync: %v", err)
	}
	if s := r.p.State(); s.Leading || s.Leader != 0 || s.Err == nil || s.HighWatermark != 1 {
		t.Errorf("after a failed sync: %+v", s)
	}
}

// Random operations against a list, the clever against the dumb.
func TestAgainstAList(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d: set it in the source to replay", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t, map[string]string{"segment.bytes": "1048576"})
	var model []string // by offset
	start := int64(0)
	for step := range 600 {
		switch n := rnd.IntN(100); {
		case n < 60:
			values := make([]string, 1+rnd.IntN(5))
			for i := range values {
				values[i] = fmt.Sprintf("%d.%d", step, i)
			}
			if n < 4 {
				values[0] += strings.Repeat("p", 400_000)
			}
			if res := r.mustAppend(plain, 0, values...); res.BaseOffset != int64(len(model)) {
				t.Fatalf("step %d: base offset %d, want %d", step, res.BaseOffset, len(model))
			}
			model = append(model, values...)
		case n < 90:
			from := start + rnd.Int64N(int64(len(model))-start+1)
			got := r.read(from, 1+rnd.IntN(3000))
			if from == int64(len(model)) {
				if got != "" {
					t.Fatalf("step %d: read %q at the end", step, got)
				}
				continue
			}
			want := fmt.Sprintf("%d=%s", from, model[from])
			if !strings.Contains(" "+got+" ", " "+want+" ") {
				t.Fatalf("step %d: reading from %d does not give %.40q: %.80q", step, from, want, got)
			}
			for _, g := range strings.Fields(got) {
				var at int
				var v string
				fmt.Sscanf(strings.Replace(g, "=", " ", 1), "%d %s", &at, &v)
				if model[at] != v {
					t.Fatalf("step %d: offset %d is %.40q, want %.40q", step, at, v, model[at])
				}
			}
		case n < 93:
			r.reopen()
		case n < 96:
			if err := r.p.log.Roll(); err != nil {
				t.Fatal(err)
			}
		default:
			to := start + rnd.Int64N(int64(len(model))-start+1)/4
			if got, err := r.p.DeleteRecords(t.Context(), to); err != nil || got != to {
				t.Fatalf("step %d: delete to %d: %d, %v", step, to, got, err)
			}
			start = to
		}
		if err := r.p.valid(); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
	}
}

// Acknowledgements come in order and once, from many goroutines at once.
func TestConcurrentAppends(t *testing.T) {
	r := newRig(t, nil)
	const producers, each = 8, 50
	a := make(acks, producers*each)
	for id := range producers {
		go func() {
			for seq := range each {
				if err := r.p.Append(records(t, sequence{int64(id), 0, int32(seq)}, 0, "v"), AcksAll, -1, a, id*each+seq); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	seen := map[int]int64{}
	for range producers * each {
		select {
		case got := <-a:
			if _, twice := seen[got.token]; twice || got.r.Err != nil {
				t.Fatalf("token %d: twice %v, %v", got.token, twice, got.r.Err)
			}
			seen[got.token] = got.r.BaseOffset
		case <-time.After(time.Minute):
			t.Fatalf("%d of %d acknowledged in a minute", len(seen), producers*each)
		}
	}
	for token, offset := range seen {
		if token%each > 0 && seen[token-1] >= offset {
			t.Errorf("producer %d: sequence %d at %d, the one before at %d", token/each, token%each, offset, seen[token-1])
		}
	}
}

// TestLeadershipBegins: the table of producers is rebuilt beside expiry and
// seals, and what was durable before a truncation is not taken for durable now.
func TestLeadershipBegins(t *testing.T) {
	r := newRig(t, nil)
	r.mustAppend(sequence{9, 0, 0}, 1, "a")
	var stop atomic.Bool
	var beside sync.WaitGroup
	beside.Go(func() {
		for !stop.Load() {
			r.p.ExpireProducers(0)
			r.p.checkpoint(1)
		}
	})
	m := (*machine)(r.p)
	for term := segment.Term(5); term < 500; term += 2 {
		m.RoleChanged(multiraft.RoleChange{Role: multiraft.Follower, Term: term})
		m.Durable(100) // as a follower that then lost its end
		m.RoleChanged(multiraft.RoleChange{Role: multiraft.Leader, Term: term + 1, Leader: 1})
	}
	stop.Store(true)
	beside.Wait()
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	if got, want := r.p.ledger.Sequences.String(), "9 epoch 0 [{0 0 0 0 1}]\n"; got != want || !r.p.current {
		t.Errorf("producers %q, want %q, current %v", got, want, r.p.current)
	}
	if err := r.p.valid(); err != nil {
		t.Error(err)
	}
}

// TestProducersAreReplayedOnce: what Open has read is not read again for the entry a term begins with, which holds no
// batches; it is when batches came, or when the end was replaced.
func TestProducersAreReplayedOnce(t *testing.T) {
	r := newRig(t, nil)
	r.mustAppend(sequence{9, 0, 0}, 1, "a")
	m := (*machine)(r.p)
	end := segment.Offset(r.p.State().End)
	for i, c := range []struct {
		next     segment.Offset
		replaced bool
		again    bool
	}{{end, false, false}, {end, true, true}, {end + 1, false, true}} {
		term := segment.Term(10 + 2*i)
		m.RoleChanged(multiraft.RoleChange{Role: multiraft.Follower, Term: term})
		ledger := txns.NewLedger(int64(end))
		r.p.mu.Lock()
		r.p.written, r.p.end = int64(end), int64(end)
		r.p.ledger, r.p.current = ledger, true // as Open leaves it
		r.p.mu.Unlock()
		m.Appended(nil, 0, c.next, c.replaced)
		m.RoleChanged(multiraft.RoleChange{Role: multiraft.Leader, Term: term + 1, Leader: 1})
		r.p.mu.Lock()
		if again := r.p.ledger != ledger; again != c.again || !r.p.current {
			t.Errorf("%+v: read again %v, current %v", c, again, r.p.current)
		}
		r.p.mu.Unlock()
	}
	m.Appended(nil, 0, end, false)
}

// TestMadeUpProducersOverARestart: a partition forgets the same producers whether it has just opened or not.
func TestMadeUpProducersOverARestart(t *testing.T) {
	r := newRig(t, nil)
	r.mustAppend(sequence{9, 0, 0}, 1, "evicted")
	kept := r.mustAppend(sequence{8, 0, 0}, 1, "kept")
	for id := range int64(producers.Max - 2) {
		if err := r.p.Append(records(t, sequence{100 + id, 0, 0}, 1, "made up"), AcksNone, -1, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.p.log.Roll(); err != nil {
		t.Fatal(err)
	}
	r.mustAppend(sequence{99, 0, 0}, 1, "one more")
	for _, when := range []string{"before a restart", "after it"} {
		if n := r.p.ledger.Sequences.Len(); n != producers.Max {
			t.Fatalf("%s: %d producers", when, n)
		}
		if again := r.mustAppend(sequence{8, 0, 0}, 1, "kept"); !again.Duplicate || again.BaseOffset != kept.BaseOffset {
			t.Errorf("P21 %s: the producer that stays: %+v", when, again)
		}
		if strings.Contains("\n"+r.p.ledger.Sequences.String(), "\n9 epoch") {
			t.Errorf("%s: the one that wrote first is still there", when)
		}
		r.reopen()
	}
	if again := r.mustAppend(sequence{9, 0, 5}, 1, "back"); again.Duplicate {
		t.Errorf("P23 the one that gave way comes back with sequence 5: %+v", again)
	}
	if _, err := r.append(sequence{9, 0, 7}, 1, "gap"); !errors.Is(err, ErrOutOfOrderSequence) {
		t.Errorf("P24 and then with a gap: %v", err)
	}
}

// TestNoAcksAreHeldBack: a producer that asks for no acknowledgement is not
// ahead of the disk by more than a bounded amount.
func TestNoAcksAreHeldBack(t *testing.T) {
	r := newRig(t, nil)
	r.close()
	var gate sync.RWMutex
	r.fs = vfs.NewFaulty(r.fs, func(op vfs.Op, name string) error {
		if op == vfs.OpDatasync && strings.HasPrefix(name, "p/") {
			gate.RLock()
			defer gate.RUnlock()
		}
		return nil
	})
	r.open()
	gate.Lock()
	value := strings.Repeat("v", 256<<10)
	const batches = 100
	a := make(acks, batches)
	for i := range batches {
		if err := r.p.Append(records(t, plain, 0, value), AcksNone, -1, a, i); err != nil {
			t.Error(err)
		}
	}
	// Besides what waits, two proposals of 1 MiB may be on their way.
	if told, most := len(a), (pendingBytesMax+3<<20)/len(value); told == 0 || told > most {
		t.Errorf("%d of %d batches were told off while the disk stood still, want 1 to %d", told, batches, most)
	}
	gate.Unlock()
	for seen := map[int]bool{}; len(seen) < batches; {
		select {
		case got := <-a:
			if seen[got.token] || got.r.Err != nil {
				t.Errorf("token %d told again: %v, error %v", got.token, seen[got.token], got.r.Err)
			}
			seen[got.token] = true
		case <-time.After(time.Minute):
			t.Fatalf("%d of %d batches told", len(seen), batches)
		}
	}
}

// TestOldTimestampsAreNotIdleness: P27 is about producers that write no more,
// whatever the times of their records.
func TestOldTimestampsAreNotIdleness(t *testing.T) {
	r := newRig(t, nil)
	first := r.mustAppend(sequence{9, 0, 0}, 1, "from 1970")
	expire := func() { r.p.ExpireProducers(r.clock.Now().Add(-time.Hour).UnixMilli()) }
	expire()
	if again := r.mustAppend(sequence{9, 0, 0}, 1, "from 1970"); !again.Duplicate || again.BaseOffset != first.BaseOffset {
		t.Errorf("sent again: %+v", again)
	}
	r.clock.Advance(2 * time.Hour)
	expire()
	if again := r.mustAppend(sequence{9, 0, 0}, 1, "from 1970"); again.Duplicate {
		t.Errorf("sent again after two idle hours: %+v", again)
	}
}

// TestFullDisk: appends are refused and told so while reads go on; with room again everything that was accepted is in
// the log once, however often it was sent.
func TestFullDisk(t *testing.T) {
	r := newRig(t, nil)
	mem := r.fs.(*vfs.Mem)
	first := r.mustAppend(sequence{9, 0, 0}, 1, "a")
	u, err := mem.Usage("p")
	if err != nil {
		t.Fatal(err)
	}
	mem.SetCapacity(u.Total - u.Free)
	big := strings.Repeat("x", 10_000)
	seq, waiting := int32(1), acks(make(acks, 1000))
	var sent [][]byte
	for { // until it is told; what is sent meanwhile waits or is in the log
		b := records(t, sequence{9, 0, seq}, 1, big)
		if err := r.p.Append(b, AcksAll, -1, waiting, int(seq)); err != nil {
			if !errors.Is(err, ErrStorage) || !errors.Is(err, vfs.ErrNoSpace) {
				t.Fatalf("refused with %v", err)
			}
			break
		}
		sent = append(sent, b)
		seq++
		got := <-waiting // one in flight
		if got.r.Err != nil && (!errors.Is(got.r.Err, ErrStorage) || !errors.Is(got.r.Err, vfs.ErrNoSpace)) {
			t.Fatalf("append %d: %v", seq, got.r.Err)
		}
	}
	s := r.p.State()
	if !s.Leading || s.Err != nil || !errors.Is(s.NoRoom, vfs.ErrNoSpace) || s.HighWatermark < 1 || s.HighWatermark >= int64(seq) {
		t.Errorf("without room: %+v", s)
	}
	if got := r.read(0, 1); got != "0=a" {
		t.Errorf("read without room: %q", got)
	}
	if again := r.mustAppend(sequence{9, 0, 0}, 1, "a"); !again.Duplicate || again.BaseOffset != first.BaseOffset {
		t.Errorf("what is in the log, sent again: %+v", again)
	}
	for i := range 2 { // what waits, and what comes after it whatever its sequence
		if err := r.p.Append(records(t, sequence{9, 0, seq - 1 + int32(7*i)}, 1, big), AcksAll, -1, waiting, 0); !errors.Is(err, ErrStorage) {
			t.Errorf("sent again: %v", err)
		}
	}
	if err := r.p.Retain(r.clock.Now()); !errors.Is(err, vfs.ErrNoSpace) { // everything is old, and there is no room to roll
		t.Errorf("retention without room: %v", err)
	}
	mem.SetCapacity(0)
	r.await(func() bool { s := r.p.State(); return s.NoRoom == nil && s.HighWatermark == int64(seq) })
	again := r.mustAppend(sequence{9, 0, seq - 1}, 1, big)
	if !again.Duplicate || again.BaseOffset != int64(seq-1) {
		t.Errorf("the refused append, sent again: %+v", again)
	}
	if next := r.mustAppend(sequence{9, 0, seq}, 1, "z"); next.Duplicate || next.BaseOffset != int64(seq) {
		t.Errorf("the next one: %+v", next)
	}
	r.reopen()
	if got := strings.Count(r.read(0, 1<<30), "="); got != int(seq)+1 {
		t.Errorf("%d records after a restart, want %d", got, seq+1)
	}
}

// TestLargeBatchIsLetGo appends a batch that is larger than a proposal is meant to be: an idle partition does not hold
// on to it.
func TestLargeBatchIsLetGo(t *testing.T) {
	r := newRig(t, map[string]string{"max.message.bytes": "10000000"})
	r.mustAppend(plain, 0, strings.Repeat("v", 3<<20))
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	if cap(r.p.pending) != 0 {
		t.Errorf("%d bytes are held", cap(r.p.pending))
	}
}
