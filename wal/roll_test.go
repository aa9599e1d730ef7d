package wal

import (
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
