package multiraft

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"

	pb "go.etcd.io/raft/v3/raftpb"
)

// cluster is three nodes with one group of three voters.
type cluster struct {
	t     *testing.T
	net   *network
	nodes []*node
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, net: newNetwork()}
	for id := range uint64(3) {
		c.nodes = append(c.nodes, startNode(t, id+1, vfs.NewMem(), c.net))
	}
	for _, n := range c.nodes {
		n.add(1, 1, 2, 3)
	}
	return c
}

func (c *cluster) sm(i int) *machine { return c.nodes[i].sms[1] }

// leader waits until one of the given nodes leads in a term of its own, and
// returns its number.
func (c *cluster) leader(among ...int) int {
	c.t.Helper()
	found := -1
	until(c.t, "a leader", c.nodes, func() bool {
		for _, i := range among {
			if leads(c.sm(i))() {
				found = i
				return true
			}
		}
		return false
	})
	return found
}

func (c *cluster) commit(i int, v uint64) {
	c.t.Helper()
	done := mustPropose(c.t, c.sm(i), v)
	until(c.t, "commit", c.nodes, func() bool { return closed(done) })
}

// agree waits until all nodes have committed the same values, and so many.
func (c *cluster) agree(n int) []uint64 {
	c.t.Helper()
	var values [3][]uint64
	until(c.t, "agreement", c.nodes, func() bool {
		for i := range values {
			_, _, values[i], _ = c.sm(i).snapshot()
		}
		return len(values[0]) >= n && slices.Equal(values[0], values[1]) && slices.Equal(values[0], values[2])
	})
	return values[0]
}

func (c *cluster) others(i int) []int {
	return slices.DeleteFunc([]int{0, 1, 2}, func(j int) bool { return j == i })
}

func (c *cluster) stop() {
	for _, n := range c.nodes {
		n.stop()
		if m := n.sms[1]; len(m.failed) > 0 {
			c.t.Errorf("%s failed: %v", m.name, m.failed)
		}
	}
}

func TestThreeVotersReplicate(t *testing.T) {
	c := newCluster(t)
	l := c.leader(0, 1, 2)
	for v := range uint64(20) {
		c.commit(l, v)
	}
	if got := c.agree(20); len(got) != 20 {
		t.Errorf("committed %v", got)
	}
	for i, n := range c.nodes {
		s := n.sms[1].group.Status()
		want := Follower
		if i == l {
			want = Leader
		}
		if s.Role != want || s.Leader != uint64(l+1) || len(s.Voters) != 3 {
			t.Errorf("node %d: %+v", i+1, s)
		}
	}
	if _, ok := c.sm(c.others(l)[0]).propose(99); ok {
		t.Error("a follower takes proposals")
	}
	c.stop()
}

// TestConflictingSuffixIsCut: a leader cut off from the others has entries that
// nobody else has. When it returns it drops them, in favour of what was
// committed without it.
func TestConflictingSuffixIsCut(t *testing.T) {
	c := newCluster(t)
	old := c.leader(0, 1, 2)
	c.commit(old, 1)
	c.agree(1)
	c.net.isolate(uint64(old+1), true)
	var lost []<-chan struct{}
	for v := range uint64(5) {
		lost = append(lost, mustPropose(t, c.sm(old), 100+v))
		if v == 0 {
			until(t, "the doomed append", nil, func() bool { c.sm(old).mu.Lock(); defer c.sm(old).mu.Unlock(); return c.sm(old).appended > 1 })
		}
	}
	now := c.leader(c.others(old)...)
	for v := range uint64(3) {
		c.commit(now, 200+v)
	}
	// CheckQuorum: it has noticed, by itself, that nobody answers.
	until(t, "the old leader to step down", c.nodes, func() bool { return !leads(c.sm(old))() })
	c.net.isolate(uint64(old+1), false)
	if got := c.agree(4); !slices.Equal(got, []uint64{1, 200, 201, 202}) {
		t.Errorf("committed %v", got)
	}
	for _, done := range lost {
		if closed(done) {
			t.Error("an entry of a leader without a majority was acknowledged")
		}
	}
	m := c.sm(old)
	m.mu.Lock()
	if m.appended != 4 || m.log.NextOffset() != 4 {
		t.Errorf("the log ends at %d", m.appended)
	}
	m.mu.Unlock()
	c.stop()
}

// TestLeaderKilled: the others go on, the killed one catches up after a
// restart from what its disk kept.
func TestLeaderKilled(t *testing.T) {
	c := newCluster(t)
	old := c.leader(0, 1, 2)
	for v := range uint64(10) {
		c.commit(old, v)
	}
	disk := c.nodes[old].powerCut(7)
	now := c.leader(c.others(old)...)
	for v := range uint64(10) {
		c.commit(now, 10+v)
	}
	c.nodes[old] = startNode(t, uint64(old+1), disk, c.net)
	if _, err := c.nodes[old].tryAdd(GroupOptions{ID: 1}); err != nil {
		t.Fatal(err)
	}
	if got := c.agree(20); len(got) != 20 || got[19] != 19 {
		t.Errorf("committed %v", got)
	}
	c.stop()
}

// TestMembersChange grows a group from one voter to three and lets the first
// one leave.
func TestMembersChange(t *testing.T) {
	c := &cluster{t: t, net: newNetwork()}
	for id := range uint64(3) {
		c.nodes = append(c.nodes, startNode(t, id+1, vfs.NewMem(), c.net))
	}
	for _, n := range c.nodes {
		n.add(1, 1) // the members the log begins with
	}
	c.leader(0)
	c.commit(0, 1)
	change := func(i int, typ pb.ConfChangeType, id uint64, voters int) {
		t.Helper()
		if err := c.sm(i).group.proposeConf(&pb.ConfChange{Type: typ.Enum(), NodeId: new(id)}); err != nil {
			t.Fatal(err)
		}
		until(t, "the change of members", c.nodes, func() bool { return len(c.sm(i).group.Status().Voters) == voters })
	}
	change(0, pb.ConfChangeAddNode, 2, 2)
	c.commit(0, 2)
	change(0, pb.ConfChangeAddNode, 3, 3)
	c.commit(0, 3)
	if got := c.agree(3); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Fatalf("committed %v", got)
	}
	for i, n := range c.nodes {
		until(t, "members", c.nodes, func() bool { return len(n.sms[1].group.Status().Voters) == 3 })
		if g, _ := n.hs.Load(1); len(g.Conf.GetVoters()) != 3 || g.ConfIndex == 0 {
			t.Errorf("node %d has recorded %v of entry %d", i+1, g.Conf, g.ConfIndex)
		}
	}
	// A restart begins with the members recorded, and skips the changes
	// that made them.
	disk := c.nodes[1].powerCut(3)
	c.nodes[1] = startNode(t, 2, disk, c.net)
	if _, err := c.nodes[1].tryAdd(GroupOptions{ID: 1, Voters: []uint64{1}}); err != nil {
		t.Fatal(err)
	}
	if got := c.agree(3); !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Fatalf("committed after restart %v", got)
	}
	change(0, pb.ConfChangeRemoveNode, 1, 2)
	until(t, "the removed leader to step down", nil, func() bool { return !leads(c.sm(0))() })
	now := c.leader(1, 2)
	c.commit(now, 4)
	// The last one left leads alone, without ticks.
	other := 3 - now
	change(now, pb.ConfChangeRemoveNode, uint64(other+1), 1)
	c.commit(now, 5)
	c.stop()
}

// TestLearners: the only voter sends learners what it proposes, and ticks for
// them.
func TestLearners(t *testing.T) {
	c := &cluster{t: t, net: newNetwork()}
	for id := range uint64(3) {
		c.nodes = append(c.nodes, startNode(t, id+1, vfs.NewMem(), c.net))
		c.nodes[id].add(1, 1)
	}
	c.leader(0)
	c.commit(0, 1)
	for id := uint64(2); id <= 3; id++ {
		if err := c.sm(0).group.proposeConf(&pb.ConfChange{Type: pb.ConfChangeAddLearnerNode.Enum(), NodeId: new(id)}); err != nil {
			t.Fatal(err)
		}
		until(t, "the learner to be recorded", c.nodes, func() bool {
			g, _ := c.nodes[0].hs.Load(1)
			return len(g.Conf.GetLearners()) == int(id-1)
		})
		// It is recorded before it is applied, and raft drops a change that is
		// proposed while one is not: what is committed comes after that.
		c.commit(0, id)
	}
	for v := uint64(4); v < 20; v++ {
		c.commit(0, v)
	}
	if got := c.agree(19); got[0] != 1 || got[18] != 19 {
		t.Fatalf("committed %v", got)
	}
	c.stop()
}

// TestRandomFaults isolates nodes, loses messages and cuts the power at random
// under proposals. Invariants checked: what one node has committed all have, in
// the same order, once; what was acknowledged is never lost.
func TestRandomFaults(t *testing.T) {
	r := random(t)
	lossy := rand.New(rand.NewPCG(r.Uint64(), 1))
	c := newCluster(t)
	c.net.drop = func() bool { return lossy.IntN(50) == 0 } // under the network's lock
	next := uint64(0)
	var proposed []<-chan struct{}
	for range 60 {
		switch op := r.IntN(10); op {
		case 0:
			c.net.isolate(1+r.Uint64N(3), true)
		case 1, 2:
			for id := range uint64(3) {
				c.net.isolate(id+1, false)
			}
		case 3:
			i := r.IntN(3)
			disk := c.nodes[i].powerCut(r.Uint64())
			c.nodes[i] = startNode(t, uint64(i+1), disk, c.net)
			if _, err := c.nodes[i].tryAdd(GroupOptions{ID: 1, Voters: []uint64{1, 2, 3}}); err != nil {
				t.Fatalf("node %d does not start: %v", i+1, err)
			}
		default:
			for range r.IntN(20) {
				if done, ok := c.sm(r.IntN(3)).propose(next); ok {
					next++
					proposed = append(proposed, done)
				}
			}
		}
		steps := 1 + r.IntN(15)
		until(t, "", c.nodes, func() bool { steps--; return steps < 0 })
	}
	for id := range uint64(3) {
		c.net.isolate(id+1, false)
	}
	c.net.mu.Lock()
	c.net.drop = nil
	c.net.mu.Unlock()
	// One more value must get through. Who says that it leads may be about to
	// learn that it does not: then the value is lost, and another one tried.
	var last <-chan struct{}
	var to *machine
	term := segment.Term(0)
	until(t, "one more commit", c.nodes, func() bool {
		if last != nil && closed(last) {
			return true
		}
		if to == nil || !leads(to)() || to.group.Status().Term != term {
			for i := range c.nodes {
				if done, ok := c.sm(i).propose(next); ok {
					last, to, term = done, c.sm(i), c.sm(i).group.Status().Term
					proposed = append(proposed, done)
					next++
					break
				}
			}
		}
		return false
	})
	values := c.agree(1)
	count := map[uint64]int{}
	for _, v := range values {
		if count[v]++; count[v] > 1 {
			t.Errorf("value %d is there %d times", v, count[v])
		}
	}
	acked := 0
	for v, done := range proposed {
		if closed(done) {
			acked++
			if count[uint64(v)] == 0 {
				t.Errorf("value %d was acknowledged and is lost", v)
			}
		}
	}
	t.Logf("%d proposed, %d acknowledged, %d committed", len(proposed), acked, len(values))
	for i := range c.nodes {
		if _, _, _, failed := c.sm(i).snapshot(); len(failed) > 0 && !strings.Contains(failed[0].Error(), "stopped") {
			t.Errorf("node %d failed: %v", i+1, failed)
		}
	}
	c.stop()
}
