package multiraft

import (
	"slices"
	"sync"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"

	pb "go.etcd.io/raft/v3/raftpb"
)

// wiretap keeps what a node sends; its peers are played by the test.
type wiretap struct {
	mu   sync.Mutex
	msgs []*pb.Message
}

func (w *wiretap) Send(_ uint64, msgs []*pb.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.msgs = append(w.msgs, msgs...)
}

// sent returns the first message of a type, or nil.
func (w *wiretap) sent(typ pb.MessageType) *pb.Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.IndexFunc(w.msgs, func(m *pb.Message) bool { return m.GetType() == typ }); i >= 0 {
		return w.msgs[i]
	}
	return nil
}

func (w *wiretap) await(t *testing.T, typ pb.MessageType, ticked ...*node) (m *pb.Message) {
	t.Helper()
	until(t, typ.String(), ticked, func() bool { m = w.sent(typ); return m != nil })
	return m
}

// scripted starts node 1 of a group of three whose messages go to a wiretap.
func scripted(t *testing.T, disk *vfs.Mem, rule func(vfs.Op, string) error) (*node, *machine, *wiretap) {
	t.Helper()
	n, w := newNode(t, 1, disk), &wiretap{}
	n.transport = w
	n.start(nil, rule)
	return n, n.add(1, 1, 2, 3), w
}

func (n *node) step(m *pb.Message) {
	n.t.Helper()
	m.To = new(n.id)
	if err := n.host.Step(1, m); err != nil {
		n.t.Fatal(err)
	}
}

// gate holds up the syncs of a directory.
type gate struct {
	mu     sync.Mutex
	prefix string // of the names whose syncs wait; "": none
	open   *sync.Cond
	held   int
}

func newGate() *gate {
	g := &gate{}
	g.open = sync.NewCond(&g.mu)
	return g
}

func (g *gate) rule(op vfs.Op, name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for op == vfs.OpDatasync && g.prefix != "" && len(name) >= len(g.prefix) && name[:len(g.prefix)] == g.prefix {
		g.held++
		g.open.Wait()
		g.held--
	}
	return nil
}

func (g *gate) set(prefix string) {
	g.mu.Lock()
	g.prefix = prefix
	g.mu.Unlock()
	g.open.Broadcast()
}

func (g *gate) holding() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held > 0
}

// TestVoteIsDurableBeforeItIsCast: nothing leaves before the sync, and a power
// cut afterwards does not free the vote.
func TestVoteIsDurableBeforeItIsCast(t *testing.T) {
	gate := newGate()
	n, _, w := scripted(t, vfs.NewMem(), gate.rule)
	gate.set("hs/")
	vote := func(from uint64) *pb.Message {
		return &pb.Message{Type: pb.MsgVote.Enum(), From: new(from), Term: new(uint64(5)), Index: new(uint64(9)), LogTerm: new(uint64(4))}
	}
	n.step(vote(2))
	until(t, "the sync", nil, gate.holding)
	if m := w.sent(pb.MsgVoteResp); m != nil {
		t.Fatalf("the vote was cast before it was durable: %v", m)
	}
	before := n.disk.Crash(1)
	gate.set("")
	if m := w.await(t, pb.MsgVoteResp); m.GetReject() || m.GetTo() != 2 || m.GetTerm() != 5 {
		t.Errorf("vote: %v", m)
	}
	after := n.powerCut(1)
	for name, disk := range map[string]*vfs.Mem{"before": before, "after": after} {
		n, _, w := scripted(t, disk, nil)
		n.step(vote(3))
		if m := w.await(t, pb.MsgVoteResp); m.GetReject() != (name == "after") {
			t.Errorf("power cut %s the sync: %v", name, m)
		}
		n.stop()
	}
}

// TestEntriesAreDurableBeforeTheyAreAcknowledged is the same for MsgApp.
func TestEntriesAreDurableBeforeTheyAreAcknowledged(t *testing.T) {
	gate := newGate()
	n, m, w := scripted(t, vfs.NewMem(), gate.rule)
	n.step(&pb.Message{Type: pb.MsgHeartbeat.Enum(), From: new(uint64(2)), Term: new(uint64(1))})
	w.await(t, pb.MsgHeartbeatResp)
	gate.set("g1/")
	n.step(appendMsg(2, 1, 0, 0, entry(1, 1, nil), entry(2, 1, testPayload(0, 7, 8))))
	until(t, "the sync", nil, gate.holding)
	if x := w.sent(pb.MsgAppResp); x != nil {
		t.Fatalf("acknowledged before durable: %v", x)
	}
	m.mu.Lock()
	if m.appended != 2 || m.durable != 0 {
		t.Errorf("appended %d, durable %d", m.appended, m.durable)
	}
	m.mu.Unlock()
	gate.set("")
	if x := w.await(t, pb.MsgAppResp); x.GetIndex() != 2 || x.GetReject() {
		t.Errorf("acknowledged %v", x)
	}
	m.mu.Lock()
	if m.durable != 2 || m.committed != 0 {
		t.Errorf("durable %d, committed %d", m.durable, m.committed)
	}
	m.mu.Unlock()
	n.stop()
}

// TestLossOfLeadershipComesBeforeTheEntries: a leader is deposed by a message
// that brings entries of the new term; see machine.Appended.
func TestLossOfLeadershipComesBeforeTheEntries(t *testing.T) {
	n, m, w := scripted(t, vfs.NewMem(), nil)
	w.await(t, pb.MsgPreVote, n)
	n.step(&pb.Message{Type: pb.MsgPreVoteResp.Enum(), From: new(uint64(2)), Term: new(uint64(1))})
	w.await(t, pb.MsgVote)
	n.step(&pb.Message{Type: pb.MsgVoteResp.Enum(), From: new(uint64(2)), Term: new(uint64(1))})
	w.await(t, pb.MsgApp)
	if leads(m)() {
		t.Error("leads before an entry of its term is committed")
	}
	n.step(&pb.Message{Type: pb.MsgAppResp.Enum(), From: new(uint64(2)), Term: new(uint64(1)), Index: new(uint64(1))})
	until(t, "leader", nil, leads(m))
	doomed := mustPropose(t, m, 1)
	until(t, "append", nil, func() bool { return m.group.Status().LastIndex == 2 })
	n.step(appendMsg(3, 2, 1, 1, entry(2, 2, nil), entry(3, 2, testPayload(0, 50))))
	until(t, "the new entries", nil, func() bool { return m.group.Status().LastIndex == 3 && m.group.Status().Leader == 3 })
	m.mu.Lock()
	last := m.roles[len(m.roles)-1]
	if last != (RoleChange{Role: Follower, Term: 2, Leader: 3, NextOffset: 1}) {
		t.Errorf("told %+v; the log ended at offset 1 then", last)
	}
	m.mu.Unlock()
	n.step(&pb.Message{Type: pb.MsgHeartbeat.Enum(), From: new(uint64(3)), Term: new(uint64(2)), Commit: new(uint64(3))})
	until(t, "commit", nil, func() bool { return m.group.Status().Applied == 3 })
	if _, _, values, _ := m.snapshot(); !slices.Equal(values, []uint64{50}) || closed(doomed) {
		t.Errorf("committed %v", values)
	}
	n.stop()
}

// TestRestartInJointConfiguration: the entry that led into it is handed out
// again to a group that replays its log, and must not be applied twice.
func TestRestartInJointConfiguration(t *testing.T) {
	c := &cluster{t: t, net: newNetwork()}
	for id := range uint64(3) {
		c.nodes = append(c.nodes, startNode(t, id+1, vfs.NewMem(), c.net))
		c.nodes[id].add(1, 1)
	}
	c.leader(0)
	cc := &pb.ConfChangeV2{Transition: pb.ConfChangeTransitionJointExplicit.Enum()}
	for id := range uint64(2) {
		cc.Changes = append(cc.Changes, &pb.ConfChangeSingle{Type: pb.ConfChangeAddNode.Enum(), NodeId: new(id + 2)})
	}
	if err := c.sm(0).group.proposeConf(cc); err != nil {
		t.Fatal(err)
	}
	for i := range c.nodes {
		until(t, "joint", c.nodes, func() bool { return len(c.sm(i).group.Status().Voters) == 3 })
	}
	c.commit(0, 1)
	for i := range c.nodes {
		disk := c.nodes[i].powerCut(uint64(i))
		c.nodes[i] = startNode(t, uint64(i+1), disk, c.net)
		if _, err := c.nodes[i].tryAdd(GroupOptions{ID: 1, Voters: []uint64{1}}); err != nil {
			t.Fatal(err)
		}
		if g, _ := c.nodes[i].hs.Load(1); len(g.Conf.GetVotersOutgoing()) != 1 {
			t.Fatalf("node %d: not joint: %v", i+1, g.Conf)
		}
	}
	l := c.leader(0, 1, 2)
	if err := c.sm(l).group.proposeConf(&pb.ConfChangeV2{}); err != nil {
		t.Fatal(err)
	}
	until(t, "the end of it", c.nodes, func() bool {
		g, _ := c.nodes[l].hs.Load(1)
		return len(g.Conf.GetVotersOutgoing()) == 0 && g.ConfIndex > 0
	})
	c.commit(c.leader(0, 1, 2), 2)
	if got := c.agree(2); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("committed %v", got)
	}
	c.stop()
}

func entry(index, term uint64, data []byte) *pb.Entry {
	return &pb.Entry{Index: new(index), Term: new(term), Data: data}
}

func appendMsg(from, term, prev, prevTerm uint64, entries ...*pb.Entry) *pb.Message {
	return &pb.Message{Type: pb.MsgApp.Enum(), From: new(from), Term: new(term), Index: new(prev), LogTerm: new(prevTerm), Entries: entries}
}

func testPayload(base segment.Offset, values ...uint64) []byte {
	m := machine{leading: true, end: base, pending: values}
	return m.TakeProposal(0, 1<<20)
}
