package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment/frame"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSegment(t testing.TB, fsys vfs.FS, path string, capacity int64) *Active {
	t.Helper()
	a, err := Create(CreateOptions{FS: fsys, Path: path, ID: 1, Salt: 0x11223344, BaseIndex: 1, Now: 1, Capacity: capacity})
	must(t, err)
	return a
}

func entry(i int, payload []byte) Entry {
	return Entry{Index: Index(i), Term: 1, Kind: KindData, BaseOffset: Offset(2 * (i - 1)), Count: 2, MaxTimestamp: int64(i), Payload: payload}
}

func add(t testing.TB, a *Active, entries ...Entry) {
	t.Helper()
	n, err := a.Append(entries, 1)
	must(t, err)
	if n != len(entries) {
		t.Fatalf("appended %d of %d", n, len(entries))
	}
}

func bytesOf(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(i)*7 + 1
	}
	return b
}

// TestAppendRead writes payloads around every size at which the write path
// changes, in one call and one by one, and reads them back: from the active
// segment, the recovered one and the sealed one.
func TestAppendRead(t *testing.T) {
	sizes := []int{0, 1, 7, 8, 9, 63, 64, 4095, 4096, 4097, 65535, 65536, 100_000, 1 << 20, 512 << 10, 600_001, 3}
	for len(sizes) < 700 {
		sizes = append(sizes, len(sizes)%300, 5000)
	}
	var entries []Entry
	for i, n := range sizes {
		entries = append(entries, entry(i+1, bytesOf(n, byte(i))))
	}
	read := func(t *testing.T, s *Segment) {
		t.Helper()
		if s.Frames() != len(entries) {
			t.Fatalf("%d frames, want %d", s.Frames(), len(entries))
		}
		for i := range entries {
			var e Entry
			must(t, s.Frame(i, &e))
			want := entries[i]
			if !bytes.Equal(e.Payload, want.Payload) {
				t.Fatalf("frame %d: other payload", i)
			}
			e.Payload, want.Payload = nil, nil
			if !reflect.DeepEqual(e, want) {
				t.Fatalf("frame %d: %+v, want %+v", i, e, want)
			}
		}
	}
	for _, together := range []bool{true, false} {
		t.Run(fmt.Sprint("together=", together), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.seg")
			a := newSegment(t, vfs.OS, path, 8<<20)
			if together {
				add(t, a, entries...)
			} else {
				for _, e := range entries {
					add(t, a, e)
				}
			}
			read(t, a.Segment)
			must(t, a.Sync())
			a.Release()
			a, rec, err := Recover(RecoverOptions{FS: vfs.OS, Path: path, Meta: a.Meta(), Capacity: 8 << 20})
			must(t, err)
			if rec.TornBytes != 0 || rec.Frames != len(entries) {
				t.Fatalf("recovery %+v", rec)
			}
			read(t, a.Segment)
			meta, err := a.Seal(len(entries), nil)
			must(t, err)
			must(t, a.Trim(meta))
			read(t, a.Segment)
			a.Release()
			s := OpenSealed(vfs.OS, nil, path, meta)
			read(t, s)
			s.Release()
		})
	}
}

// TestLookup compares both searches with a walk, in memory and in the mapping.
func TestLookup(t *testing.T) {
	m := vfs.NewMem()
	a := newSegment(t, m, "a", 1<<20)
	stamps := []int64{5, 3, -1, 9, 9, 2, 30, 12, 31}
	var entries []Entry
	next := Offset(0)
	for i := range 400 {
		e := Entry{Index: Index(i + 1), Term: 1, Kind: KindData, BaseOffset: next, MaxTimestamp: -1}
		if i%3 != 1 {
			e.Count, e.MaxTimestamp = uint32(i%5+1), stamps[i%len(stamps)]+int64(i/50)
		}
		next = e.Next()
		entries = append(entries, e)
	}
	add(t, a, entries...)
	meta, err := a.Seal(len(entries), nil)
	must(t, err)
	for _, s := range []*Segment{a.Segment, OpenSealed(m, nil, "a", meta)} {
		for off := Offset(0); off < next; off++ {
			i, err := s.FindOffset(off)
			must(t, err)
			if e := entries[i]; off < e.BaseOffset || off >= e.Next() {
				t.Fatalf("offset %d: frame %d, [%d, %d)", off, i, e.BaseOffset, e.Next())
			}
		}
		for ts := int64(-2); ts < 45; ts++ {
			want := 0
			for want < len(entries) && entries[want].MaxTimestamp < ts {
				want++
			}
			if i, err := s.FindTimestamp(ts); err != nil || i != want {
				t.Fatalf("timestamp %d: frame %d, %v, want %d", ts, i, err, want)
			}
		}
		s.Release()
	}
}

func TestAppendRefusesWhatDoesNotFollow(t *testing.T) {
	a := newSegment(t, vfs.NewMem(), "a", 1<<20)
	add(t, a, entry(1, nil))
	good := entry(2, nil)
	for name, change := range map[string]func(e *Entry){
		"index":    func(e *Entry) { e.Index++ },
		"term":     func(e *Entry) { e.Term = 0 },
		"offset":   func(e *Entry) { e.BaseOffset = 1 },
		"kind":     func(e *Entry) { e.Kind = 9 },
		"mark":     func(e *Entry) { e.Kind = frame.KindMark },
		"overflow": func(e *Entry) { e.BaseOffset = 1<<63 - 2 },
	} {
		e := good
		change(&e)
		if n, err := a.Append([]Entry{e}, 1); n != 0 || err == nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	add(t, a, good)
}

// TestFull fills a segment to its capacity and to its count of frames.
func TestFull(t *testing.T) {
	a := newSegment(t, vfs.NewMem(), "a", 32<<10)
	n := 0
	for {
		k, err := a.Append([]Entry{entry(n+1, bytesOf(1000, 1))}, 1)
		must(t, err)
		if k == 0 {
			break
		}
		n++
	}
	if want := (32<<10 - 4096) / FrameLen(1000); n != want {
		t.Fatalf("%d frames fit, want %d", n, want)
	}
	b := newSegment(t, vfs.NewMem(), "b", 64<<20)
	batch := make([]Entry, 1000)
	for i := 1; ; {
		for k := range batch {
			batch[k] = entry(i+k, nil)
		}
		k, err := b.Append(batch, 1)
		must(t, err)
		i += k
		if k < len(batch) {
			break
		}
	}
	if b.Frames() != FramesMax {
		t.Fatalf("%d frames, want %d", b.Frames(), FramesMax)
	}
	var e Entry
	must(t, b.Frame(FramesMax-1, &e))
	if e.Index != FramesMax {
		t.Fatalf("index %d", e.Index)
	}
}

// TestNoSpace: a full disk is an error, appends nothing, keeps reads, and
// appends work again when there is room.
func TestNoSpace(t *testing.T) {
	m := vfs.NewMem()
	m.SetCapacity(64 << 10)
	a := newSegment(t, m, "a", 1<<20)
	n := 0
	for ; ; n++ {
		if _, err := a.Append([]Entry{entry(n+1, bytesOf(1000, byte(n)))}, 1); err != nil {
			if !errors.Is(err, vfs.ErrNoSpace) {
				t.Fatal(err)
			}
			break
		}
	}
	if n == 0 || a.Frames() != n || a.Err() != nil {
		t.Fatalf("%d frames after %d appends, %v", a.Frames(), n, a.Err())
	}
	var e Entry
	must(t, a.Frame(n-1, &e))
	must(t, a.Sync())
	m.SetCapacity(0)
	add(t, a, entry(n+1, bytesOf(5000, 9)))
}

// TestNoSpaceInTheMiddle: a write that fails half way leaves nothing that a
// later, shorter frame could bring back.
func TestNoSpaceInTheMiddle(t *testing.T) {
	m := vfs.NewMem()
	writes := 0
	fail := -1
	fsys := vfs.NewFaulty(m, func(op vfs.Op, _ string) error {
		if op == vfs.OpWrite {
			writes++
			if writes == fail {
				return vfs.ErrNoSpace
			}
		}
		return nil
	})
	a := newSegment(t, fsys, "a", 1<<20)
	var entries []Entry
	for i := range 100 { // two system calls
		entries = append(entries, entry(i+1, bytesOf(1000, byte(i))))
	}
	fail = writes + 2
	if _, err := a.Append(entries, 1); !errors.Is(err, vfs.ErrNoSpace) {
		t.Fatal(err)
	}
	other := entry(1, bytesOf(1000, 77))
	add(t, a, other)
	must(t, a.Sync())
	must(t, m.SyncDir("."))
	b, _, err := Recover(RecoverOptions{FS: m.Crash(1), Path: "a", Meta: a.Meta()})
	must(t, err)
	if b.Frames() != 1 {
		t.Fatalf("%d frames, want the one that was appended", b.Frames())
	}
}

// TestPoison: after a failed sync or write nothing is accepted or reported as
// durable, and reads go on.
func TestPoison(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpDatasync, vfs.OpWrite} {
		broken := false
		fsys := vfs.NewFaulty(vfs.NewMem(), func(o vfs.Op, _ string) error {
			if broken && o == op {
				return io.ErrNoProgress
			}
			return nil
		})
		a := newSegment(t, fsys, "a", 1<<20)
		add(t, a, entry(1, []byte("x")))
		broken = true
		_, err := a.Append([]Entry{entry(2, nil)}, 1)
		if err == nil {
			err = a.Sync()
		}
		broken = false
		if !errors.Is(err, ErrPoisoned) || !errors.Is(err, io.ErrNoProgress) {
			t.Fatalf("%s: %v", op, err)
		}
		if err := a.Sync(); !errors.Is(err, ErrPoisoned) {
			t.Fatalf("%s: sync again: %v", op, err)
		}
		if _, err := a.Append([]Entry{entry(a.Frames()+1, nil)}, 1); !errors.Is(err, ErrPoisoned) {
			t.Fatalf("%s: append again: %v", op, err)
		}
		if _, err := a.Seal(1, nil); !errors.Is(err, ErrPoisoned) {
			t.Fatalf("%s: seal: %v", op, err)
		}
		var e Entry
		must(t, a.Frame(0, &e))
	}
}

// TestCut: a sealed segment cut twice; readers of the longer ones go on.
func TestCut(t *testing.T) {
	m := vfs.NewMem()
	a := newSegment(t, m, "a", 1<<20)
	for i := range 10 {
		e := entry(i+1, bytesOf(500, byte(i)))
		e.Term = Term(1 + i/4)
		add(t, a, e)
	}
	full, err := a.Seal(10, []byte("owner"))
	must(t, err)
	a.Release()
	long := OpenSealed(m, nil, "a", full)
	var e Entry
	must(t, long.Frame(9, &e))
	seven, err := long.Cut(7)
	must(t, err)
	mid := OpenSealed(m, nil, "a", seven)
	five, err := mid.Cut(5)
	must(t, err)
	short := OpenSealed(m, nil, "a", five)
	for _, c := range []struct {
		s     *Segment
		n     int
		terms string
		blob  string
	}{{long, 10, "[{1 1 0} {2 5 8} {3 9 16}]", "owner"}, {mid, 7, "[{1 1 0} {2 5 8}]", ""}, {short, 5, "[{1 1 0} {2 5 8}]", ""}} {
		if c.s.Frames() != c.n || c.s.NextOffset() != Offset(2*c.n) || c.s.MaxTimestamp() != int64(c.n) {
			t.Fatalf("cut to %d: %+v", c.n, c.s.Meta())
		}
		must(t, c.s.Frame(c.n-1, &e))
		if e.Index != Index(c.n) || !bytes.Equal(e.Payload, bytesOf(500, byte(c.n-1))) {
			t.Fatalf("cut to %d: last frame %d", c.n, e.Index)
		}
		if runs, err := c.s.Terms(nil); err != nil || fmt.Sprint(runs) != c.terms {
			t.Fatalf("cut to %d: terms %v, %v", c.n, runs, err)
		}
		if blob, err := c.s.Checkpoint(); err != nil || string(blob) != c.blob {
			t.Fatalf("cut to %d: checkpoint %q, %v", c.n, blob, err)
		}
	}
}

// TestFault: a page that the file cannot give is an error, not a dead process.
func TestFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.seg")
	a := newSegment(t, vfs.OS, path, 1<<20)
	for i := range 20 {
		add(t, a, entry(i+1, bytesOf(2000, byte(i))))
	}
	meta, err := a.Seal(20, nil)
	must(t, err)
	s := OpenSealed(vfs.OS, nil, path, meta)
	defer s.Release()
	var e Entry
	must(t, s.Frame(0, &e))
	must(t, os.Truncate(path, 4096))
	if err := s.Frame(5, &e); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("frame in a lost page: %v", err)
	}
	if _, err := s.FindOffset(7); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("lookup in a lost page: %v", err)
	}
	if err := Detach([]Entry{e}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("copy of a lost page: %v", err)
	}
}

// TestReadersBesideAppends reads every frame as soon as it is published, while
// the writer appends, extends and seals.
func TestReadersBesideAppends(t *testing.T) {
	m := vfs.NewMem()
	a := newSegment(t, m, "a", 4<<20)
	const total = 3000
	var wg sync.WaitGroup
	for range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for seen := 0; seen < total; {
				n := a.Frames()
				for ; seen < n; seen++ {
					var e Entry
					if err := a.Frame(seen, &e); err != nil {
						t.Error(err)
						return
					}
					if !bytes.Equal(e.Payload, bytesOf(seen%400, byte(seen))) {
						t.Errorf("frame %d differs", seen)
						return
					}
					if i, err := a.FindOffset(e.BaseOffset); err != nil || i != seen {
						t.Errorf("offset %d: frame %d, %v", e.BaseOffset, i, err)
						return
					}
				}
			}
		}()
	}
	for i := range total {
		add(t, a, entry(i+1, bytesOf(i%400, byte(i))))
		if a.WantsExtend() {
			must(t, a.Extend())
		}
	}
	_, err := a.Seal(total, nil)
	must(t, err)
	wg.Wait()
}

func TestReleaseTwice(t *testing.T) {
	a := newSegment(t, vfs.NewMem(), "a", 1<<20)
	if !a.Acquire() {
		t.Fatal("no reference on a live segment")
	}
	a.Release()
	a.Release()
	if a.Acquire() {
		t.Fatal("a reference on a dead segment")
	}
	defer func() {
		if recover() == nil {
			t.Fatal("released below zero without a word")
		}
	}()
	a.Release()
}
