package wal

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"
)

// TestCheckpointTooLarge: it is left out, and the log goes on.
func TestCheckpointTooLarge(t *testing.T) {
	o := small(vfs.NewMem())
	o.Checkpoint = func(Offset) []byte { return make([]byte, segment.CheckpointBytesMax+1) }
	l := open(t, o)
	fill(t, l, 1, 700)
	must(t, l.Roll())
	fill(t, l, 1, 700)
	must(t, l.SyncWait())
	if _, _, ok := l.Checkpoint(); ok || len(l.Segments()) != 2 {
		t.Errorf("%d segments, a checkpoint: %v", len(l.Segments()), ok)
	}
}

// CheckpointsAt finds the checkpoints of sealed segments by their ends, as long as they are there.
func TestCheckpointsAt(t *testing.T) {
	o := small(vfs.NewMem())
	o.Checkpoint = func(end Offset) []byte { return fmt.Append(nil, "as of ", end) }
	l := open(t, o)
	var ends []Offset
	for range 3 {
		fill(t, l, 2, 100)
		must(t, l.Roll())
		ends = append(ends, l.NextOffset())
	}
	check := func(end Offset, want int) {
		t.Helper()
		blobs, err := l.CheckpointsAt(end)
		if err != nil || len(blobs) != want || want == 1 && string(blobs[0]) != fmt.Sprint("as of ", end) {
			t.Errorf("at %d: %q, %v", end, blobs, err)
		}
	}
	for _, end := range ends {
		check(end, 1)
		check(end-1, 0)
	}
	must(t, l.SetStart(ends[1]))
	check(ends[0], 0)
	check(ends[2], 1)
}

// TestNoFlushToRelyOn: when no file can be opened to flush the device with, each
// log is synced by itself, and how that ends is no failure of the device.
func TestNoFlushToRelyOn(t *testing.T) {
	var armed, once atomic.Bool
	m := vfs.NewMem()
	var a *Log
	fsys := vfs.NewFaulty(m, func(op vfs.Op, name string) error {
		if !armed.Load() {
			return nil
		}
		if op == vfs.OpWaitOut && strings.Contains(name, "/1/") && once.CompareAndSwap(false, true) {
			if err := a.beginRoll(); err != nil { // as an append that finds the segment full
				t.Error(err)
			}
		}
		if op == vfs.OpOpen && strings.HasSuffix(name, ManifestName) {
			return vfs.ErrNoSpace // or a limit on open files
		}
		if op == vfs.OpCreate && strings.Contains(name, "MANIFEST.tmp") {
			return vfs.ErrNoSpace
		}
		return nil
	})
	s := NewSyncer(SyncerOptions{})
	var logs []*Log
	for i := range 3 {
		logs = append(logs, open(t, Options{FS: fsys, Dir: fmt.Sprint("/logs/", i), Syncer: s}))
	}
	a = logs[1]
	for _, l := range logs[1:] {
		fill(t, l, 2, 100)
	}
	armed.Store(true)
	errs := together(logs[0], logs[1:]...)
	armed.Store(false)
	full := 0
	for _, err := range errs {
		if errors.Is(err, ErrPoisoned) {
			t.Errorf("told %v", err)
		}
		if errors.Is(err, vfs.ErrNoSpace) {
			full++
		}
	}
	if full != 1 {
		t.Errorf("told %v, want one without room", errs)
	}
	if err := a.SyncWait(); err != nil {
		t.Errorf("the room is back, no write or sync has ever failed, and yet: %v", err)
	}
	s.Close()
}

// TestMarkBehindTheLastFrame: a segment that has all the frames it may is closed
// as cleanly as another.
func TestMarkBehindTheLastFrame(t *testing.T) {
	m := vfs.NewMem()
	o := Options{FS: m, Dir: "/log"}
	l := open(t, o)
	batch := make([]segment.Entry, 1024)
	for range segment.FramesMax / 1024 {
		for k := range batch {
			batch[k] = segment.Entry{Index: l.LastIndex() + 1 + Index(k), Term: 1, Kind: segment.KindData, BaseOffset: l.NextOffset() + Offset(k), Count: 1, MaxTimestamp: -1}
		}
		must(t, l.Append(batch))
	}
	must(t, l.Close())
	_, rec, err := Open(o)
	must(t, err)
	if rec.TornBytes != 0 || rec.Scanned != segment.FramesMax {
		t.Errorf("%+v after a clean close", rec)
	}
}

// fillRoom zeroes 8 MiB of the active segment and appends frames of that payload
// until there is room for three, the end of them not synced.
func fillRoom(t *testing.T, m *vfs.Mem, l *Log, size int) {
	t.Helper()
	a := l.view.Load().active
	fileSize := func() int64 {
		f, err := m.Open(a.Path())
		must(t, err)
		n, err := f.Size()
		must(t, err)
		return n
	}
	for fileSize() < 8<<20 {
		must(t, a.Extend())
	}
	room := fileSize()
	for int64(a.End()) < room-(6<<20) {
		fill(t, l, 1, size)
	}
	must(t, l.SyncWait())
	for room-int64(a.End()) > 4*8192 {
		fill(t, l, 1, size)
	}
	if fileSize() != room {
		t.Fatal("the file has grown")
	}
}

// TestUndone: an append that found no room is not there after a crash, whole
// frames of it behind others that were acknowledged since neither.
func TestUndone(t *testing.T) {
	resurrected := 0
	for seed := uint64(1); seed < 10; seed++ {
		m := vfs.NewMem()
		var undoing atomic.Bool
		fsys := vfs.NewFaulty(m, func(op vfs.Op, name string) error {
			if op == vfs.OpZero && undoing.Load() && strings.HasSuffix(name, ".seg") {
				// the kernel writes dirty pages out when it likes
				f, err := m.Open(name)
				if err != nil {
					t.Error(err)
				}
				n, _ := f.Size()
				f.WaitOut(0, n)
			}
			return nil
		})
		s := NewSyncer(SyncerOptions{})
		o := Options{FS: fsys, Dir: "/log/0", Syncer: s, Background: func(f func()) {}}
		l := open(t, o)
		o.Dir = "/log/1"
		other := open(t, o)
		o.Dir = "/log/2"
		gather := open(t, o)
		const size = 2*4096 - segment.FrameHeaderLen // frames of whole pages
		fillRoom(t, m, l, size)
		last := l.LastIndex()
		u, _ := m.Usage("/")
		m.SetCapacity(u.Total - u.Free)
		var batch []segment.Entry
		for k := range 12 {
			batch = append(batch, segment.Entry{Index: last + 1 + Index(k), Term: 1, Kind: segment.KindData, BaseOffset: l.NextOffset() + Offset(2*k), Count: 2, MaxTimestamp: 1, Payload: payload(7, size)})
		}
		undoing.Store(true)
		err := l.Append(batch)
		undoing.Store(false)
		if !errors.Is(err, vfs.ErrNoSpace) || l.LastIndex() != last {
			t.Fatal(err, l.LastIndex(), last)
		}
		// another entry, same length, in the room there is
		fill(t, l, 1, size)
		fill(t, other, 1, 100)
		for _, err := range together(gather, l, other) {
			must(t, err)
		}
		want := l.LastIndex()
		c, _, err := Open(Options{FS: m.Crash(seed), Dir: "/log/0"})
		if err != nil {
			t.Fatal(err)
		}
		if c.LastIndex() != want {
			resurrected++
			t.Logf("seed %d: log ended at %d, after the crash at %d", seed, want, c.LastIndex())
		}
		s.Close()
	}
	if resurrected > 0 {
		t.Errorf("%d of 9 came back", resurrected)
	}
}

// TestCloseAnswers: who waits beside a round that has the log is told by Close.
func TestCloseAnswers(t *testing.T) {
	var armed atomic.Bool
	reached, release := make(chan struct{}), make(chan struct{})
	fsys := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op, name string) error {
		if op == vfs.OpDatasync && strings.HasSuffix(name, ManifestName) && armed.CompareAndSwap(true, false) {
			close(reached)
			<-release
		}
		return nil
	})
	s := NewSyncer(SyncerOptions{})
	var logs []*Log
	for i := range 3 {
		logs = append(logs, open(t, Options{FS: fsys, Dir: fmt.Sprint("/logs/", i), Syncer: s}))
	}
	for _, l := range logs[1:] {
		fill(t, l, 1, 100)
	}
	armed.Store(true)
	go together(logs[0], logs[1:]...)
	<-reached
	l := logs[1]
	fill(t, l, 1, 100)
	told := make(chan error, 1)
	l.Sync(func(err error) { told <- err })
	must(t, l.Close())
	close(release)
	if err := <-told; err != nil {
		t.Errorf("Close returned nil after the sync was asked for, which is told: %v", err)
	}
	s.Close()
}
