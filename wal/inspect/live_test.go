package inspect

import (
	"errors"
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
				last := uint64(0)
				err = Dump(t.Context(), dir, Options{FS: fsys, Records: true}, func(l Line) error {
					if l.Frame != nil {
						if l.Frame.Index <= last {
							t.Errorf("dump %d: index %d after %d", n, l.Frame.Index, last)
						}
						last = l.Frame.Index
					}
					return nil
				})
				if err != nil {
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

// windowBytes is as much as is read of a file at a time.
const windowBytes = 256 << 10

// TestWriteUnderWay: a frame that is half there at the first look, with frames
// behind it that say that it was durable by the time they are read, was being
// written. It would be corrupt in a file that stands still.
func TestWriteUnderWay(t *testing.T) {
	m := vfs.NewMem()
	l, _, err := wal.Open(wal.Options{FS: m, Dir: "/log"})
	must(t, err)
	p := &producer{term: 1}
	for range 30 {
		must(t, l.Append([]segment.Entry{p.records(t, batch.None, 500)}))
		must(t, l.SyncWait())
	}
	must(t, l.Close())
	whole := files(t, m, "/log")
	half := change(whole, first, func(b []byte) { clear(b[4096+100:]) })
	if len(whole[first]) < 2*windowBytes {
		t.Fatalf("%d bytes fit into one window", len(whole[first]))
	}
	disk := store(t, "/log", half)
	written := 0
	w := &watched{FS: disk, read: func(name string, off int64) {
		if off > windowBytes && written == 0 {
			written++
			f, err := disk.Open("/log/" + first)
			must(t, err)
			_, err = f.WriteAt(whole[first], 0)
			must(t, err)
			must(t, f.Close())
		}
	}}
	v := &verifier{o: &Options{FS: w}, t: target{dir: "/log"}}
	look, err := v.look()
	must(t, err)
	if look.report.State != Corrupt || written != 1 {
		t.Fatalf("the first look: %+v after %d writes", look.report, written)
	}
	written = 0
	f, err := disk.Open("/log/" + first)
	must(t, err)
	_, err = f.WriteAt(half[first], 0)
	must(t, err)
	if r := verifyOne(t, w, "/log"); r.State != Clean || r.Frames != 30 || written != 1 {
		t.Errorf("%+v after %d writes", r, written)
	}
	// The same bytes at rest.
	if r := verifyOne(t, store(t, "/log", change(whole, first, func(b []byte) { clear(b[4096+100 : 4096+200]) })), "/log"); r.State != Corrupt {
		t.Errorf("at rest: %+v", r)
	}
}

// TestDroppedMeanwhile: segments that the manifest names go before they are
// opened, because retention has dropped them or the log is removed.
func TestDroppedMeanwhile(t *testing.T) {
	m := vfs.NewMem()
	l, _, err := wal.Open(wal.Options{FS: m, Dir: "/data/log"})
	must(t, err)
	p := &producer{term: 1}
	for range 3 {
		must(t, l.Append([]segment.Entry{p.records(t, batch.None, 5)}))
		must(t, l.Roll())
	}
	w := &watched{FS: m}
	once := func(do func() error) {
		w.open = func(name string) {
			if name == "/data/log/"+first || name == "/data/log/"+active {
				w.open = nil
				must(t, do())
			}
		}
	}
	once(func() error { return l.SetStart(7) })
	if r := verifyOne(t, w, "/data"); r.State != Clean || r.Segments != 3 || r.Records != 10 {
		t.Errorf("dropped: %+v", r)
	}
	// Removed between the manifest and the segment, at each step of that.
	l.Close()
	content := files(t, m, "/data/log")
	for steps := 1; ; steps++ {
		var disk *vfs.Mem
		calls, ended := 0, false
		remove := func() error {
			ended = wal.Remove(vfs.NewFaulty(disk, func(vfs.Op, string) error {
				if calls++; calls > steps {
					return errors.New("stopped")
				}
				return nil
			}), "/data/log") == nil
			return nil
		}
		for name, ask := range map[string]func(fsys vfs.FS) (int, error){
			"verify": func(fsys vfs.FS) (int, error) {
				r, err := Verify(t.Context(), "/data", Options{FS: fsys, Clock: hurried{}})
				return len(r), err
			},
			"inspect": func(fsys vfs.FS) (int, error) {
				r, err := Inspect(t.Context(), "/data", Options{FS: fsys, Clock: hurried{}})
				return len(r), err
			},
			"dump": func(fsys vfs.FS) (int, error) {
				return 0, Dump(t.Context(), "/data", Options{FS: fsys}, func(Line) error { return nil })
			},
		} {
			disk, calls = store(t, "/data/log", content), 0
			w = &watched{FS: disk}
			once(remove) // before the first segment is opened
			if n, err := ask(w); err != nil || n > 0 && ended {
				t.Errorf("%s, removed as far as step %d: %d logs, %v", name, steps, n, err)
			}
		}
		if ended {
			break
		}
	}
}

// TestNothingIsWritten: whatever the three commands find, they open files for
// reading only, lock nothing and map nothing.
func TestNothingIsWritten(t *testing.T) {
	for _, content := range []map[string][]byte{small(t), change(small(t), active, func(b []byte) { b[9000] = 1 }), change(small(t), first, func(b []byte) { b[4200] ^= 1 })} {
		m := store(t, "/log", content)
		for _, fsys := range []vfs.FS{vfs.NewFaulty(m, func(op vfs.Op, name string) error {
			switch op {
			case vfs.OpOpen, vfs.OpReadDir, vfs.OpStat, vfs.OpRead:
			default:
				t.Errorf("%s of %s", op, name)
			}
			return nil
		}), readOnly{m, t}} {
			o := Options{FS: fsys, Clock: hurried{}, Records: true}
			Verify(t.Context(), "/log", o)
			Inspect(t.Context(), "/log", o)
			Dump(t.Context(), "/log", o, func(Line) error { return nil })
		}
		for name, b := range files(t, m, "/log") {
			if string(b) != string(content[name]) {
				t.Errorf("%s has changed", name)
			}
		}
	}
}

// readOnly is a file system on which opening for writing is a failure.
type readOnly struct {
	vfs.FS
	t *testing.T
}

func (r readOnly) Open(name string) (vfs.File, error) {
	r.t.Errorf("open for writing: %s", name)
	return r.FS.Open(name)
}
