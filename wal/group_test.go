package wal

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"chronik/internal/vfs"
)

// together has the logs synced in one round and returns what each was told. The
// round before, which is of gather alone, holds it.
func together(gather *Log, logs ...*Log) []error {
	errs := make([]error, len(logs))
	var wg sync.WaitGroup
	wg.Add(len(logs))
	gather.Sync(func(error) {
		for i, l := range logs {
			l.Sync(func(err error) { errs[i] = err; wg.Done() })
		}
	})
	wg.Wait()
	return errs
}

// calls counts the calls of an operation on files whose names end so.
type calls struct {
	mu sync.Mutex
	n  map[vfs.Op]map[string]int
}

func (c *calls) count(op vfs.Op, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[vfs.Op]map[string]int{}
	}
	if c.n[op] == nil {
		c.n[op] = map[string]int{}
	}
	c.n[op][name[strings.LastIndexByte(name, '.')+1:]]++
}

// of is how often op was called on manifests and on segments.
func (c *calls) of(op vfs.Op) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	manifests := 0
	for name, n := range c.n[op] {
		if strings.HasSuffix(name, ManifestName) {
			manifests += n
		}
	}
	return fmt.Sprintf("%d manifests, %d segments", manifests, c.n[op]["seg"])
}

// TestGroupSync: where it is safe, the logs of a round are written out and
// share one flush; where it is not, each is synced.
func TestGroupSync(t *testing.T) {
	for _, c := range []struct {
		name string
		fsys vfs.FS
		dir  string
	}{{"mem", vfs.NewMem(), "/logs"}, {"os", vfs.OS, t.TempDir()}, {"unsafe", unsafeFS{vfs.NewMem()}, "/logs"}} {
		t.Run(c.name, func(t *testing.T) {
			var ops calls
			fsys := vfs.NewFaulty(c.fsys, func(op vfs.Op, name string) error { ops.count(op, name); return nil })
			s := NewSyncer(SyncerOptions{})
			defer s.Close()
			var logs []*Log
			for i := range 5 {
				logs = append(logs, open(t, Options{FS: fsys, Dir: fmt.Sprint(c.dir, "/", i), Syncer: s}))
			}
			for _, l := range logs[1:] {
				fill(t, l, 3, 100)
			}
			probe, err := c.fsys.OpenReadOnly(logs[0].view.Load().active.Path())
			must(t, err)
			safe := probe.Device() != 0
			must(t, probe.Close())
			t.Logf("safe: %v", safe)
			ops = calls{}
			for i, err := range together(logs[0], logs[1:]...) {
				if l := logs[1+i]; err != nil || l.DurableIndex() != 3 || l.DurableOffset() != 6 {
					t.Errorf("log %d: durable %d, offset %d, %v", i, l.DurableIndex(), l.DurableOffset(), err)
				}
			}
			out, sync := "0 manifests, 4 segments", "1 manifests, 0 segments"
			if !safe {
				out, sync = "0 manifests, 0 segments", "0 manifests, 4 segments"
			}
			if ops.of(vfs.OpWaitOut) != out || ops.of(vfs.OpDatasync) != sync {
				t.Errorf("written out: %s; synced: %s", ops.of(vfs.OpWaitOut), ops.of(vfs.OpDatasync))
			}
			for _, l := range logs {
				must(t, l.Close())
			}
		})
	}
}

// unsafeFS is one of which nothing is known.
type unsafeFS struct{ vfs.FS }

type unsafeFile struct{ vfs.File }

func (unsafeFile) Device() vfs.Device { return 0 }

func (u unsafeFS) Create(name string) (vfs.File, error) {
	f, err := u.FS.Create(name)
	return unsafeFile{f}, err
}

func (u unsafeFS) OpenReadOnly(name string) (vfs.File, error) {
	f, err := u.FS.OpenReadOnly(name)
	return unsafeFile{f}, err
}

// TestGroupSyncFails: a write-out that fails is that log's failure; a flush that
// fails is everybody's who relied on it. Neither is ever taken back, and what
// failed is not called durable.
func TestGroupSyncFails(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		op   vfs.Op
		file string
		bad  []bool // of logs 1 to 3
	}{
		{"write-out", vfs.OpWaitOut, "/2/", []bool{false, true, false}},
		{"flush", vfs.OpDatasync, ManifestName, []bool{true, true, true}},
	} {
		for _, fault := range []error{broken, fmt.Errorf("%w: %w", broken, vfs.ErrNoSpace), fmt.Errorf("%w: %w", broken, vfs.ErrForgotten)} {
			t.Run(fmt.Sprint(c.name, "/", fault), func(t *testing.T) {
				var mu sync.Mutex
				armed := false
				arm := func(b bool) { mu.Lock(); armed = b; mu.Unlock() }
				m := vfs.NewMem()
				fsys := vfs.NewFaulty(m, func(op vfs.Op, name string) error {
					mu.Lock()
					defer mu.Unlock()
					if armed && op == c.op && strings.Contains(name, c.file) {
						return fault
					}
					return nil
				})
				s := NewSyncer(SyncerOptions{})
				defer s.Close()
				var logs []*Log
				for i := range 4 {
					logs = append(logs, open(t, Options{FS: fsys, Dir: fmt.Sprint("/logs/", i), Syncer: s}))
				}
				for _, l := range logs[1:] {
					fill(t, l, 2, 100)
				}
				arm(true)
				errs := together(logs[0], logs[1:]...)
				arm(false)
				crashed := m.Crash(1)
				for i, bad := range c.bad {
					l := logs[1+i]
					if bad != errors.Is(errs[i], broken) || bad != errors.Is(errs[i], ErrPoisoned) || bad != (l.DurableIndex() == 0) {
						t.Errorf("log %d: %v, durable %d", i, errs[i], l.DurableIndex())
					}
					if err := l.SyncWait(); bad != errors.Is(err, ErrPoisoned) {
						t.Errorf("log %d: synced again: %v", i, err)
					}
					if !bad {
						fill(t, l, 1, 100)
						must(t, l.SyncWait())
						o, _, err := Open(Options{FS: crashed, Dir: l.o.Dir})
						if err != nil || o.LastIndex() != 2 {
							t.Errorf("log %d after a crash: last %d, %v", i, o.LastIndex(), err)
						}
					}
				}
			})
		}
	}
}
