package segment

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"chronik/internal/vfs"
)

// TestFindOffsetUneven compares lookups with a walk where the first guess is
// right, a little off, and far off: frames of one size, of none and many, and
// ever larger ones.
func TestFindOffsetUneven(t *testing.T) {
	const frames = 500
	r := rand.New(rand.NewPCG(1, 1))
	for name, count := range map[string]func(i int) uint32{
		"even":    func(int) uint32 { return 3 },
		"empty":   func(i int) uint32 { return uint32(i % 2) },
		"uneven":  func(int) uint32 { return []uint32{0, 1, 1, 1, 40, 5000}[r.IntN(6)] },
		"growing": func(i int) uint32 { return uint32(i * i) },
		"falling": func(i int) uint32 { return uint32((frames - i) * (frames - i)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			a := newSegment(t, vfs.OS, path, 1<<20)
			defer a.Release()
			var all []Entry
			next := Offset(0)
			for i := range frames {
				all = append(all, Entry{Index: Index(i + 1), Term: 1, Kind: KindData, BaseOffset: next, Count: count(i), MaxTimestamp: -1})
				next = all[i].Next()
			}
			add(t, a, all...)
			compareLookups(t, a.Segment, all)
			meta, err := a.Seal(frames, nil)
			must(t, err)
			s := OpenSealed(vfs.OS, nil, path, meta)
			defer s.Release()
			compareLookups(t, s, all)
		})
	}
}

func compareLookups(t *testing.T, s *Segment, all []Entry) {
	t.Helper()
	for _, e := range all {
		for _, off := range []Offset{e.BaseOffset - 1, e.BaseOffset, e.BaseOffset + 1, e.Next() - 1, e.Next()} {
			want := 0
			for i := range all {
				if all[i].BaseOffset <= off {
					want = i
				}
			}
			if got, err := s.FindOffset(off); err != nil || got != want {
				t.Fatalf("offset %d: frame %d, %v; want %d", off, got, err, want)
			}
		}
	}
}
