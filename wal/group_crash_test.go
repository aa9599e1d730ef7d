package wal

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"
)

// groupRig is some logs on one disk whose power may fail, and one syncer.
type groupRig struct {
	t      *testing.T
	r      *rand.Rand
	disk   *vfs.Mem
	syncer *Syncer
	logs   []*Log
	gather *Log     // of another disk
	tasks  []func() // to be done beside the logs, some time

	mu     sync.Mutex
	acked  []Index
	images []groupImage // nil: none are taken
	rounds [2]int       // members of rounds, and of these those that shared a flush
}

type groupImage struct {
	disk  *vfs.Mem
	acked []Index
	at    string
}

func (g *groupRig) open(disk *vfs.Mem, rule func(vfs.Op, string) error) {
	g.disk = disk
	g.syncer = NewSyncer(SyncerOptions{Parallel: 1, Observe: func(n Round) { g.rounds[0] += n.Logs; g.rounds[1] += n.Flushed }})
	o := Options{FS: vfs.NewFaulty(disk, rule), Syncer: g.syncer, Rand: g.r, SegmentBytes: func() int64 { return 64 << 10 },
		Background: func(task func()) { g.tasks = append(g.tasks, task) }}
	g.logs = nil
	for i := range g.acked {
		o.Dir = fmt.Sprint("/logs/", i)
		g.logs = append(g.logs, open(g.t, o))
	}
	o.FS = vfs.NewMem()
	g.gather = open(g.t, o)
}

// check compares the logs with what was acknowledged.
func (g *groupRig) check(acked []Index) error {
	for i, l := range g.logs {
		last := l.LastIndex()
		if last < acked[i] {
			return fmt.Errorf("log %d ends at %d, acknowledged %d", i, last, acked[i])
		}
		if last == 0 {
			continue
		}
		got, err := l.Entries(1, last+1, 1<<30, nil)
		if err != nil {
			return fmt.Errorf("log %d: %w", i, err)
		}
		for _, e := range got {
			if string(e.Payload) != string(payload(e.Index, len(e.Payload))) {
				return fmt.Errorf("log %d: entry %d differs", i, e.Index)
			}
		}
	}
	return nil
}

// step appends to some logs and makes some durable, in one round.
func (g *groupRig) step() {
	if g.r.IntN(3) == 0 {
		tasks := g.tasks
		g.tasks = nil
		for _, task := range tasks {
			task()
		}
	}
	var some []*Log
	var at []int
	for i, l := range g.logs {
		if g.r.IntN(3) > 0 {
			for range 1 + g.r.IntN(3) {
				i := l.LastIndex() + 1
				size := g.r.IntN(300)
				if g.r.IntN(8) == 0 {
					size = g.r.IntN(20_000)
				}
				must(g.t, l.Append([]segment.Entry{{Index: i, Term: 1, Kind: segment.KindData, BaseOffset: l.NextOffset(), Count: 1,
					MaxTimestamp: 1, Payload: payload(i, size)}}))
			}
		}
		if g.r.IntN(3) > 0 {
			some, at = append(some, l), append(at, i)
		}
	}
	var last []Index
	for _, l := range some {
		last = append(last, l.LastIndex())
	}
	for k, err := range together(g.gather, some...) {
		must(g.t, err)
		g.mu.Lock()
		g.acked[at[k]] = max(last[k], some[k].DurableIndex())
		g.mu.Unlock()
	}
}

func (g *groupRig) close() {
	g.syncer.Close()
	for _, l := range append(g.logs, g.gather) {
		for _, s := range l.view.Load().segs { // as a kill would: no mark, no sync
			s.Release()
		}
	}
}

// TestGroupSyncCampaign loses power before every call that several logs make on
// the disk that they share. What one round made durable is there, whichever way
// it took; and in what recovery left, going on is as safe.
func TestGroupSyncCampaign(t *testing.T) {
	first, count := uint64(1), uint64(6)
	if s := os.Getenv("CHRONIK_CRASHES"); s != "" {
		count, _ = strconv.ParseUint(s, 10, 64)
	}
	if s := os.Getenv("CHRONIK_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
		count = 1
	}
	images, members, flushed := 0, 0, 0
	for seed := first; seed < first+count; seed++ {
		g := &groupRig{t: t, r: rand.New(rand.NewPCG(seed, 7)), acked: make([]Index, 4)}
		crashes := rand.New(rand.NewPCG(seed, 8))
		rule := func(op vfs.Op, name string) error {
			g.mu.Lock()
			defer g.mu.Unlock()
			switch op {
			case vfs.OpRead, vfs.OpMap, vfs.OpLoad, vfs.OpStat, vfs.OpOpen, vfs.OpReadDir:
				return nil
			}
			if crashes.IntN(3) == 0 {
				g.images = append(g.images, groupImage{g.disk.Crash(crashes.Uint64()), append([]Index(nil), g.acked...), fmt.Sprint(op, " ", name)})
			}
			return nil
		}
		replay := fmt.Sprintf("replay: CHRONIK_SEED=%d go test ./wal -count=1 -run '^TestGroupSyncCampaign$'", seed)
		g.open(vfs.NewMem(), rule)
		for range 12 {
			g.step()
		}
		g.close()
		members, flushed = members+g.rounds[0], flushed+g.rounds[1]
		for _, c := range g.images {
			images++
			a := &groupRig{t: t, r: rand.New(rand.NewPCG(seed, 9)), acked: c.acked}
			a.open(c.disk, func(vfs.Op, string) error { return nil })
			if err := a.check(c.acked); err != nil {
				t.Fatalf("seed %d, power lost before %s: %v\n%s", seed, c.at, err, replay)
			}
			for range 3 {
				a.step()
			}
			a.close()
			b := &groupRig{t: t, r: a.r, acked: append([]Index(nil), a.acked...)}
			b.open(a.disk.Crash(crashes.Uint64()), func(vfs.Op, string) error { return nil })
			if err := b.check(a.acked); err != nil {
				t.Fatalf("seed %d, power lost before %s, and again after a few syncs: %v\n%s", seed, c.at, err, replay)
			}
			b.close()
		}
	}
	t.Logf("%d crash images; %d logs made durable, %d by a shared flush", images, members, flushed)
	if images < 20*int(count) || flushed < members/4 || flushed > members*9/10 {
		t.Errorf("not what was meant: %d crash images; %d logs made durable, %d by a shared flush", images, members, flushed)
	}
}
