package multiraft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"chronik/internal/clock"
	"chronik/internal/crashtest"
	"chronik/internal/vfs"
	"chronik/raftstore"
	"chronik/raftstore/multiraft/shards"
	"chronik/segment"
	"chronik/wal"
)

// The campaign over groups whose only voter is this node, from a proposal to
// what a restart has applied.
var campaign = crashtest.Campaign{
	Package: "./raftstore/multiraft",
	Steps:   10,
	Kinds:   []string{"start", "propose", "roll", "stop", "cut"},
	Seeds:   1,
	Again:   8,
	Seldom:  20,
}

// TestCrashCampaign loses power before every call that the groups make on the
// disk, and during the recoveries from that: what was committed is committed
// after a restart, in its place.
func TestCrashCampaign(t *testing.T) {
	c := campaign
	c.New = func(seed uint64, disk *crashtest.Disk) crashtest.Workload {
		return &crashHost{t: t, r: rand.New(rand.NewPCG(seed, 2)), disk: disk, groups: make([]crashValues, 3)}
	}
	c.Crash(t)
}

// crashHost is a node and what was promised of its groups.
type crashHost struct {
	t    *testing.T
	r    *rand.Rand
	disk *crashtest.Disk
	node *crashProcess // nil: down

	mu     sync.Mutex // what Now reads
	groups []crashValues
}

// crashValues are the values proposed to a group: 1, 2, 3 and so on.
type crashValues struct{ proposed, committed uint64 }

// crashProcess is a node that runs.
type crashProcess struct {
	hs       *raftstore.HardStates
	syncer   *wal.Syncer
	host     *Host
	machines []*machine
}

// boot starts a node and waits until it leads its groups.
func boot(t *testing.T, fsys vfs.FS, groups int) (p *crashProcess, err error) {
	p = &crashProcess{syncer: wal.NewSyncer(wal.SyncerOptions{Parallel: 1})}
	if p.hs, _, err = raftstore.OpenHardStates(raftstore.HardStatesOptions{FS: fsys, Dir: "/hs", Logger: slog.New(slog.DiscardHandler)}); err != nil {
		p.syncer.Close()
		return nil, err
	}
	p.host = NewHost(Options{NodeID: 1, HardStates: p.hs, Clock: clock.NewManual(time.Unix(0, 0)), Shards: 1, Metrics: testMetrics})
	p.host.Start()
	for i := range groups {
		log, _, err := wal.Open(wal.Options{FS: fsys, Dir: fmt.Sprint("/groups/", i), Syncer: p.syncer, SegmentBytes: func() int64 { return 16 << 10 }})
		if err != nil {
			p.kill()
			return nil, err
		}
		m := &machine{t: t, name: fmt.Sprint("group ", i), log: log, waiting: map[uint64]chan struct{}{}}
		if m.appended, m.durable = log.NextOffset(), log.NextOffset(); log.NextOffset() > 0 {
			m.committed = -1 // not told yet
		}
		m.group = &Group{shard: shards.New(nil)}
		g, err := p.host.Add(GroupOptions{ID: uint64(i + 1), Voters: []uint64{1}, Log: log, SM: m, SkipApplied: true})
		if err != nil {
			p.kill()
			return nil, err
		}
		m.mu.Lock()
		m.group = g
		m.mu.Unlock()
		p.machines = append(p.machines, m)
	}
	for _, m := range p.machines {
		if err := waitFor(m, func() bool { leading, _, _, _ := m.snapshot(); return leading }); err != nil {
			p.kill()
			return nil, err
		}
	}
	return p, nil
}

// waitFor polls until cond holds or the machine has failed.
func waitFor(m *machine, cond func() bool) error {
	for deadline := time.Now().Add(time.Minute); !cond(); <-time.After(100 * time.Microsecond) {
		if _, _, _, failed := m.snapshot(); len(failed) > 0 {
			return failed[0]
		}
		if time.Now().After(deadline) {
			return crashtest.Wrongf("%s: gave up waiting", m.name)
		}
	}
	return nil
}

// kill ends the process where it stands.
func (p *crashProcess) kill() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.host.Stop(ctx)
	p.syncer.Close()
}

// stop ends it in good order.
func (p *crashProcess) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	errs := []error{p.host.Stop(ctx)}
	for _, m := range p.machines {
		errs = append(errs, m.log.Close())
	}
	p.syncer.Close()
	return errors.Join(append(errs, p.hs.Close())...)
}

// Step implements crashtest.Workload.
func (w *crashHost) Step() (string, error) {
	if w.node == nil {
		return "start", w.start()
	}
	switch k := w.r.IntN(20); {
	case k < 13:
		return "propose", w.propose()
	case k < 16:
		m := w.node.machines[w.r.IntN(len(w.groups))]
		return "roll", m.log.Roll()
	case k < 18:
		err := w.node.stop()
		w.node = nil
		return "stop", err
	}
	// Nothing runs: every proposal has been answered. What still follows a
	// commit is written by Stop.
	if err := w.node.stop(); err != nil {
		return "cut", err
	}
	w.disk.Cut(w.r.Uint64())
	return "cut", w.start()
}

func (w *crashHost) start() error {
	p, err := boot(w.t, w.disk, len(w.groups))
	w.node = p
	return err
}

// propose hands values to some groups and waits until they are committed.
func (w *crashHost) propose() error {
	for range 1 + w.r.IntN(4) {
		i := w.r.IntN(len(w.groups))
		m := w.node.machines[i]
		w.mu.Lock()
		w.groups[i].proposed++
		v := w.groups[i].proposed
		w.mu.Unlock()
		done, ok := m.propose(v)
		if !ok {
			return crashtest.Wrongf("%s does not lead", m.name)
		}
		if err := waitFor(m, func() bool { return closed(done) }); err != nil {
			return err
		}
		w.mu.Lock()
		w.groups[i].committed = v
		w.mu.Unlock()
	}
	return nil
}

// End implements crashtest.Workload.
func (w *crashHost) End() {
	if w.node != nil {
		w.node.kill()
		w.node = nil
	}
}

// Now implements crashtest.Workload.
func (w *crashHost) Now() crashtest.Check {
	w.mu.Lock()
	defer w.mu.Unlock()
	groups := append([]crashValues(nil), w.groups...)
	return func(fsys vfs.FS, settled func(string)) error {
		p, err := boot(w.t, fsys, len(groups))
		if err != nil {
			return err
		}
		defer p.kill()
		var found strings.Builder
		for i, m := range p.machines {
			n, err := m.holds()
			if err != nil {
				return err
			}
			if n < groups[i].committed || n > groups[i].proposed {
				return crashtest.Wrongf("%s: %d values, committed %d of %d", m.name, n, groups[i].committed, groups[i].proposed)
			}
			fmt.Fprint(&found, n, " ")
		}
		settled(found.String())
		for i, m := range p.machines {
			done, ok := m.propose(groups[i].proposed + 1)
			if !ok {
				return crashtest.Wrongf("%s does not lead", m.name)
			}
			if err := waitFor(m, func() bool { return closed(done) }); err != nil {
				return err
			}
		}
		return nil
	}
}

// holds says how many values the log holds, which are 1, 2, 3 and so on.
func (m *machine) holds() (uint64, error) {
	n := uint64(0)
	for lo, last := m.log.FirstIndex(), m.log.LastIndex(); lo <= last; {
		list, err := m.log.Entries(lo, last+1, 1<<20, nil)
		if err != nil {
			return 0, err
		}
		for _, e := range list {
			if e.Kind != segment.KindData || len(e.Payload) == 0 {
				continue
			}
			for p := e.Payload[12:]; len(p) >= 8; p = p[8:] {
				if n++; binary.LittleEndian.Uint64(p) != n {
					return 0, crashtest.Wrongf("%s: value %d is %d", m.name, n, binary.LittleEndian.Uint64(p))
				}
			}
		}
		lo += segment.Index(len(list))
	}
	return n, nil
}
