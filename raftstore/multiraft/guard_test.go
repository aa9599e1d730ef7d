package multiraft

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"chronik/internal/vfs"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// said is a message of another node's to node 1.
func said(typ pb.MessageType, from, term uint64, change func(*pb.Message)) *pb.Message {
	m := &pb.Message{Type: typ.Enum(), From: new(from), To: new(uint64(1)), Term: new(term)}
	if change != nil {
		change(m)
	}
	return m
}

// raftTerm is where raft stands when all messages have been handled.
func raftTerm(n *node, m *machine) (term, lead uint64) {
	settle([]*node{n})
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	s := m.group.node.BasicStatus()
	return s.HardState.GetTerm(), s.Lead
}

// TestStrangersUseUpNoTerms: a node that is no member raises the term, since it may have been elected by what this one has missed, but not by a leap.
func TestStrangersUseUpNoTerms(t *testing.T) {
	const most, leap = 1 << 20, math.MaxInt32 - 1
	n, m, _ := scripted(t, vfs.NewMem(), nil)
	want := func(what string, term, lead uint64) {
		t.Helper()
		if gotTerm, gotLead := raftTerm(n, m); gotTerm != term || gotLead != lead {
			t.Errorf("%s: term %d, leader %d; want %d, %d", what, gotTerm, gotLead, term, lead)
		}
	}
	for _, typ := range []pb.MessageType{pb.MsgHeartbeat, pb.MsgApp, pb.MsgVote, pb.MsgAppResp, pb.MsgHeartbeatResp, pb.MsgVoteResp} {
		n.step(said(typ, 77, leap, nil))
		want(typ.String(), 0, 0)
	}
	n.step(said(pb.MsgHeartbeat, 77, 5, nil))
	want("a few terms", 5, 77)
	n.step(said(pb.MsgHeartbeat, 78, most+1, nil))
	want("more than are left", 5, 77)
	n.step(said(pb.MsgHeartbeat, 78, most, nil))
	want("all that are left", most, 78)
	n.step(said(pb.MsgHeartbeat, 77, most+1, nil))
	want("one more", most, 78)
	n.step(said(pb.MsgHeartbeat, 2, most+1, nil))
	want("of a member", most+1, 2)
	tick([]*node{n})
	n.step(said(pb.MsgHeartbeat, 77, most+2, nil))
	want("one, a tick later", most+2, 77)
	n.step(said(pb.MsgHeartbeat, 3, leap, nil))
	want("a leap of a member", leap, 3)
	n.stop()
}

// TestCommitBeyondTheLog: the leader's word that entries are committed which this node has acknowledged and has not stops the group; nobody else's does.
func TestCommitBeyondTheLog(t *testing.T) {
	n, m, w := scripted(t, vfs.NewMem(), nil)
	n.step(said(pb.MsgApp, 2, 3, func(x *pb.Message) { x.Entries = []*pb.Entry{{Index: new(uint64(1)), Term: new(uint64(3))}} }))
	w.await(t, pb.MsgAppResp)
	beyond := func(from, term uint64) {
		t.Helper()
		n.step(said(pb.MsgHeartbeat, from, term, func(x *pb.Message) { x.Commit = new(uint64(2)) }))
	}
	want := func(what string, term, lead uint64) {
		t.Helper()
		if gotTerm, gotLead := raftTerm(n, m); gotTerm != term || gotLead != lead || m.group.Status().Err != nil || m.group.Status().Commit != 0 {
			t.Fatalf("%s: term %d, leader %d; want %d, %d; %+v", what, gotTerm, gotLead, term, lead, m.group.Status())
		}
	}
	beyond(77, 3)
	want("a stranger", 3, 2)
	beyond(77, 4)
	want("a stranger of a later term", 3, 2)
	beyond(3, 2)
	want("a leader that was", 3, 2)
	beyond(3, 4)
	want("a member that may have been elected", 4, 3) // it is asked for what is missing
	beyond(77, 4)
	want("a stranger again", 4, 3)
	beyond(3, 4)
	until(t, "the end of the group", nil, func() bool { _, _, _, f := m.snapshot(); return len(f) > 0 })
	if _, _, _, f := m.snapshot(); !strings.Contains(f[0].Error(), "tocommit(2)") {
		t.Errorf("failed with %v", f[0])
	}
	n.stop()
}

// TestAcknowledgedBeyondTheLog: what a member cannot have does not count once it is there.
func TestAcknowledgedBeyondTheLog(t *testing.T) {
	c := newCluster(t)
	l := c.leader(0, 1, 2)
	c.commit(l, 1)
	c.agree(1)
	last := uint64(c.sm(l).log.LastIndex())
	c.net.isolate(uint64(l+1), true)
	term := uint64(c.sm(l).group.Status().Term)
	for _, o := range c.others(l) {
		for _, reject := range []bool{true, false} {
			ack := said(pb.MsgAppResp, uint64(o+1), term, func(x *pb.Message) { x.Index, x.Reject = new(last+1), new(reject) })
			ack.To = new(uint64(l + 1))
			if err := c.nodes[l].host.Step(1, ack); err != nil {
				t.Fatal(err)
			}
		}
	}
	settle(c.nodes)
	done := mustPropose(t, c.sm(l), 666)
	for range 3 {
		tick(c.nodes)
	}
	until(t, "the value in the leader's log", nil, func() bool { return uint64(c.sm(l).log.LastIndex()) > last })
	settle(c.nodes)
	if closed(done) {
		t.Error("acknowledged what only the leader has")
	}
	now := c.leader(c.others(l)...)
	c.commit(now, 2)
	c.net.isolate(uint64(l+1), false)
	if got := c.agree(2); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("committed %v", got)
	}
	c.stop()
}

// TestLedByAStranger: a member that was away while another came in, and now leads, follows it.
func TestLedByAStranger(t *testing.T) {
	c := &cluster{t: t, net: newNetwork()}
	for id := range uint64(4) {
		c.nodes = append(c.nodes, startNode(t, id+1, vfs.NewMem(), c.net))
		c.nodes[id].add(1, 1, 2, 3)
	}
	l := c.leader(0, 1, 2)
	away := c.others(l)[0]
	c.commit(l, 1)
	until(t, "the others", c.nodes, func() bool { _, _, v, _ := c.sm(away).snapshot(); return len(v) == 1 })
	c.net.isolate(uint64(away+1), true)
	for _, as := range []Change{{Node: 4, As: Learner}, {Node: 4, As: Voter}} {
		done := make(chan error, 1)
		go func() { done <- c.sm(l).group.ChangeMembers(context.Background(), as) }()
		var err error
		if until(t, "the change", c.nodes, answered(done, &err)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "node 4 to take over", c.nodes, func() bool {
		if leads(c.sm(3))() {
			return true
		}
		_ = c.sm(l).group.TransferLeadership(4)
		return false
	})
	c.commit(3, 2)
	if s := c.sm(away).group.Status(); slices.Contains(s.Voters, 4) {
		t.Fatalf("it knows node 4: %+v", s)
	}
	c.net.isolate(uint64(away+1), false)
	until(t, "it to follow", c.nodes, func() bool { _, _, v, _ := c.sm(away).snapshot(); return slices.Equal(v, []uint64{1, 2}) })
	c.stop()
}

// TestDownOfTheFounder: members that have joined, whose order names but the founder, campaign one after the other too.
func TestDownOfTheFounder(t *testing.T) {
	c := &cluster{t: t, net: newNetwork()}
	for id := range uint64(3) {
		c.nodes = append(c.nodes, startNode(t, id+1, vfs.NewMem(), c.net))
		c.nodes[id].add(1, 1)
	}
	c.leader(0)
	done := make(chan error, 1)
	go func() {
		done <- c.sm(0).group.ChangeMembers(context.Background(), Change{Node: 2, As: Voter}, Change{Node: 3, As: Voter})
	}()
	var err error
	if until(t, "the change", c.nodes, answered(done, &err)); err != nil {
		t.Fatal(err)
	}
	c.commit(0, 1)
	c.agree(1)
	until(t, "all to know the members", c.nodes, func() bool {
		return len(c.sm(1).group.Status().Voters) == 3 && len(c.sm(2).group.Status().Voters) == 3
	})
	for id := range uint64(3) {
		c.net.isolate(id+1, true) // messages are late
	}
	alive := c.nodes[1:]
	for _, n := range alive {
		n.host.Down(1)
	}
	settle(c.nodes)
	stands := 0
	for i := range alive {
		g := c.sm(1 + i).group
		g.mu.Lock()
		if g.role != raft.StateFollower {
			stands++
		}
		g.mu.Unlock()
	}
	if stands != 1 {
		t.Errorf("%d members campaign at once", stands)
	}
	for id := range uint64(3) {
		c.net.isolate(id+1, false)
	}
	c.net.isolate(1, true)
	c.commit(c.leader(1, 2), 2)
	c.net.isolate(1, false)
	c.agree(2)
	c.stop()
}
