package multiraft

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"chronik/internal/vfs"
	"chronik/raftstore/multiraft/hurry"
	"chronik/segment"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// ask asks for a read index and gives the answer.
func (m *machine) ask() <-chan error {
	answer := make(chan error, 1)
	m.group.ReadIndex(func(err error) { answer <- err })
	return answer
}

func answered(c <-chan error, into *error) func() bool {
	return func() bool {
		select {
		case *into = <-c:
			return true
		default:
			return false
		}
	}
}

// read asks until the answer is not "no leader".
func (c *cluster) read(i int) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		var err error
		until(c.t, "an answer", c.nodes, answered(c.sm(i).ask(), &err))
		if err == nil {
			return
		}
		if !errors.Is(err, ErrNoLeader) || time.Now().After(deadline) {
			c.t.Fatalf("node %d: read index: %v", i+1, err)
		}
	}
}

// TestReadIndexSeesWhatWasAcknowledged on every node, the leader and followers.
func TestReadIndexSeesWhatWasAcknowledged(t *testing.T) {
	c := newCluster(t)
	l := c.leader(0, 1, 2)
	for v := range uint64(30) {
		c.commit(l, v)
		for i := range c.nodes {
			c.read(i)
			if _, _, values, _ := c.sm(i).snapshot(); len(values) != int(v)+1 {
				t.Fatalf("node %d has %d values after a read, want %d", i+1, len(values), v+1)
			}
		}
	}
	c.stop()
}

// TestReadIndexWithoutALeader: a leader that is cut off confirms nothing, and its followers' questions end too.
func TestReadIndexWithoutALeader(t *testing.T) {
	c := newCluster(t)
	l := c.leader(0, 1, 2)
	c.commit(l, 1)
	c.net.isolate(uint64(l+1), true)
	stale := c.sm(l).ask()
	lost := c.sm(c.others(l)[0]).ask() // to the leader, and never there
	var err error
	until(t, "the follower's answer", c.nodes, answered(lost, &err))
	if !errors.Is(err, ErrNoLeader) {
		t.Errorf("a question that was lost: %v", err)
	}
	until(t, "the old leader's answer", c.nodes, answered(stale, &err))
	if !errors.Is(err, ErrNoLeader) {
		t.Errorf("a leader that was cut off: %v", err)
	}
	now := c.leader(c.others(l)...)
	c.commit(now, 2)
	c.net.isolate(uint64(l+1), false)
	c.read(l)
	if _, _, values, _ := c.sm(l).snapshot(); !slices.Equal(values, []uint64{1, 2}) {
		t.Errorf("after a read: %v", values)
	}
	c.stop()
	if until(t, "the answer of a node that has stopped", nil, answered(c.sm(l).ask(), &err)); !errors.Is(err, ErrStopped) {
		t.Errorf("a node that has stopped: %v", err)
	}
}

// TestTooManyReads: how many wait is bounded.
func TestTooManyReads(t *testing.T) {
	c := newCluster(t)
	l := c.leader(0, 1, 2)
	c.net.isolate(uint64(l+1), true)
	var answers []<-chan error
	for range 5000 {
		answers = append(answers, c.sm(l).ask())
	}
	count := map[error]int{}
	for _, a := range answers {
		var err error
		until(t, "an answer", c.nodes, answered(a, &err))
		count[err]++
	}
	if count[ErrOverloaded] != 5000-4096 || count[ErrNoLeader] != 4096 {
		t.Errorf("%v", count)
	}
	c.net.isolate(uint64(l+1), false)
	c.stop()
}

// TestTransferLeadership moves the leadership to each node in turn, with a value in flight, and back from one that is cut off.
func TestTransferLeadership(t *testing.T) {
	c := newCluster(t)
	l := c.leader(0, 1, 2)
	v := uint64(0)
	for _, to := range []int{(l + 1) % 3, (l + 2) % 3, l} {
		if err := c.sm(to).group.TransferLeadership(uint64(l + 1)); !errors.Is(err, ErrNotLeader) {
			t.Errorf("a follower hands over: %v", err)
		}
		if err := c.sm(l).group.TransferLeadership(9); !errors.Is(err, ErrRefused) {
			t.Errorf("to a stranger: %v", err)
		}
		c.commit(l, v)
		v++
		if err := c.sm(l).group.TransferLeadership(uint64(to + 1)); err != nil {
			t.Fatal(err)
		}
		until(t, "the new leader", c.nodes, leads(c.sm(to)))
		l = to
	}
	// To one that does not answer: it is given up, and what waits is proposed.
	to := (l + 1) % 3
	c.net.isolate(uint64(to+1), true)
	if err := c.sm(l).group.TransferLeadership(uint64(to + 1)); err != nil {
		t.Fatal(err)
	}
	c.commit(l, v)
	c.net.isolate(uint64(to+1), false)
	if got := c.agree(int(v) + 1); len(got) != int(v)+1 {
		t.Errorf("committed %v", got)
	}
	c.stop()
}

// ticksUntil is how many ticks of the nodes it takes until cond holds, when each is given time to be handled.
func ticksUntil(t *testing.T, nodes []*node, most int, cond func() bool) int {
	t.Helper()
	for n := range most {
		for range 50 { // without a tick
			if cond() {
				return n
			}
			settle(nodes)
		}
		tick(nodes)
	}
	until(t, "what was to happen", nodes, cond)
	return most
}

// TestDownElectsAtOnce: when a leader's process is gone the next in order leads without an election timeout, whoever hears it first.
func TestDownElectsAtOnce(t *testing.T) {
	for _, late := range []int{-1, 0, 1} {
		c := newCluster(t)
		l := c.leader(0, 1, 2)
		c.commit(l, 1)
		c.agree(1)
		rest := c.others(l)
		c.net.isolate(uint64(l+1), true)
		alive := []*node{c.nodes[rest[0]], c.nodes[rest[1]]}
		for i, n := range alive {
			if i != late {
				n.host.Down(uint64(l + 1))
			}
		}
		if late >= 0 {
			for _, n := range alive {
				n.clock.Advance(100 * time.Millisecond)
			}
			alive[late].host.Down(uint64(l + 1))
		}
		led := func() bool { return leads(c.sm(rest[0]))() || leads(c.sm(rest[1]))() }
		// An election timeout is at least ten ticks.
		if n := ticksUntil(t, alive, 1000, led); n > 6 {
			t.Logf("late %d: it took %d ticks: a slow machine, or no hurry", late, n)
		}
		if s := c.sm(rest[0]).group.Status(); s.Term > 4 {
			t.Errorf("late %d: term %d: elections split", late, s.Term)
		}
		c.commit(c.leader(rest...), 2)
		c.net.isolate(uint64(l+1), false)
		c.agree(2)
		c.stop()
	}
}

// TestHurryEndsWithALeader: a member that led before its next tick and hands over does not campaign at that tick.
func TestHurryEndsWithALeader(t *testing.T) {
	c := newCluster(t)
	l := c.leader(0, 1, 2)
	c.commit(l, 1)
	c.agree(1)
	rest := c.others(l)
	c.net.isolate(uint64(l+1), true)
	alive := []*node{c.nodes[rest[0]], c.nodes[rest[1]]}
	for _, n := range alive {
		n.host.Down(uint64(l + 1))
	}
	ticksUntil(t, alive, 1000, func() bool {
		for _, i := range rest {
			g := c.sm(i).group
			g.mu.Lock()
			leads, wish := g.role == raft.StateLeader, g.hurry
			g.mu.Unlock()
			if leads {
				if wish != (hurry.Wish{}) {
					t.Errorf("node %d leads and wishes for a leader: %+v", i+1, wish)
				}
				return true
			}
		}
		return false
	})
	c.net.isolate(uint64(l+1), false)
	c.agree(1)
	c.stop()
}

// TestDownIsWrong: a leader that lives goes on, or another takes over; nothing is lost.
func TestDownIsWrong(t *testing.T) {
	r := random(t)
	c := newCluster(t)
	for v := range uint64(30) {
		for _, n := range c.nodes {
			if r.IntN(3) > 0 {
				n.host.Down(1 + r.Uint64N(3))
			}
			n.host.Unreachable(1 + r.Uint64N(3))
		}
		var done <-chan struct{}
		var to *machine
		term := segment.Term(0)
		until(t, "a commit", c.nodes, func() bool {
			if done != nil && closed(done) {
				return true
			}
			if to == nil || !leads(to)() || to.group.Status().Term != term {
				for i := range c.nodes {
					if d, ok := c.sm(i).propose(v); ok {
						done, to, term = d, c.sm(i), c.sm(i).group.Status().Term
						break
					}
				}
			}
			return false
		})
	}
	if got := c.agree(30); len(got) < 30 {
		t.Errorf("committed %v", got)
	}
	c.stop()
}

// TestCandidate: the candidate of a new group leads at once, though the others open it later.
func TestCandidate(t *testing.T) {
	c := &cluster{t: t, net: newNetwork()}
	for id := range uint64(3) {
		c.nodes = append(c.nodes, startNode(t, id+1, vfs.NewMem(), c.net))
	}
	voters := []uint64{1, 2, 3}
	add := func(i int, candidate bool) {
		if _, err := c.nodes[i].tryAdd(GroupOptions{ID: 1, Voters: voters, SkipApplied: true, Candidate: candidate}); err != nil {
			t.Fatal(err)
		}
	}
	add(1, true)
	for range 3 {
		c.nodes[1].clock.Advance(100 * time.Millisecond)
	}
	add(0, false)
	add(2, false)
	until(t, "the candidate to lead", c.nodes[1:2], leads(c.sm(1))) // the others do not tick
	if err := c.nodes[0].host.Remove(1); err != nil {
		t.Fatal(err)
	}
	if _, err := c.nodes[0].tryAdd(GroupOptions{ID: 1, Voters: voters, Learner: true}); err != nil {
		t.Errorf("what a group knows of itself counts: %v", err)
	}
	if _, err := c.nodes[0].tryAdd(GroupOptions{ID: 2, Voters: voters[1:]}); err == nil {
		t.Error("a node that is no member and no learner is let in")
	}
	c.stop()
}

// TestProgress: a leader knows who is behind, and since when.
func TestProgress(t *testing.T) {
	c := newCluster(t)
	l := c.leader(0, 1, 2)
	c.commit(l, 1)
	c.agree(1)
	if p := c.sm(c.others(l)[0]).group.Progress(); p != nil {
		t.Errorf("a follower's progress is %v", p)
	}
	f := c.others(l)[0]
	find := func() (all bool, cut, other Replica) {
		p := c.sm(l).group.Progress()
		for _, r := range p {
			if r.Node == uint64(f+1) {
				cut = r
			} else {
				other = r
			}
		}
		return len(p) == 2, cut, other
	}
	last := c.sm(l).log.LastIndex()
	until(t, "both to have caught up", c.nodes, func() bool {
		all, a, b := find()
		return all && a.Match == last && b.Match == last && a.Lag == 0 && !a.Learner
	})
	if got := c.sm(l).group.Retained(); got != last+1 {
		t.Errorf("retained from %d, want %d", got, last+1)
	}
	c.net.isolate(uint64(f+1), true)
	_, before, _ := find()
	for v := uint64(2); v < 10; v++ {
		c.commit(l, v)
	}
	now := c.nodes[l].clock.Now().Add(5 * time.Second)
	until(t, "the other to be in sync long after", c.nodes, func() bool { _, _, r := find(); return r.CaughtUp.After(now) && r.Lag == 0 })
	if _, r, _ := find(); r.Match != last || r.Lag != 8 || r.CaughtUp.After(before.CaughtUp.Add(time.Second)) || r.Heard.After(now) {
		t.Errorf("cut off: %+v, before %+v", r, before)
	}
	if got := c.sm(l).group.Retained(); got != last+1 {
		t.Errorf("retained from %d, want %d: one member is behind", got, last+1)
	}
	c.net.isolate(uint64(f+1), false)
	until(t, "it to catch up", c.nodes, func() bool { _, r, _ := find(); return r.Lag == 0 && r.CaughtUp.After(now) })
	c.stop()
}

// TestChangeMembers in one step, one by one, and what is refused.
func TestChangeMembers(t *testing.T) {
	c := &cluster{t: t, net: newNetwork()}
	for id := range uint64(3) {
		c.nodes = append(c.nodes, startNode(t, id+1, vfs.NewMem(), c.net))
		c.nodes[id].add(1, 1)
	}
	c.leader(0)
	c.commit(0, 1)
	change := func(i int, changes ...Change) error {
		done := make(chan error, 1)
		go func() { done <- c.sm(i).group.ChangeMembers(context.Background(), changes...) }()
		var err error
		until(t, "the change", c.nodes, answered(done, &err))
		return err
	}
	if err := change(0, Change{Node: 2, As: Learner}, Change{Node: 3, As: Learner}); err != nil {
		t.Fatal(err)
	}
	if s := c.sm(0).group.Status(); !slices.Equal(s.Learners, []uint64{2, 3}) || !slices.Equal(s.Voters, []uint64{1}) {
		t.Errorf("members %+v", s)
	}
	if err := change(0, Change{Node: 2, As: Voter}, Change{Node: 3, As: Voter}); err != nil {
		t.Fatal(err)
	}
	if s := c.sm(0).group.Status(); !slices.Equal(s.Voters, []uint64{1, 2, 3}) || len(s.Learners) > 0 {
		t.Errorf("members %+v", s)
	}
	if err := change(1, Change{Node: 1, As: Gone}); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a follower: %v", err)
	}
	if err := change(0, Change{Node: 2, As: Voter + 1}); !errors.Is(err, ErrRefused) {
		t.Errorf("a kind that is not: %v", err)
	}
	// Raft drops a change while another is not applied.
	c.net.isolate(1, true)
	if err := c.sm(0).group.proposeConf(&pb.ConfChange{Type: pb.ConfChangeRemoveNode.Enum(), NodeId: new(uint64(2))}); err != nil {
		t.Fatal(err)
	}
	err := c.sm(0).group.ChangeMembers(context.Background(), Change{Node: 3, As: Gone})
	if !errors.Is(err, ErrRefused) {
		t.Errorf("a change that raft drops: %v", err)
	}
	c.net.isolate(1, false)
	c.commit(c.leader(0, 1, 2), 2)
	c.stop()
}
