package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal/manifest"
)

// TestNoSpace: a full disk stops appends with an error, at whatever step of a
// roll it shows, keeps reads working, and appends go on when there is room.
func TestNoSpace(t *testing.T) {
	for capacity := int64(40 << 10); capacity < 120<<10; capacity += 1111 {
		m := vfs.NewMem()
		l := open(t, small(m))
		m.SetCapacity(capacity)
		var err error
		for err == nil {
			e := segment.Entry{Index: l.LastIndex() + 1, Term: 1, Kind: segment.KindData, BaseOffset: l.NextOffset(), Count: 2,
				MaxTimestamp: 1, Payload: payload(l.LastIndex()+1, 700)}
			err = l.Append([]segment.Entry{e})
		}
		if !errors.Is(err, vfs.ErrNoSpace) {
			t.Fatalf("capacity %d: %v", capacity, err)
		}
		last := l.LastIndex()
		if err := l.SyncWait(); err != nil && !errors.Is(err, vfs.ErrNoSpace) { // a roll may want room to settle
			t.Fatalf("capacity %d: %v", capacity, err)
		}
		check := func(l *Log, upTo Index) {
			t.Helper()
			out, err := l.Entries(1, upTo+1, 1<<30, nil)
			must(t, err)
			for i, e := range out {
				if string(e.Payload) != string(payload(Index(i+1), 700)) {
					t.Fatalf("capacity %d: entry %d differs", capacity, i+1)
				}
			}
		}
		check(l, last)
		m.SetCapacity(0)
		fill(t, l, 30, 700)
		check(l, last+30)
		must(t, l.SyncWait())
		l2 := open(t, small(m.Crash(uint64(capacity))))
		if l2.LastIndex() != last+30 {
			t.Fatalf("capacity %d: last %d, want %d", capacity, l2.LastIndex(), last+30)
		}
		check(l2, last+30)
	}
}

// TestPoison: after a failed sync nothing more is acknowledged, reads go on.
func TestPoison(t *testing.T) {
	var broken atomic.Bool
	m := vfs.NewMem()
	fsys := vfs.NewFaulty(m, func(op vfs.Op, _ string) error {
		if op == vfs.OpDatasync && broken.Load() {
			return io.ErrNoProgress
		}
		return nil
	})
	l := open(t, small(fsys))
	fill(t, l, 3, 100)
	must(t, l.SyncWait())
	fill(t, l, 2, 100)
	broken.Store(true)
	if err := l.SyncWait(); !errors.Is(err, ErrPoisoned) || !errors.Is(err, io.ErrNoProgress) {
		t.Fatal(err)
	}
	broken.Store(false)
	if err := l.SyncWait(); !errors.Is(err, ErrPoisoned) {
		t.Fatalf("sync again: %v", err)
	}
	e := segment.Entry{Index: 6, Term: 1, Kind: segment.KindData, BaseOffset: 10}
	for name, err := range map[string]error{"append": l.Append([]segment.Entry{e}), "roll": l.Roll(), "truncate": l.TruncateFrom(4),
		"start in what is not durable": l.SetStart(9)} {
		if !errors.Is(err, ErrPoisoned) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if l.DurableIndex() != 3 || l.DurableOffset() != 6 || l.LastIndex() != 5 {
		t.Fatalf("durable %d, %d, last %d", l.DurableIndex(), l.DurableOffset(), l.LastIndex())
	}
	if out, err := l.Entries(1, 6, 1<<20, nil); err != nil || len(out) != 5 {
		t.Fatalf("read %d, %v", len(out), err)
	}
	if err := l.Close(); !errors.Is(err, ErrPoisoned) {
		t.Fatalf("close: %v", err)
	}
	l = open(t, small(m)) // opened and verified again, it is sound
	fill(t, l, 1, 100)
	must(t, l.SyncWait())
}

// TestShapeErrors: a failure at each step of roll, cut and drop leaves the log
// as it was, usable or poisoned, and a crash there leaves one that opens.
func TestShapeErrors(t *testing.T) {
	ops := map[string]func(l *Log) error{
		"roll":            func(l *Log) error { return l.Roll() },
		"truncate active": func(l *Log) error { return l.TruncateFrom(l.LastIndex() - 1) },
		"truncate sealed": func(l *Log) error { return l.TruncateFrom(5) },
		"start":           func(l *Log) error { return l.SetStart(l.NextOffset() - 1) },
	}
	for name, op := range ops {
		t.Run(name, func(t *testing.T) {
			for at := 1; ; at++ {
				m := vfs.NewMem()
				armed, calls := false, 0
				fsys := vfs.NewFaulty(m, func(vfs.Op, string) error {
					if armed {
						calls++
						if calls == at {
							return io.ErrNoProgress
						}
					}
					return nil
				})
				l := open(t, small(fsys))
				fill(t, l, 60, 500)
				must(t, l.SyncWait())
				first, last, next := l.FirstIndex(), l.LastIndex(), l.NextOffset()
				armed = true
				err := op(l)
				armed = false
				if calls < at {
					must(t, err)
					break
				}
				c := open(t, small(m.Crash(uint64(at))))
				if err == nil { // the step that failed was tidying up
					continue
				}
				if !errors.Is(err, io.ErrNoProgress) {
					t.Fatalf("step %d: %v", at, err)
				}
				if l.FirstIndex() != first || l.LastIndex() != last || l.NextOffset() != next {
					t.Fatalf("step %d: the log changed", at)
				}
				if c.LastIndex() > last || c.FirstIndex() > last {
					t.Fatalf("step %d: crash left [%d, %d]", at, c.FirstIndex(), c.LastIndex())
				}
				out, err := l.Entries(1, last+1, 1<<30, nil)
				must(t, err)
				if len(out) != int(last) {
					t.Fatalf("step %d: %d entries", at, len(out))
				}
			}
		})
	}
}

// TestTruncateDurable: what was cut does not come back, whatever the disk kept.
func TestTruncateDurable(t *testing.T) {
	for seed := range uint64(100) {
		m := vfs.NewMem()
		l := open(t, small(m))
		fill(t, l, 20, 500)
		if seed%2 == 0 {
			must(t, l.SyncWait())
		}
		cut := Index(seed%20 + 1)
		must(t, l.TruncateFrom(cut))
		if l.DurableIndex() != cut-1 {
			t.Fatalf("durable %d after a cut from %d", l.DurableIndex(), cut)
		}
		e := segment.Entry{Index: cut, Term: 2, Kind: segment.KindData, BaseOffset: l.NextOffset(), Count: 1, MaxTimestamp: 1, Payload: []byte("new")}
		must(t, l.Append([]segment.Entry{e}))
		c := open(t, small(m.Crash(seed)))
		if last := c.LastIndex(); last != cut-1 && last != cut {
			t.Fatalf("seed %d: last %d after a cut from %d", seed, last, cut)
		}
		if c.LastCut().From != cut {
			t.Fatalf("seed %d: cut %+v", seed, c.LastCut())
		}
		if c.LastIndex() == cut {
			if term, err := c.Term(cut); err != nil || term != 2 {
				t.Fatalf("seed %d: term %d, %v", seed, term, err)
			}
		}
	}
}

// TestTruncateDuringSync: a sync under way does not call durable what a
// truncation has dropped meanwhile: one that comes between the write-out and the
// flush.
func TestTruncateDuringSync(t *testing.T) {
	var l *Log
	cutting := false
	fsys := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op, name string) error {
		if op == vfs.OpDatasync && cutting && strings.HasSuffix(name, manifest.Name) {
			cutting = false
			return l.TruncateFrom(3)
		}
		return nil
	})
	o := small(fsys)
	o.Syncer = NewSyncer(SyncerOptions{})
	defer o.Syncer.Close()
	l = open(t, o)
	fill(t, l, 5, 100)
	l.extending.Store(true) // a log alone is written out too, then
	cutting = true
	must(t, l.SyncWait())
	if cutting || l.LastIndex() != 2 || l.DurableIndex() != 2 || l.DurableOffset() != 4 {
		t.Fatalf("last %d, durable %d, offset %d", l.LastIndex(), l.DurableIndex(), l.DurableOffset())
	}
}

// TestTruncateBesideSyncs: however a sync and a truncation meet, nothing is
// called durable that is not in the log.
func TestTruncateBesideSyncs(t *testing.T) {
	l := open(t, small(vfs.NewMem()))
	var stop atomic.Bool
	var syncs sync.WaitGroup
	syncs.Go(func() {
		for !stop.Load() {
			if err := l.sync.syncActive(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer syncs.Wait()
	defer stop.Store(true)
	for round := range 3000 {
		fill(t, l, 3, 10)
		must(t, l.TruncateFrom(l.LastIndex()-1))
		if durable, last := l.DurableIndex(), l.LastIndex(); durable > last {
			t.Fatalf("round %d: durable up to %d, the log ends at %d", round, durable, last)
		}
		must(t, l.SetStart(l.NextOffset()))
	}
}

func TestTruncateBounds(t *testing.T) {
	l := open(t, small(vfs.NewMem()))
	fill(t, l, 60, 500)
	must(t, l.TruncateFrom(61))
	must(t, l.SetStart(l.Segments()[1].NextOffset))
	if first := l.FirstIndex(); first < 2 {
		t.Fatalf("first %d", first)
	}
	if err := l.TruncateFrom(l.FirstIndex() - 1); !errors.Is(err, ErrCompacted) {
		t.Fatal(err)
	}
	for _, c := range []struct {
		lo, hi Index
		want   error
	}{{l.FirstIndex() - 1, 61, ErrCompacted}, {50, 62, ErrUnavailable}} {
		if _, err := l.Entries(c.lo, c.hi, 1, nil); !errors.Is(err, c.want) {
			t.Fatalf("entries [%d, %d): %v", c.lo, c.hi, err)
		}
	}
	if term, err := l.Term(l.FirstIndex() - 1); err != nil || term != 1 {
		t.Fatalf("term before the first: %d, %v", term, err)
	}
	if _, err := l.Term(l.FirstIndex() - 2); !errors.Is(err, ErrCompacted) {
		t.Fatal(err)
	}
	if err := l.SetStart(l.NextOffset() + 1); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Fatal(err)
	}
	if _, _, err := l.Read(l.StartOffset()-1, 1000, 1, nil); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Fatal(err)
	}
	must(t, l.Close())
	if err := l.Append(nil); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if _, _, err := l.Read(0, 1, 1, nil); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if err := l.SyncWait(); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if err := l.Close(); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

// TestFarOffset: offsets may jump by more than a segment's table can hold.
func TestFarOffset(t *testing.T) {
	m := vfs.NewMem()
	l := open(t, small(m))
	for i, off := range []Offset{1 << 40, 1<<40 + 5, 1 << 50} {
		must(t, l.Append([]segment.Entry{{Index: Index(i + 1), Term: 1, Kind: segment.KindData, BaseOffset: off, Count: 1, MaxTimestamp: 1, Payload: []byte{byte(i)}}}))
	}
	must(t, l.Close())
	l = open(t, small(m))
	out, ref, err := l.Read(7, 1<<60, 1<<20, nil)
	if err != nil || len(out) != 3 || out[2].BaseOffset != 1<<50 || out[1].Payload[0] != 1 {
		t.Fatalf("%v, %v", out, err)
	}
	ref.Release()
}

// TestLargeFrame: a frame larger than a segment gets one of its own, also as
// the first.
func TestLargeFrame(t *testing.T) {
	m := vfs.NewMem()
	l := open(t, small(m))
	fill(t, l, 1, 100_000)
	fill(t, l, 1, 10)
	fill(t, l, 2, 100_000)
	must(t, l.Close())
	l = open(t, small(m))
	out, err := l.Entries(1, 5, 1<<20, nil)
	must(t, err)
	for i, n := range []int{100_000, 10, 100_000, 100_000} {
		if string(out[i].Payload) != string(payload(Index(i+1), n)) {
			t.Fatalf("entry %d differs", i+1)
		}
	}
}

// TestSyncer: everyone who waits is answered, after what came before is
// durable, with several logs at a time.
func TestSyncer(t *testing.T) {
	m := vfs.NewMem()
	var rounds, logsSynced atomic.Int64
	s := NewSyncer(SyncerOptions{Parallel: 3, Observe: func(r Round) { rounds.Add(1); logsSynced.Add(int64(r.Logs)) }})
	var logs []*Log
	for i := range 8 {
		o := small(m)
		o.Dir, o.Syncer = fmt.Sprint("/log", i), s
		logs = append(logs, open(t, o))
	}
	var wg, done sync.WaitGroup
	for _, l := range logs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 50 {
				fill(t, l, 1, 300)
				want := l.LastIndex()
				done.Add(1)
				l.Sync(func(err error) {
					defer done.Done()
					if err != nil || l.DurableIndex() < want || l.DurableOffset() < 2*Offset(want) {
						t.Errorf("durable %d, want %d, %v", l.DurableIndex(), want, err)
					}
				})
			}
			if err := l.SyncWait(); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	done.Wait()
	if rounds.Load() == 0 || logsSynced.Load() < 8 {
		t.Fatalf("%d rounds of %d logs", rounds.Load(), logsSynced.Load())
	}
	s.Close()
	fill(t, logs[0], 1, 10)
	must(t, logs[0].SyncWait()) // still works, on its own
	for _, l := range logs {
		must(t, l.Close())
	}
}

// TestSyncerClosedDuringSync: whoever comes when the syncer takes no more logs
// and its last round is still under way is answered too.
func TestSyncerClosedDuringSync(t *testing.T) {
	var armed atomic.Bool
	entered, release := make(chan struct{}), make(chan struct{})
	fsys := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op, _ string) error {
		if op == vfs.OpDatasync && armed.CompareAndSwap(true, false) {
			close(entered)
			<-release
		}
		return nil
	})
	o := small(fsys)
	o.Syncer = NewSyncer(SyncerOptions{})
	l := open(t, o)
	fill(t, l, 1, 10)
	armed.Store(true)
	l.Sync(func(error) {})
	<-entered
	fill(t, l, 1, 10)
	done := make(chan error, 1)
	l.sync.mu.Lock()
	l.sync.waiters = append(l.sync.waiters, func(err error) { done <- err })
	l.sync.mu.Unlock()
	l.sync.flush() // as Sync does then; the log is at it, and is told
	close(release)
	must(t, <-done)
	if l.DurableIndex() != 2 {
		t.Fatalf("durable %d", l.DurableIndex())
	}
	o.Syncer.Close()
	fill(t, l, 1, 10)
	must(t, l.SyncWait())
	l.Sync(func(err error) { done <- err })
	must(t, <-done)
	must(t, l.Close())
}

func poll(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

// TestDroppedBeforeOpened: a reader holds a segment whose file is dropped
// before it is opened; it reads the present log instead.
func TestDroppedBeforeOpened(t *testing.T) {
	var l *Log
	dropped := false
	fsys := vfs.NewFaulty(rolled(t), func(op vfs.Op, name string) error {
		if op == vfs.OpOpen && !dropped && l != nil {
			dropped = true
			return l.SetStart(60)
		}
		return nil
	})
	log := open(t, small(fsys))
	l = log
	if _, _, err := l.Read(0, 120, 1, nil); !errors.Is(err, ErrOffsetOutOfRange) || !dropped {
		t.Fatalf("dropped %v, %v", dropped, err)
	}
	dropped = false
	e, ref, ok, err := l.FindTimestamp(0, 0)
	if err != nil || !ok || e.Next() <= l.StartOffset() {
		t.Fatalf("%+v, %v, %v", e, ok, err)
	}
	ref.Release()
}

// TestSyncFromCallback: a function given to Sync may ask for another sync.
func TestSyncFromCallback(t *testing.T) {
	l := open(t, small(vfs.NewMem()))
	fill(t, l, 1, 10)
	n := 0
	var again func(error)
	again = func(err error) {
		must(t, err)
		if n++; n < 5 {
			l.Sync(again)
		}
	}
	l.Sync(again)
	if n != 5 {
		t.Fatalf("%d calls", n)
	}
}

// TestConcurrent has readers of every kind beside a writer that appends, rolls,
// cuts and drops. Entries that are cut come back with a higher term, so a
// reader can tell whether what it got is one thing.
func TestConcurrent(t *testing.T) {
	for _, c := range []struct {
		name string
		fsys vfs.FS
		dir  string
	}{{"mem", vfs.NewMem(), "/log"}, {"os", vfs.OS, t.TempDir()}} {
		t.Run(c.name, func(t *testing.T) { testConcurrent(t, c.fsys, c.dir) })
	}
}

func stamped(i Index, term Term) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("%08d/%08d;", i, term)), 20)
}

func whole(e *segment.Entry) bool { return bytes.Equal(e.Payload, stamped(e.Index, e.Term)) }

func testConcurrent(t *testing.T, fsys vfs.FS, dir string) {
	s := NewSyncer(SyncerOptions{})
	defer s.Close()
	l := open(t, Options{FS: fsys, Dir: dir, SegmentBytes: func() int64 { return 32 << 10 }, Syncer: s})
	var stop atomic.Bool
	var wg sync.WaitGroup
	reader := func(f func() error) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for !stop.Load() {
				if err := f(); err != nil && !errors.Is(err, ErrCompacted) && !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrOffsetOutOfRange) {
					t.Error(err)
					return
				}
				runtime.Gosched()
			}
		}()
	}
	reader(func() error {
		out, ref, err := l.Read(l.StartOffset(), l.NextOffset(), 1<<20, nil)
		runtime.Gosched() // what was read stays readable whatever the writer does
		for i := range out {
			if !whole(&out[i]) {
				return fmt.Errorf("read: entry %d is not whole", out[i].Index)
			}
		}
		ref.Release()
		return err
	})
	reader(func() error {
		lo := l.FirstIndex()
		out, err := l.Entries(lo, l.LastIndex()+1, 1<<20, nil)
		for i := range out {
			if out[i].Index != lo+Index(i) || !whole(&out[i]) {
				return fmt.Errorf("entries: entry %d is not whole", out[i].Index)
			}
		}
		return err
	})
	reader(func() error {
		e, ref, ok, err := l.FindTimestamp(int64(l.NextOffset()/2), 0)
		if ok && !whole(&e) {
			return fmt.Errorf("timestamp: entry %d is not whole", e.Index)
		}
		ref.Release()
		if err != nil {
			return err
		}
		e, ref, ok, err = l.LastMaxTimestamp()
		if ok && !whole(&e) {
			return fmt.Errorf("greatest timestamp: entry %d is not whole", e.Index)
		}
		ref.Release()
		l.Segments()
		l.Terms()
		return err
	})
	term := Term(1)
	deadline := time.Now().Add(1500 * time.Millisecond)
	for n := 0; time.Now().Before(deadline) && !t.Failed(); n++ {
		e := segment.Entry{Index: l.LastIndex() + 1, Term: term, Kind: segment.KindData, BaseOffset: l.NextOffset(), Count: 2,
			MaxTimestamp: int64(l.NextOffset()), Payload: stamped(l.LastIndex()+1, term)}
		must(t, l.Append([]segment.Entry{e}))
		l.Sync(func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
		switch {
		case n%97 == 96:
			must(t, l.Roll())
		case n%211 == 210:
			term++
			must(t, l.TruncateFrom(max(l.FirstIndex(), l.LastIndex()-Index(n%150))))
		case n%503 == 502:
			if segs := l.Segments(); len(segs) > 3 {
				must(t, l.SetStart(segs[2].BaseOffset))
			}
		}
	}
	stop.Store(true)
	wg.Wait()
	must(t, l.Close())
	l = open(t, Options{FS: fsys, Dir: dir})
	out, err := l.Entries(l.FirstIndex(), l.LastIndex()+1, 1<<30, nil)
	must(t, err)
	for i := range out {
		if !whole(&out[i]) {
			t.Fatalf("entry %d is not whole after reopening", out[i].Index)
		}
	}
	must(t, l.Close())
}

// TestRefOutlivesEverything: what a reader holds is valid after its segment
// was dropped and the log closed and removed.
func TestRefOutlivesEverything(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Options{Dir: dir, SegmentBytes: func() int64 { return 16 << 10 }})
	fill(t, l, 100, 500)
	out, ref, err := l.Read(0, l.NextOffset(), 1<<20, nil)
	must(t, err)
	if len(out) != 100 {
		t.Fatalf("%d entries", len(out))
	}
	must(t, l.SetStart(l.NextOffset()))
	must(t, l.Close())
	must(t, Remove(vfs.OS, dir))
	for i := range out {
		if string(out[i].Payload) != string(payload(Index(i+1), 500)) {
			t.Fatalf("entry %d differs", i+1)
		}
	}
	ref.Release()
}

// TestAllocations: none for an append, a lookup or a read into a slice that is
// there.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	s := NewSyncer(SyncerOptions{})
	defer s.Close()
	l := open(t, Options{Dir: t.TempDir(), Syncer: s})
	fill(t, l, 1000, 100)
	one, many := make([]segment.Entry, 1), make([]segment.Entry, 64)
	big := payload(1, 50_000)
	for name, f := range map[string]func(){
		"append": func() {
			one[0] = segment.Entry{Index: l.LastIndex() + 1, Term: 1, Kind: segment.KindData, BaseOffset: l.NextOffset(), Count: 1, Payload: big[:100]}
			must(t, l.Append(one))
		},
		"append large": func() {
			one[0] = segment.Entry{Index: l.LastIndex() + 1, Term: 1, Kind: segment.KindData, BaseOffset: l.NextOffset(), Count: 1, Payload: big}
			must(t, l.Append(one))
		},
		"sync": func() { must(t, l.SyncWait()) },
		"read": func() {
			out, ref, err := l.Read(500, 2000, 2000, many[:0])
			if err != nil || len(out) == 0 {
				t.Fatal(err)
			}
			ref.Release()
		},
		"timestamp": func() {
			_, ref, ok, err := l.FindTimestamp(700, 0)
			if err != nil || !ok {
				t.Fatal(err)
			}
			ref.Release()
		},
		"term": func() {
			if _, err := l.Term(300); err != nil {
				t.Fatal(err)
			}
		},
	} {
		if n := testing.AllocsPerRun(200, f); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestIdleMemory: what a log costs that nothing happens to.
func TestIdleMemory(t *testing.T) {
	const n = 200
	m := t.TempDir()
	s := NewSyncer(SyncerOptions{})
	defer s.Close()
	logs := make([]*Log, n)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range logs {
		logs[i] = open(t, Options{Dir: fmt.Sprint(m, "/", i), Syncer: s})
		fill(t, logs[i], 3, 100)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := int64(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%d bytes of heap a log", per)
	if per > 4096 {
		t.Errorf("%d bytes of heap an idle log, want at most 4096", per)
	}
	for _, l := range logs {
		must(t, l.Close())
	}
}

// TestManifestInDoubt: when it is not known which manifest the disk has, the
// log takes no more appends, and opens with all that was acknowledged.
func TestManifestInDoubt(t *testing.T) {
	for name, op := range map[string]func(l *Log) error{
		"roll":     func(l *Log) error { return l.Roll() },
		"truncate": func(l *Log) error { return l.TruncateFrom(l.LastIndex()) },
	} {
		t.Run(name, func(t *testing.T) {
			m := vfs.NewMem()
			armed, renamed := false, false
			l := open(t, small(vfs.NewFaulty(m, func(op vfs.Op, _ string) error {
				renamed = renamed || armed && op == vfs.OpRename
				if renamed && op == vfs.OpSyncDir {
					return io.ErrNoProgress
				}
				return nil
			})))
			fill(t, l, 3, 100)
			must(t, l.SyncWait())
			armed = true
			if err := op(l); !errors.Is(err, io.ErrNoProgress) {
				t.Fatal(err)
			}
			armed, renamed = false, false
			e := segment.Entry{Index: 4, Term: 1, Kind: segment.KindData, BaseOffset: l.NextOffset(), Count: 1, MaxTimestamp: 1, Payload: []byte("more")}
			acknowledged := Index(2)
			if err := l.Append([]segment.Entry{e}); err == nil && l.SyncWait() == nil {
				acknowledged = 4
			} else if !errors.Is(err, ErrPoisoned) {
				t.Errorf("append: %v", err)
			}
			l2 := open(t, small(m)) // as after kill -9
			if last := l2.LastIndex(); last < acknowledged {
				t.Fatalf("acknowledged up to %d, the log ends at %d", acknowledged, last)
			}
		})
	}
}
