package disk

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/vfs"
)

func write(t *testing.T, fs vfs.FS, name, text string) vfs.File {
	t.Helper()
	f, err := fs.Create(name)
	if err == nil {
		_, err = f.WriteAt([]byte(text), 0)
	}
	if err == nil {
		err = fs.SyncDir("/")
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func read(t *testing.T, fs vfs.FS, name string) string {
	t.Helper()
	b, err := vfs.ReadFile(fs, name, 100)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEnds: a process that has ended changes nothing any more; what it wrote
// outlives it, and a power cut only if it was synced.
func TestEnds(t *testing.T) {
	d := New()
	d.Late = func(name string, _ int) time.Duration {
		if name == "/lie" {
			return time.Hour
		}
		return 0
	}
	m := d.Mount()
	f, lie := write(t, m, "/a", "kept"), write(t, m, "/lie", "lost")
	if err := errors.Join(f.Datasync(), lie.Datasync()); err != nil {
		t.Fatal(err)
	}
	next := d.Mount()
	if got := read(t, next, "/lie"); got != "lost" {
		t.Errorf("after the end of a process: %q", got)
	}
	for what, err := range map[string]error{
		"write": second(f.WriteAt([]byte("x"), 0)), "writev": f.Writev([][]byte{{1}}, 0), "zero": f.Zero(0, 1), "sync": f.Datasync(), "release": f.Release(0, 1),
		"waitout": f.WaitOut(0, 1), "read": second(f.ReadAt(make([]byte, 1), 0)), "rename": m.Rename("/a", "/b"), "remove": m.Remove("/a"), "mkdir": m.MkdirAll("/d"), "syncdir": m.SyncDir("/"),
		"readdir": second(m.ReadDir("/")), "stat": second(m.Stat("/a")), "create": second(m.Create("/c")), "open": second(m.Open("/a")), "lock": second(m.Lock("/l")),
	} {
		if !errors.Is(err, ErrGone) {
			t.Errorf("%s after the end: %v", what, err)
		}
	}
	lost := 0
	for seed := range uint64(20) {
		copyOf := &Disk{mem: d.mem, syncs: map[string]int{}}
		copyOf.PowerCut(seed)
		after := copyOf.Mount()
		if got := read(t, after, "/a"); got != "kept" {
			t.Errorf("seed %d: what was synced is %q", seed, got)
		}
		if got := read(t, after, "/lie"); got != "lost" {
			lost++
		}
	}
	if lost == 0 {
		t.Error("20 power cuts lost nothing of what was not synced")
	}
}

func second[T any](_ T, err error) error { return err }

// TestLate: what was answered before it was done is done later.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New()
		d.Late = func(string, int) time.Duration { return time.Second }
		f := write(t, d.Mount(), "/a", "text")
		begin := time.Now()
		if err := f.Datasync(); err != nil || time.Since(begin) != 0 {
			t.Errorf("answered after %s: %v", time.Since(begin), err)
		}
		<-time.After(time.Second)
		synctest.Wait()
		for seed := range uint64(20) {
			after := &Disk{mem: d.mem, syncs: map[string]int{}}
			after.PowerCut(seed)
			if got := read(t, after.Mount(), "/a"); got != "text" {
				t.Errorf("seed %d: %q", seed, got)
			}
		}
	})
}

// TestSlow: a sync takes its time, and is not answered when the process ends
// meanwhile.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New()
		f := write(t, d.Mount(), "/a", "text")
		d.SetDelay(time.Second)
		begin := time.Now()
		if err := f.Datasync(); err != nil || time.Since(begin) != time.Second {
			t.Errorf("a sync of %s: %v", time.Since(begin), err)
		}
		time.AfterFunc(time.Millisecond, d.Kill)
		if err := f.Datasync(); !errors.Is(err, ErrGone) {
			t.Errorf("a sync under way at the end: %v", err)
		}
	})
}
