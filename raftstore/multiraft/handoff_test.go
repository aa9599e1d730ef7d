package multiraft

import (
	"slices"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"

	pb "go.etcd.io/raft/v3/raftpb"
)

// shorten drops all that can be dropped from the logs of nodes, as retention does.
func (c *cluster) shorten(nodes ...int) {
	c.t.Helper()
	for _, i := range nodes {
		log := c.sm(i).log
		if err := log.Roll(); err != nil {
			c.t.Fatal(err)
		}
		if err := log.SetStart(log.NextOffset()); err != nil {
			c.t.Fatal(err)
		}
	}
}

// TestSnapshot: a member whose next entries the others have dropped is handed the log, whether its state machine wants only what is new or all of the log; and again after a restart.
func TestSnapshot(t *testing.T) {
	for _, skip := range []bool{true, false} {
		c := &cluster{t: t, net: newNetwork()}
		for id := range uint64(3) {
			n := startNode(t, id+1, vfs.NewMem(), c.net)
			c.nodes = append(c.nodes, n)
			if _, err := n.tryAdd(GroupOptions{ID: 1, Voters: []uint64{1, 2, 3}, SkipApplied: skip}); err != nil {
				t.Fatal(err)
			}
		}
		l := c.leader(0, 1, 2)
		c.commit(l, 1)
		c.agree(1)
		behind := c.others(l)[0]
		c.net.isolate(uint64(behind+1), true)
		for v := uint64(2); v < 40; v++ {
			c.commit(l, v)
		}
		other := c.others(l)[1]
		until(t, "the other to have it all", c.nodes, func() bool { return c.sm(other).group.Status().Applied == c.sm(l).group.Status().Applied })
		c.shorten(l, other)
		for v := uint64(40); v < 45; v++ {
			c.commit(l, v)
		}
		c.net.isolate(uint64(behind+1), false)
		m := c.sm(behind)
		want := []uint64{40, 41, 42, 43, 44}
		has := func() bool { _, _, values, _ := c.sm(behind).snapshot(); return slices.Equal(values, want) }
		until(t, "the snapshot", c.nodes, has)
		if m.restored != 1 || m.log.FirstIndex() != c.sm(l).log.FirstIndex() || m.log.StartOffset() != c.sm(l).log.StartOffset() {
			t.Errorf("restored %d times, log from %d, offset %d", m.restored, m.log.FirstIndex(), m.log.StartOffset())
		}
		c.commit(c.leader(0, 1, 2), 45)
		want = append(want, 45)
		until(t, "what comes after", c.nodes, has)
		applied := segment.Index(0)
		if !skip {
			applied = m.log.FirstIndex() - 1
		}
		disk := c.nodes[behind].powerCut(1)
		c.nodes[behind] = startNode(t, uint64(behind+1), disk, c.net)
		if _, err := c.nodes[behind].tryAdd(GroupOptions{ID: 1, SkipApplied: skip, Applied: applied}); err != nil {
			t.Fatal(err)
		}
		c.commit(c.leader(0, 1, 2), 46)
		until(t, "all after a restart", c.nodes, func() bool {
			_, _, values, _ := c.sm(behind).snapshot()
			return len(values) > 0 && values[len(values)-1] == 46
		})
		if _, _, values, _ := c.sm(behind).snapshot(); !skip && len(values) != 7 {
			t.Errorf("after a restart %v", values)
		}
		for i := range c.nodes {
			if n := c.nodes[i].host.snapshots.Load(); n != 0 {
				t.Errorf("node %d counts %d snapshots", i+1, n)
			}
		}
		c.stop()
	}
}

// TestSnapshotForALearner: a node that joins a group whose log has been shortened is handed it, members included.
func TestSnapshotForALearner(t *testing.T) {
	c := &cluster{t: t, net: newNetwork()}
	for id := range uint64(2) {
		c.nodes = append(c.nodes, startNode(t, id+1, vfs.NewMem(), c.net))
	}
	c.nodes[0].add(1, 1)
	c.leader(0)
	for v := range uint64(20) {
		c.commit(0, v)
	}
	c.shorten(0)
	c.commit(0, 20)
	c.nodes[1].add(1, 1)
	if err := c.sm(0).group.proposeConf(&pb.ConfChange{Type: pb.ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(2))}); err != nil {
		t.Fatal(err)
	}
	until(t, "the learner", c.nodes, func() bool {
		_, _, values, _ := c.sm(1).snapshot()
		return slices.Equal(values, []uint64{20})
	})
	if g, _ := c.nodes[1].hs.Load(1); !slices.Equal(g.Conf.GetLearners(), []uint64{2}) || g.ConfIndex == 0 || g.Ahead {
		t.Errorf("the learner has recorded %+v", g)
	}
	c.stop()
}
