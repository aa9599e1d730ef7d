package scan

import (
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"
)

// TestEarlierLife: what a file had in it before it was used again is no torn
// tail, and what was written in this life is one, where it begins.
func TestEarlierLife(t *testing.T) {
	for _, test := range []struct {
		name  string
		write string // behind the frames
		at    int64
		torn  bool
	}{
		{"nothing", "", 0, false},
		{"bytes that belong to nothing, among the old ones", "abc", 9000, false},
		{"bytes behind the old ones", "abc", 40000, true},
	} {
		m := vfs.NewMem()
		must(t, m.MkdirAll("/log"))
		begin := func(sp *segment.Spare, salt uint32) *segment.Active {
			a, err := sp.Begin(segment.CreateOptions{Salt: salt, BaseIndex: 1, Capacity: 64 << 10})
			must(t, err)
			return a
		}
		fill := func(a *segment.Active, n int) {
			for i := range n {
				_, err := a.Append([]segment.Entry{{Index: segment.Index(i + 1), Term: 1, Kind: segment.KindData, Payload: make([]byte, 1000), MaxTimestamp: -1}}, 1)
				must(t, err)
			}
			must(t, a.Sync())
		}
		sp, err := segment.NewSpare(m, "/log/1", 1, 64<<10)
		must(t, err)
		old := begin(sp, 7)
		fill(old, 20)
		meta, err := old.Seal(20, nil)
		must(t, err)
		old.Release()
		sp, err = segment.Recycle(m, "/log/1", meta, "/log/2", 2, 1<<20)
		must(t, err)
		a := begin(sp, 8)
		fill(a, 3)
		f, err := m.Open("/log/2")
		must(t, err)
		_, err = f.WriteAt([]byte(test.write), test.at)
		must(t, err)
		want := a.Meta()
		s, err := Open(m, "/log/2", &want, false)
		must(t, err)
		must(t, s.ReadActive(a.SyncedThrough()))
		if s.Stale == 0 || s.Frames != 3 || s.Pos != a.End() || (s.Torn > 0) != test.torn || test.torn && (s.Torn != a.End() || s.Last != segment.Pos(test.at)+3) {
			t.Errorf("%s: stale %d, %d frames to %d, torn at %d to %d", test.name, s.Stale, s.Frames, s.Pos, s.Torn, s.Last)
		}
		// A frame of this life that the disk took before the ones in front of it.
		end := a.End()
		fill2, err := a.Append([]segment.Entry{
			{Index: 4, Term: 1, Kind: segment.KindData, Payload: make([]byte, 5000), MaxTimestamp: -1},
			{Index: 5, Term: 1, Kind: segment.KindData, Payload: make([]byte, 100), MaxTimestamp: -1}}, 1)
		if must(t, err); fill2 != 2 {
			t.Fatal(fill2)
		}
		_, err = f.WriteAt(make([]byte, 64), int64(end))
		must(t, err)
		must(t, s.Close())
		s, err = Open(m, "/log/2", &want, false)
		must(t, err)
		must(t, s.ReadActive(a.SyncedThrough()))
		if s.Torn != end || s.Last < a.End() {
			t.Errorf("%s: behind a hole: torn at %d to %d, want %d to %d", test.name, s.Torn, s.Last, end, a.End())
		}
		must(t, s.Close())
		must(t, f.Close())
		a.Release()
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
