package inspect

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"chronik/internal/vfs"
	"chronik/kafka/batch"
	"chronik/segment"
	"chronik/wal"
)

// TestBesideAWriter verifies, inspects and dumps a log while it is appended
// to, rolled, cut and dropped at the front: nothing is ever called corrupt.
func TestBesideAWriter(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{"memory": vfs.NewMem(), "disk": vfs.OS} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir() + "/log"
			l, _, err := wal.Open(wal.Options{FS: fsys, Dir: dir, SegmentBytes: func() int64 { return 64 << 10 }})
			must(t, err)
			var stop atomic.Bool
			done := make(chan error, 1)
			go func() { done <- keepChanging(t, l, &stop) }()
			var most Report
			for n := 0; n < 40 || most.Frames == 0; n++ {
				reports, err := Verify(t.Context(), dir, Options{FS: fsys})
				if err != nil || len(reports) != 1 || reports[0].State != Clean && reports[0].State != Torn {
					t.Errorf("look %d: %+v, %v", n, reports, err)
					break
				}
				if most.Frames < reports[0].Frames {
					most = reports[0]
				}
				if _, err := Inspect(t.Context(), dir, Options{FS: fsys}); err != nil {
					t.Errorf("inspect %d: %v", n, err)
					break
				}
				if err := Dump(t.Context(), dir, Options{FS: fsys, Records: true}, func(Line) error { return nil }); err != nil {
					t.Errorf("dump %d: %v", n, err)
					break
				}
			}
			stop.Store(true)
			must(t, <-done)
			must(t, l.Close())
			t.Logf("most at once: %+v", most.Counts)
			reports, err := Verify(t.Context(), dir, Options{FS: fsys})
			if err != nil || reports[0].State != Clean || reports[0].Frames == 0 {
				t.Errorf("at the end: %+v, %v", reports, err)
			}
		})
	}
}

// keepChanging is a writer that does everything that a log's owner may do.
func keepChanging(t *testing.T, l *wal.Log, stop *atomic.Bool) error {
	const seed = 7 // go test ./wal/inspect -run TestBesideAWriter
	r := rand.New(rand.NewPCG(seed, 0))
	p := &producer{term: 1}
	for !stop.Load() {
		switch n := r.IntN(200); {
		case n == 0:
			if err := l.Roll(); err != nil {
				return err
			}
		case n == 1 && l.LastIndex() > l.FirstIndex()+4:
			if err := l.SyncWait(); err != nil {
				return err
			}
			if err := l.TruncateFrom(l.LastIndex() - 2); err != nil {
				return err
			}
			p.index, p.next = l.LastIndex(), l.NextOffset()
			p.term++
		case n == 2 && l.NextOffset() > 200:
			if err := l.SetStart(max(l.StartOffset(), l.NextOffset()-200)); err != nil {
				return err
			}
		case n < 20:
			if err := l.SyncWait(); err != nil {
				return err
			}
		default:
			entries := []segment.Entry{p.records(t, batch.None, 1+r.IntN(20))}
			if r.IntN(4) == 0 {
				entries = append(entries, p.empty(), p.records(t, batch.LZ4, 1, 3))
			}
			if err := l.Append(entries); err != nil {
				return err
			}
		}
	}
	return nil
}
