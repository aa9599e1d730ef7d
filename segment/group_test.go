package segment

import (
	"errors"
	"fmt"
	"testing"

	"chronik/internal/vfs"
)

func reopen(m *vfs.Mem, meta Meta, synced Pos) (*Active, Recovery, error) {
	return Recover(RecoverOptions{FS: m, Path: "a", Meta: meta, Capacity: 1 << 20, SyncedThrough: synced})
}

// TestUnsynced: what may be written out and wait for another file's flush: what
// lies in room that is durable, and nothing else.
func TestUnsynced(t *testing.T) {
	m := vfs.NewMem()
	a := newSegment(t, m, "a", 1<<20)
	i := 0
	put := func(n int) {
		i++
		add(t, a, entry(i, bytesOf(n, byte(i))))
	}
	eligible := func(what string, want bool) {
		t.Helper()
		if _, dev := a.Unsynced(); (dev != 0) != want {
			t.Fatalf("%s: device %d, ready up to %d, end %d", what, dev, a.ready.Load(), a.End())
		}
	}
	eligible("nothing to sync", false)
	put(100)
	eligible("in the first room", true)
	put(zeroFirst)
	eligible("beyond it", false)
	must(t, a.Sync())
	put(10)
	eligible("after the room was synced with the frames", true)
	must(t, a.Sync())
	must(t, a.Extend())
	put(zeroFirst)
	eligible("in room zeroed ahead", true)
	must(t, a.Sync())
	_, meta := a.Mark(), a.meta
	a, rec, err := reopen(m, meta, a.SyncedThrough())
	must(t, err)
	if !rec.Clean || rec.Frames != i {
		t.Fatalf("%+v", rec)
	}
	put(10)
	eligible("behind what recovery found", false)
	must(t, a.Sync())
	put(10)
	eligible("after the room there was zeroed again", true)
	a.poison(errors.New("broken"))
	eligible("poisoned", false)
}

// TestGroupSync: a span is durable after its write-out and any file's flush,
// and reported so only then.
func TestGroupSync(t *testing.T) {
	m := vfs.NewMem()
	must(t, m.SyncDir("."))
	a := newSegment(t, m, "a", 1<<20)
	other, err := m.Create("other")
	must(t, err)
	must(t, m.SyncDir("."))
	add(t, a, entry(1, bytesOf(5000, 1)), entry(2, bytesOf(100, 2)))
	s, dev := a.Unsynced()
	if dev == 0 {
		t.Fatal("no device")
	}
	before := a.SyncedThrough()
	a.StartOut(s)
	must(t, a.WaitOut(s))
	add(t, a, entry(3, bytesOf(100, 3)))
	must(t, other.Datasync())
	if a.SyncedThrough() != before {
		t.Fatal("durable before anybody said so")
	}
	must(t, a.Flushed(s, nil))
	if a.SyncedThrough() != s.end || a.SyncedThrough() == a.End() {
		t.Fatalf("synced %d, end %d", a.SyncedThrough(), a.End())
	}
	short := 0
	for seed := range uint64(100) {
		b, rec, err := reopen(m.Crash(seed), a.meta, 0)
		must(t, err)
		if rec.Frames < 2 {
			t.Fatalf("seed %d: %d frames", seed, rec.Frames)
		}
		if rec.Frames == 2 {
			short++
		}
		b.Release()
	}
	if short == 0 {
		t.Fatal("what was appended behind the span was always there")
	}
}

// TestGroupSyncAfterCrash: whatever a crash has left behind the frames, what is
// appended there and reported durable is there after the next one.
func TestGroupSyncAfterCrash(t *testing.T) {
	grouped := 0
	for seed := range uint64(200) {
		m := vfs.NewMem()
		a := newSegment(t, m, "a", 1<<20)
		must(t, m.SyncDir("."))
		i := 0
		put := func(n int) {
			i++
			add(t, a, entry(i, bytesOf(n, byte(i))))
		}
		put(3000)
		must(t, a.Sync())
		meta := a.meta
		put(zeroFirst) // grows the file, and is not synced
		m = m.Crash(seed)
		a, rec, err := reopen(m, meta, 0)
		must(t, err)
		i = rec.Frames
		for k := range 6 {
			put(int(1000 + seed*17%5000))
			if s, dev := a.Unsynced(); dev != 0 {
				grouped++
				must(t, a.WaitOut(s))
				f, err := m.Create(fmt.Sprint("clean", k))
				must(t, err)
				must(t, f.Datasync())
				must(t, a.Flushed(s, nil))
			} else {
				must(t, a.Sync())
			}
			_, rec, err := reopen(m.Crash(seed+uint64(k)), meta, 0)
			if err != nil || rec.Frames != i {
				t.Fatalf("seed %d: %d frames of %d after the second crash, %v", seed, rec.Frames, i, err)
			}
		}
	}
	if grouped < 200 {
		t.Fatalf("only %d group syncs", grouped)
	}
}

// TestGroupSyncFails: a failed write-out or flush poisons, and nothing that
// comes later is believed.
func TestGroupSyncFails(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		do   func(a *Active, s Span) error
	}{
		{"write-out", func(a *Active, s Span) error { return a.WaitOut(s) }},
		{"flush", func(a *Active, s Span) error { return a.Flushed(s, broken) }},
	} {
		var fail bool
		a := newSegment(t, vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op, _ string) error {
			if fail && op == vfs.OpWaitOut {
				return broken
			}
			return nil
		}), "a", 1<<20)
		add(t, a, entry(1, bytesOf(100, 1)))
		s, _ := a.Unsynced()
		before := a.SyncedThrough()
		fail = true
		if err := c.do(a, s); !errors.Is(err, broken) || !errors.Is(err, ErrPoisoned) {
			t.Fatalf("%s: %v", c.name, err)
		}
		fail = false
		for what, err := range map[string]error{"write-out": a.WaitOut(s), "flushed": a.Flushed(s, nil), "sync": a.Sync(), "trailer": a.Flush(), "append": second(a.Append([]Entry{entry(2, nil)}, 1))} {
			if !errors.Is(err, broken) {
				t.Errorf("%s failed, then %s: %v", c.name, what, err)
			}
		}
		if a.SyncedThrough() != before {
			t.Errorf("%s failed: synced %d", c.name, a.SyncedThrough())
		}
	}
}

func second[T any](_ T, err error) error { return err }

// countedFS counts the syncs of the files that were opened again.
type countedFS struct {
	vfs.FS
	syncs int
}

type countedFile struct {
	vfs.File
	fs *countedFS
}

func (f *countedFS) Open(name string) (vfs.File, error) {
	file, err := f.FS.Open(name)
	return &countedFile{file, f}, err
}

func (f *countedFile) Datasync() error {
	f.fs.syncs++
	return f.File.Datasync()
}

// TestExtendDescriptor: zeroing ahead syncs a descriptor of its own. The kernel
// tells each descriptor of a failed write once, and what Sync must hear would
// have been told to Extend.
func TestExtendDescriptor(t *testing.T) {
	fsys := &countedFS{FS: vfs.NewMem()}
	a := newSegment(t, fsys, "a", 1<<20)
	add(t, a, entry(1, bytesOf(10_000, 1)))
	must(t, a.Extend())
	if fsys.syncs != 1 || a.ready.Load() != 2*zeroFirst {
		t.Fatalf("%d syncs of another descriptor, ready up to %d", fsys.syncs, a.ready.Load())
	}
	must(t, a.Sync())
	if fsys.syncs != 1 {
		t.Fatal("the segment's own descriptor was not synced")
	}
}
