package multiraft

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"
)

// oracle knows which value stands at each offset, whoever committed it, and how far values have been acknowledged.
type oracle struct {
	mu     sync.Mutex
	values map[segment.Offset]uint64
	at     map[uint64]segment.Offset
	acked  segment.Offset // the offset behind the last one
}

func (o *oracle) committed(off segment.Offset, v uint64, acked bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if was, ok := o.values[off]; ok && was != v {
		return fmt.Errorf("offset %d is %d here and %d elsewhere", off, v, was)
	}
	if was, ok := o.at[v]; ok && was != off {
		return fmt.Errorf("value %d is at %d here and at %d elsewhere", v, off, was)
	}
	o.values[off], o.at[v] = v, off
	if acked {
		o.acked = max(o.acked, off+1)
	}
	return nil
}

func (o *oracle) ackedTo() segment.Offset {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acked
}

// schedule is a cluster to which things happen.
type schedule struct {
	*cluster
	r      *rand.Rand
	oracle *oracle
	next   uint64
	reads  sync.WaitGroup
	count  map[string]int
}

func (s *schedule) add(i int) {
	if _, err := s.nodes[i].tryAdd(GroupOptions{ID: 1, Voters: []uint64{1, 2, 3}, SkipApplied: true, Candidate: i == 0}); err != nil {
		s.t.Fatalf("node %d does not start: %v", i+1, err)
	}
}

func (s *schedule) startNode(i int, disk *vfs.Mem) *node {
	n := newNode(s.t, uint64(i+1), disk)
	n.oracle = s.oracle
	n.start(s.net, nil)
	return n
}

func (s *schedule) step() {
	i := s.r.IntN(3)
	m := s.sm(i)
	switch op := s.r.IntN(20); op {
	case 0:
		s.count["cut"]++
		s.net.isolate(uint64(i+1), true)
	case 1, 2, 3, 4:
		for id := range uint64(3) {
			s.net.isolate(id+1, false)
		}
	case 5:
		s.count["power cut"]++
		disk := s.nodes[i].powerCut(s.r.Uint64())
		s.nodes[i] = s.startNode(i, disk)
		s.add(i)
	case 6, 7:
		if m.group.TransferLeadership(1+s.r.Uint64N(3)) == nil {
			s.count["transfer"]++
		}
	case 8, 9:
		s.count["down"]++
		for _, n := range s.nodes {
			if s.r.IntN(2) == 0 {
				n.host.Down(uint64(i + 1))
			}
		}
	case 10:
		s.nodes[i].host.Unreachable(1 + s.r.Uint64N(3))
	case 11:
		s.shorten(m)
	default:
		s.propose(s.r.IntN(20))
	}
}

// propose hands values to whoever says that it leads.
func (s *schedule) propose(n int) {
	for range n {
		if _, ok := s.sm(s.r.IntN(3)).propose(s.next); ok {
			s.next++
		}
	}
}

// shorten drops what is committed from the log of one node.
func (s *schedule) shorten(m *machine) {
	m.mu.Lock()
	off := min(m.committed, m.durable)
	m.mu.Unlock()
	if off <= m.log.StartOffset() || m.group.Status().Err != nil {
		return
	}
	s.count["shorten"]++
	if err := errors.Join(m.log.Roll(), m.log.SetStart(off)); err != nil {
		s.t.Errorf("%s: %v", m.name, err)
	}
}

// read asks for a read index: what was acknowledged before must be applied then.
func (s *schedule) read(m *machine) {
	acked := s.oracle.ackedTo()
	s.reads.Add(1)
	m.group.ReadIndex(func(err error) {
		defer s.reads.Done()
		if err != nil {
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if at := max(m.committed, m.log.StartOffset()); at < acked {
			s.t.Errorf("%s: a read sees %d, and %d was acknowledged before it", m.name, at, acked)
		}
		m.confirmed++
	})
}

// TestRandomSchedule isolates nodes, loses and reorders messages, cuts the power, hands leadership over, reports nodes down that
// are not, drops the front of logs and asks for read indexes, at random, under proposals. Invariants checked: no two values at one
// offset, nowhere; no value twice; what was acknowledged is never lost; a read never sees less than what was acknowledged before it.
func TestRandomSchedule(t *testing.T) {
	r := random(t)
	s := &schedule{r: r, cluster: &cluster{t: t, net: newNetwork()}, count: map[string]int{},
		oracle: &oracle{values: map[segment.Offset]uint64{}, at: map[uint64]segment.Offset{}}}
	bad := rand.New(rand.NewPCG(r.Uint64(), 1)) // under the network's lock
	s.net.drop = func() bool { return bad.IntN(50) == 0 }
	s.net.late = func(n int) int {
		switch {
		case bad.IntN(10) == 0:
			return n // keep this one
		case n > 0 && bad.IntN(3) == 0:
			return bad.IntN(n) // deliver that one
		}
		return -1
	}
	for i := range 3 {
		s.nodes = append(s.nodes, s.startNode(i, vfs.NewMem()))
	}
	for i := range 3 {
		s.add(i)
	}
	t.Cleanup(s.describe)
	for range 80 {
		s.step()
		steps := 1 + r.IntN(15)
		until(t, "", s.nodes, func() bool {
			s.propose(r.IntN(3))
			if r.IntN(3) == 0 {
				for i := range s.nodes {
					s.read(s.sm(i))
				}
			}
			steps--
			return steps < 0
		})
	}
	s.calm()
	values, restored := 0, 0
	for i := range s.nodes {
		m := s.sm(i)
		m.mu.Lock()
		values, restored = values+m.confirmed, restored+m.restored
		if len(m.failed) > 0 {
			t.Errorf("%s failed: %v", m.name, m.failed)
		}
		m.mu.Unlock()
	}
	s.stop()
	s.reads.Wait()
	t.Logf("%d proposed, acknowledged to %d, %d reads, %d snapshots at the end; %v", s.next, s.oracle.ackedTo(), values, restored, s.count)
}

// describe says where everybody stands if the test has failed.
func (s *schedule) describe() {
	if !s.t.Failed() {
		return
	}
	for i := range s.nodes {
		m := s.sm(i)
		_, _, _, failed := m.snapshot()
		g := m.group
		g.mu.Lock()
		s.t.Logf("node %d: log [%d, %d], durable %d; applied %d, commit %d, role %v, serving %t, leader %d; stands still %t, no room %v, failed %v; raft %+v",
			i+1, g.log.FirstIndex(), g.log.LastIndex(), g.log.DurableIndex(), g.store.Applied(), g.commit, g.role, g.serving, g.lead, g.still != nil, g.room.Err(), failed, g.node.Status())
		g.mu.Unlock()
	}
}

// calm heals everything, and waits until one more value is committed on every node, and all that was acknowledged before it.
func (s *schedule) calm() {
	s.net.mu.Lock()
	s.net.drop, s.net.late = nil, nil
	s.net.mu.Unlock()
	for id := range uint64(3) {
		s.net.isolate(id+1, false)
	}
	acked := s.oracle.ackedTo()
	until(s.t, "one more value on every node", s.nodes, func() bool {
		if s.oracle.ackedTo() <= acked {
			s.sm(int(s.next % 3)).propose(s.next)
			s.next++
			return false
		}
		for i := range s.nodes {
			m := s.sm(i)
			m.mu.Lock()
			at := m.committed
			m.mu.Unlock()
			if at < s.oracle.ackedTo() {
				return false
			}
		}
		return true
	})
}
