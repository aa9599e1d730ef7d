package wal

import (
	"errors"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"
)

// TestReset: a log that goes on elsewhere is empty, knows the term before it, keeps what readers hold, and is all that when it is opened again.
func TestReset(t *testing.T) {
	fs := vfs.NewMem()
	o := Options{FS: fs, Dir: "/log", SegmentBytes: func() int64 { return 16 << 10 }}
	l, _, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	frame := func(i Index, term Term, off Offset) segment.Entry {
		return segment.Entry{Index: i, Term: term, Kind: segment.KindData, BaseOffset: off, Count: 1, MaxTimestamp: 7, Payload: make([]byte, 5000)}
	}
	for i := range Index(10) {
		if err := l.Append([]segment.Entry{frame(i+1, 2, Offset(i))}); err != nil {
			t.Fatal(err)
		}
	}
	held, ref, err := l.Read(0, 10, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Reset(500, 3, 700); err != nil {
		t.Fatal(err)
	}
	shows := func(first, last Index, start, next Offset) {
		t.Helper()
		term, err := l.Term(499)
		if l.FirstIndex() != first || l.LastIndex() != last || l.StartOffset() != start || l.NextOffset() != next || term != 3 || err != nil {
			t.Errorf("[%d, %d] from %d to %d, term before %d, %v", l.FirstIndex(), l.LastIndex(), l.StartOffset(), l.NextOffset(), term, err)
		}
		if l.DurableIndex() != last || l.DurableOffset() != next {
			t.Errorf("durable to %d, %d", l.DurableIndex(), l.DurableOffset())
		}
	}
	shows(500, 499, 700, 700)
	if held[0].BaseOffset != 0 || len(held[0].Payload) != 5000 {
		t.Errorf("what a reader held is %+v", held[0])
	}
	ref.Release()
	if _, err := l.Entries(10, 11, 1, nil); !errors.Is(err, ErrCompacted) {
		t.Errorf("entry 10: %v", err)
	}
	if err := l.Append([]segment.Entry{frame(500, 3, 700), frame(501, 4, 701)}); err != nil {
		t.Fatal(err)
	}
	if err := l.SyncWait(); err != nil {
		t.Fatal(err)
	}
	shows(500, 501, 700, 702)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, _, err = Open(o); err != nil {
		t.Fatal(err)
	}
	shows(500, 501, 700, 702)
	names, err := fs.ReadDir("/log")
	if err != nil || len(names) != 2 {
		t.Errorf("files %v, %v; want the manifest and one segment", names, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
