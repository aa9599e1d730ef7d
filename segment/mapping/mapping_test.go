package mapping

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"chronik/internal/vfs"
)

// loads maps a file of n chunks, and counts what is asked of its pages.
func loads(t *testing.T, n int64) (m *vfs.Mapping, asked *atomic.Int64, fail *atomic.Pointer[error]) {
	t.Helper()
	asked, fail = new(atomic.Int64), new(atomic.Pointer[error])
	fsys := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op, _ string) error {
		if op != vfs.OpLoad {
			return nil
		}
		asked.Add(1)
		if p := fail.Load(); p != nil {
			return *p
		}
		return nil
	})
	f, err := fsys.Create("a")
	if err == nil {
		err = f.Zero(0, n*Chunk)
	}
	if err == nil {
		m, err = f.Map(n * Chunk)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m, asked, fail
}

// What was asked for is not asked for again before the next tick.
func TestNeed(t *testing.T) {
	s := NewSet(1)
	m, asked, _ := loads(t, 100)
	f := s.Add(m, nil)
	need := func(from, to, want int64) {
		t.Helper()
		before := asked.Load()
		if err := f.Need(from, to, int64(len(f.Bytes))); err != nil {
			t.Fatal(err)
		}
		if got := asked.Load() - before; got != want {
			t.Errorf("Need(%d, %d) asked %d times, want %d", from, to, got, want)
		}
	}
	if f.Has(50 * Chunk) {
		t.Error("has what was never asked for")
	}
	need(50*Chunk, 50*Chunk+1, 1)
	if !f.Has(50*Chunk) || !f.Has(51*Chunk-1) || f.Has(51*Chunk) || f.Has(50*Chunk-1) {
		t.Error("not exactly that chunk is known to be there")
	}
	need(50*Chunk, 51*Chunk, 0)
	need(50*Chunk, 51*Chunk+1, 1) // reads on: some more come along
	need(51*Chunk, (50+ahead)*Chunk, 0)
	need(10*Chunk, 20*Chunk, 1)
	need(10*Chunk+5, 20*Chunk, 0)
	s.Tick()
	if f.Has(50 * Chunk) {
		t.Error("a tick later the page counts as being there without a question")
	}
	need(50*Chunk, 50*Chunk+1, 1)
	need(99*Chunk, 100*Chunk, 1) // the last one
}

// A failure is told, and nothing is remembered of it.
func TestNeedFails(t *testing.T) {
	m, asked, fail := loads(t, 2)
	f := NewSet(1).Add(m, nil)
	bad := errors.New("bad sector")
	fail.Store(&bad)
	for range 2 {
		if err := f.Need(0, 1, 2*Chunk); !errors.Is(err, bad) {
			t.Fatalf("got %v", err)
		}
	}
	fail.Store(nil)
	if err := f.Need(0, 1, 2*Chunk); err != nil || asked.Load() != 3 {
		t.Errorf("%v after %d loads, want none after 3", err, asked.Load())
	}
}

// The bytes behind end are not asked for.
func TestNeedEnd(t *testing.T) {
	m, _, _ := loads(t, 10)
	f := NewSet(1).Add(m, nil)
	for _, at := range []int64{0, Chunk} {
		if err := f.Need(at, at+1, Chunk+10); err != nil {
			t.Fatal(err)
		}
	}
	if f.Has(2 * Chunk) {
		t.Error("read ahead behind the end")
	}
}

// The mapping that was not used for longest makes room; one in use stays, even
// if there are too many then.
func TestSet(t *testing.T) {
	const filesMax = 4
	s := NewSet(filesMax)
	var files [8]*File
	var busy [8]bool
	var dropped []int
	add := func(i int) {
		m, _, _ := loads(t, 1)
		files[i] = s.Add(m, func() bool {
			if busy[i] {
				return false
			}
			files[i].Close()
			dropped = append(dropped, i)
			return true
		})
	}
	for i := range filesMax {
		add(i)
	}
	if s.Files() != filesMax || dropped != nil {
		t.Fatalf("%d files, dropped %v", s.Files(), dropped)
	}
	busy[0], busy[1] = true, true
	if err := files[2].Need(0, 1, Chunk); err != nil {
		t.Fatal(err)
	}
	add(4)
	if !slices.Equal(dropped, []int{3}) || s.Files() != filesMax {
		t.Fatalf("dropped %v, %d files; want the idle one alone", dropped, s.Files())
	}
	busy[2], busy[4] = true, true
	add(5)
	if len(dropped) != 1 || s.Files() != filesMax+1 {
		t.Fatalf("dropped %v, %d files; want none while all are in use", dropped, s.Files())
	}
	busy = [8]bool{}
	add(6)
	if s.Files() != filesMax {
		t.Fatalf("%d files after those in use became idle, want %d", s.Files(), filesMax)
	}
	for i, f := range files[:7] {
		if !slices.Contains(dropped, i) {
			f.Close()
		}
	}
	if s.Files() != 0 {
		t.Errorf("%d files after all were closed", s.Files())
	}
}

// The count goes from the owner's reference up and down to none, once.
func TestRefs(t *testing.T) {
	var r Refs
	if !r.Acquire() || r.Retire() || r.Take(func() { t.Error("taken from a reader") }) || r.Release() {
		t.Fatal("a reader's reference was taken for the owner's")
	}
	taken := false
	if !r.Take(func() {
		taken = true
		if r.Take(func() {}) || r.Retire() {
			t.Error("taken twice")
		}
	}) || !taken {
		t.Fatal("not taken though only the owner has a reference")
	}
	if r.Open(func() error {
		if r.Take(func() {}) {
			t.Error("taken from one who opens")
		}
		return nil
	}) != nil || !r.Retire() || r.Acquire() || r.Take(func() {}) {
		t.Fatal("there is something left after the last reference")
	}
	defer func() {
		if recover() == nil {
			t.Error("released more often than acquired without a word")
		}
	}()
	r.Release()
}
