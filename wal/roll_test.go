package wal

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"

	"chronik/internal/crashtest"
	"chronik/internal/vfs"
	"chronik/segment"
)

// TestRollCampaign is TestCrashCampaign for one log that rolls all the time,
// with the tasks beside it done late: power is lost while a roll is under way,
// while files are made ready, and while one is used again.
func TestRollCampaign(t *testing.T) {
	var hit rollHits
	c := campaign
	c.Steps, c.Seeds = 150, 3
	c.Kinds = []string{"append", "sync", "beside", "roll", "truncate", "start", "close", "kill"}
	c.New = func(seed uint64, disk *crashtest.Disk) crashtest.Workload {
		w := newCrashLogs(seed, disk).(*crashLogs)
		w.logs, w.hit = w.logs[:1], &hit
		w.logs[0].size = 16 << 10
		return w
	}
	c.Crash(t)
	for what, n := range map[string]*atomic.Int64{"steps while a roll was under way": &hit.rolling, "kills then": &hit.killed,
		"steps with a spare": &hit.spares, "steps with frames in a file used again": &hit.recycled} {
		t.Logf("%s: %d", what, n.Load())
		if n.Load() == 0 && os.Getenv("CHRONIK_SEED") == "" && !t.Failed() {
			t.Errorf("no %s", what)
		}
	}
}

// rollHits counts what the steps of TestRollCampaign met.
type rollHits struct{ rolling, killed, spares, recycled atomic.Int64 }

// rollSteps turns a number below 100 into one of those of crashLogs.step, with
// more of what rolls and drops.
func rollSteps(k int) int {
	switch {
	case k < 15:
		return 0 // beside
	case k < 60:
		return 20 // append
	case k < 68:
		return 50 // sync
	case k < 90:
		return 80 // start
	case k < 93:
		return 62 // roll
	case k < 95:
		return 70 // truncate
	case k < 98:
		return 92 // kill
	}
	return 86 // close
}

func (h *rollHits) see(g *crashLog, mem *vfs.Mem) {
	v := g.log.view.Load()
	if v.rolling != nil {
		h.rolling.Add(1)
	}
	if g.log.spares.Ready() {
		h.spares.Add(1)
	}
	f, err := mem.OpenReadOnly(v.active.Path())
	if err != nil {
		return
	}
	defer f.Close()
	var b [segment.HeaderBytes]byte
	if _, err := f.ReadAt(b[:], 0); err == nil && segment.StaleThrough(b[:]) > 0 && v.active.Frames() > 0 {
		h.recycled.Add(1)
	}
}

// later keeps tasks until they are asked for.
type later struct{ tasks []func() }

func (q *later) add(task func()) { q.tasks = append(q.tasks, task) }

func (q *later) run() {
	for len(q.tasks) > 0 {
		task := q.tasks[0]
		q.tasks = q.tasks[1:]
		task()
	}
}

// TestRollWaitsForNoSync: an append that rolls makes no sync, with a file that
// is ready and without; the sync after it makes all of it durable.
func TestRollWaitsForNoSync(t *testing.T) {
	for _, ready := range []bool{true, false} {
		m := vfs.NewMem()
		syncs, creations := 0, 0
		var q later
		o := small(vfs.NewFaulty(m, func(op vfs.Op, name string) error {
			if op == vfs.OpDatasync || op == vfs.OpSyncDir {
				syncs++
			}
			if op == vfs.OpCreate {
				creations++
			}
			return nil
		}))
		o.Background = q.add
		l := open(t, o)
		for rolls := 0; rolls < 5; {
			before := l.view.Load().active
			syncs, creations = 0, 0
			fill(t, l, 1, 1000)
			rolled := l.view.Load().active != before
			if syncs > 0 || ready && creations > 0 {
				t.Fatalf("ready %v, rolled %v: an append made %d syncs and %d files", ready, rolled, syncs, creations)
			}
			if rolled {
				rolls++
				if l.view.Load().rolling == nil || l.DurableIndex() >= l.LastIndex() {
					t.Fatalf("settled without a sync; durable %d of %d", l.DurableIndex(), l.LastIndex())
				}
				must(t, l.SyncWait())
				if l.view.Load().rolling != nil || l.DurableIndex() != l.LastIndex() {
					t.Fatalf("not settled by a sync; durable %d of %d", l.DurableIndex(), l.LastIndex())
				}
				if c := open(t, small(m.Crash(uint64(rolls)))); c.LastIndex() != l.LastIndex() {
					t.Fatalf("%d entries after a crash, %d were synced", c.LastIndex(), l.LastIndex())
				}
			}
			if ready {
				q.run()
			}
		}
		q.run()
		must(t, l.Close())
	}
}

// TestFullDiskTakesTheSpares: what is kept for segments to come is given back
// when the disk is full, and when the log is closed.
func TestFullDiskTakesTheSpares(t *testing.T) {
	for _, full := range []bool{true, false} {
		m := vfs.NewMem()
		l := open(t, small(m))
		for len(l.Segments()) < 5 {
			fill(t, l, 1, 1000)
		}
		for !l.spares.Ready() {
			fill(t, l, 1, 1000)
		}
		must(t, l.SetStart(l.Segments()[3].BaseOffset))
		if got, want := len(segmentNames(t, m)), len(l.Segments())+2; got != want {
			t.Fatalf("%d files, want %d: a spare and one for another", got, want)
		}
		if full {
			u, err := m.Usage("/log")
			must(t, err)
			m.SetCapacity(u.Total - u.Free)
			for err == nil {
				e := next(l, payload(1, 1000))
				err = l.Append([]segment.Entry{e})
			}
			if !errors.Is(err, vfs.ErrNoSpace) {
				t.Fatal(err)
			}
			m.SetCapacity(0)
		} else {
			must(t, l.Close())
			l = open(t, small(m))
		}
		if got, want := len(segmentNames(t, m)), len(l.Segments()); got != want {
			t.Errorf("full %v: %d files of %d segments", full, got, want)
		}
		fill(t, l, 40, 1000)
		must(t, l.Close())
	}
}
