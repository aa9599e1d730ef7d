package segment

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment/mapping"
)

// sealedFile writes a sealed segment of a hundred frames of 1,000 bytes.
func sealedFile(t *testing.T, fsys vfs.FS, path string) Meta {
	t.Helper()
	a := newSegment(t, fsys, path, 1<<20)
	for i := range 100 {
		add(t, a, entry(i+1, bytesOf(1000, byte(i))))
	}
	meta, err := a.Seal(100, []byte("state"))
	must(t, err)
	a.Release()
	return meta
}

// mappings is how many mappings of a file the kernel knows this process to have.
func mappings(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	return strings.Count(string(b), path)
}

func checkFrame(t *testing.T, s *Segment, i int) Entry {
	t.Helper()
	var e Entry
	must(t, s.Frame(i, &e))
	if !bytes.Equal(e.Payload, bytesOf(1000, byte(i))) {
		t.Fatalf("frame %d: other payload", i)
	}
	return e
}

// descriptors is how many descriptors of a file this process has.
func descriptors(t *testing.T, path string) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && to == path {
			n++
		}
	}
	return n
}

// Three thousand sealed segments are read, and no more are mapped than the set
// allows, and none has a descriptor; those that are being read stay mapped, and
// all can be read again.
func TestMappingsAreBounded(t *testing.T) {
	const most, held, all = 16, 10, 3000
	path := filepath.Join(t.TempDir(), "a.seg")
	meta := sealedFile(t, vfs.OS, path)
	set := mapping.NewSet(most)
	segs := make([]*Segment, all)
	var payloads [held][]byte
	for i := range segs {
		segs[i] = OpenSealed(vfs.OS, set, path, meta)
		segs[i].Acquire()
		e := checkFrame(t, segs[i], i%100)
		if i < held {
			payloads[i] = e.Payload
		} else {
			segs[i].Release()
		}
		if n := set.Files(); n > most {
			t.Fatalf("%d mappings in the set after %d segments, at most %d", n, i+1, most)
		}
	}
	if n := mappings(t, path); n != most {
		t.Errorf("the kernel has %d mappings, want %d", n, most)
	}
	if n := descriptors(t, path); n != 0 {
		t.Errorf("%d descriptors of sealed segments", n)
	}
	for i, p := range payloads {
		if !bytes.Equal(p, bytesOf(1000, byte(i))) {
			t.Fatalf("payload %d changed while it was being read", i)
		}
		segs[i].Release()
	}
	for i, s := range segs[:100] {
		s.Acquire()
		checkFrame(t, s, i)
		s.Release()
		if blob, err := s.Checkpoint(); err != nil || string(blob) != "state" {
			t.Fatalf("checkpoint %q, %v", blob, err)
		}
	}
	for _, s := range segs {
		s.Release()
	}
	if n, k := set.Files(), mappings(t, path); n != 0 || k != 0 {
		t.Errorf("%d in the set and %d in the kernel after the last release", n, k)
	}
}

// Readers and those who take mappings away meet as often as can be: a use of
// bytes that are no longer mapped would fault.
func TestMappingsTakenWhileReading(t *testing.T) {
	const readers, files, rounds = 8, 5, 300
	path := filepath.Join(t.TempDir(), "a.seg")
	meta := sealedFile(t, vfs.OS, path)
	set := mapping.NewSet(1)
	var segs [files]*Segment
	for i := range segs {
		segs[i] = OpenSealed(vfs.OS, set, path, meta)
	}
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			for k := range rounds {
				s := segs[(r+k*(r+1))%files]
				if !s.Acquire() {
					t.Error("a segment that its owner holds cannot be acquired")
					return
				}
				var e Entry
				if err := s.Frame(k%100, &e); err != nil {
					t.Error(err)
				} else if !bytes.Equal(e.Payload, bytesOf(1000, byte(k%100))) {
					t.Errorf("frame %d: other payload", k%100)
				}
				s.Release()
			}
		})
	}
	wg.Wait()
	for _, s := range segs {
		s.Release()
	}
	if n := mappings(t, path); n != 0 {
		t.Errorf("%d mappings are left", n)
	}
}

// The owner lets go while the mapping is being taken away: it is closed once,
// and nobody gets the segment again.
func TestReleaseWhileTaken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.seg")
	meta := sealedFile(t, vfs.OS, path)
	set := mapping.NewSet(1)
	for range 300 {
		s := OpenSealed(vfs.OS, set, path, meta)
		s.Acquire()
		checkFrame(t, s, 1)
		s.Release()
		var wg sync.WaitGroup
		wg.Go(func() { s.refs.Take(s.unmap) })
		s.Release()
		if s.Acquire() {
			t.Fatal("acquired after the last release")
		}
		wg.Wait()
		if n := set.Files(); n != 0 {
			t.Fatalf("%d mappings are left", n)
		}
	}
}

// Every part of a file is asked for before it is touched, once a tick, and an
// answer that the disk cannot give is an error of that read alone.
func TestPagesAreLoadedBeforeTheyAreTouched(t *testing.T) {
	var loads atomic.Int64
	var bad atomic.Pointer[error]
	fsys := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op, _ string) error {
		if op == vfs.OpLoad {
			loads.Add(1)
			if p := bad.Load(); p != nil {
				return *p
			}
		}
		return nil
	})
	meta := sealedFile(t, fsys, "a")
	set := mapping.NewSet(10)
	s := OpenSealed(fsys, set, "a", meta)
	s.Acquire()
	defer s.Release()
	a, err := Create(CreateOptions{FS: fsys, Maps: set, Path: "b", ID: 1, Salt: 1, BaseIndex: 1, Now: 1, Capacity: 1 << 20})
	must(t, err)
	for i := range 300 {
		add(t, a, entry(i+1, bytesOf(1000, byte(i))))
	}
	var e Entry
	reads := map[string]func() error{
		"sealed frame":     func() error { return s.Frame(99, &e) },
		"active frame":     func() error { return a.Frame(250, &e) },
		"sealed offset":    func() error { _, err := s.FindOffset(50); return err },
		"sealed timestamp": func() error { _, err := s.FindTimestamp(50); return err },
		"term runs":        func() error { _, err := s.Terms(nil); return err },
		"checkpoint":       func() error { _, err := s.Checkpoint(); return err },
	}
	for name, read := range reads {
		fail := fmt.Errorf("bad sector under the %s", name)
		for range 2 {
			set.Tick()
			before := loads.Load()
			must(t, read())
			asked := loads.Load() - before
			if asked == 0 {
				t.Errorf("%s: touched without asking for the page", name)
			}
			must(t, read())
			if loads.Load() != before+asked {
				t.Errorf("%s: asked again within a tick", name)
			}
		}
		set.Tick()
		bad.Store(&fail)
		if err := read(); !errors.Is(err, fail) {
			t.Errorf("%s: %v, want the disk's error", name, err)
		}
		bad.Store(nil)
		must(t, read())
	}
}

// A recovered segment asks for room ahead only when appends come: the first
// entry of a new term, which every log gets at a start, is none of them.
func TestIdleSegmentsWantNoRoom(t *testing.T) {
	m := vfs.NewMem()
	a := newSegment(t, m, "a", 64<<20)
	i := 1
	for ; a.End() < 300<<10; i++ {
		add(t, a, entry(i, bytesOf(1000, 1)))
	}
	if !a.WantsExtend() {
		t.Fatal("no room wanted though there is none left")
	}
	must(t, a.Sync())
	a.Release()
	a, _, err := Recover(RecoverOptions{FS: m, Path: "a", Meta: a.Meta(), Capacity: 64 << 20})
	must(t, err)
	add(t, a, entry(i, nil))
	if a.WantsExtend() {
		t.Errorf("wants room ahead of an idle log: %d bytes are left", Pos(a.zeroed.Load())-a.End())
	}
	for n := 1; !a.WantsExtend(); n++ {
		if n > 20 {
			t.Fatal("wants no room after 20 KiB of appends")
		}
		add(t, a, entry(i+n, bytesOf(1000, 1)))
	}
	a.Release()
}
