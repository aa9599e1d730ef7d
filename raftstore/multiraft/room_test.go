package multiraft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chronik/internal/vfs"
	"chronik/raftstore"

	pb "go.etcd.io/raft/v3/raftpb"
)

// fullRule refuses new files and writes where the names begin with prefix, while on. (Zeroing goes on: what is zeroed
// after a write that failed is inside of the file already.)
type fullRule struct {
	on     atomic.Bool
	prefix string
	met    atomic.Int64
}

func (f *fullRule) check(op vfs.Op, name string) error {
	if f.on.Load() && strings.HasPrefix(name, f.prefix) && (op == vfs.OpWrite || op == vfs.OpCreate) {
		f.met.Add(1)
		return fmt.Errorf("%s %s: %w", op, name, vfs.ErrNoSpace)
	}
	return nil
}

func noRoom(m *machine) func() bool {
	return func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.full }
}

func not(f func() bool) func() bool { return func() bool { return !f() } }

// TestFullDiskIsWaitedFor: what finds no room is committed when there is some, in order and once; before that the group
// says that it waits, keeps its role, and holds up nobody else.
func TestFullDiskIsWaitedFor(t *testing.T) {
	full := &fullRule{prefix: "g1/"}
	disk := vfs.NewMem()
	n := newNode(t, 1, disk)
	n.start(nil, full.check)
	m, other := n.add(1, 1), n.add(3, 1) // of the same shard
	until(t, "leaders", nil, func() bool { return leads(m)() && leads(other)() })
	<-mustPropose(t, m, 0)
	full.on.Store(true)
	all := []<-chan struct{}{}
	for v := uint64(1); v <= 40; v++ {
		all = append(all, mustPropose(t, m, v))
	}
	until(t, "the news", nil, noRoom(m))
	if s := m.group.Status(); !errors.Is(s.NoRoom, vfs.ErrNoSpace) || s.Err != nil || s.Role != Leader {
		t.Errorf("status of a group without room: %+v", s)
	}
	tried := full.met.Load()
	<-mustPropose(t, other, 1)
	if got := full.met.Load(); got != tried { // the clock stands still
		t.Errorf("tried again %d times without a pause", got-tried)
	}
	until(t, "more attempts", []*node{n}, func() bool { return full.met.Load() >= tried+3 })
	if _, _, values, failed := m.snapshot(); !slices.Equal(values, []uint64{0}) || len(failed) > 0 {
		t.Errorf("committed %v, failed %v", values, failed)
	}
	full.on.Store(false)
	until(t, "all of it", []*node{n}, func() bool { return !slices.ContainsFunc(all, func(c <-chan struct{}) bool { return !closed(c) }) })
	until(t, "the good news", nil, not(noRoom(m)))
	want := make([]uint64, 41)
	for i := range want {
		want[i] = uint64(i)
	}
	_, term, values, failed := m.snapshot()
	if term != 1 || !slices.Equal(values, want) || len(failed) > 0 {
		t.Errorf("term %d, committed %v, failed %v", term, values, failed)
	}
	if s := m.group.Status(); s.NoRoom != nil {
		t.Errorf("status: %+v", s)
	}
	n.stop()
	n = startNode(t, 1, disk.Crash(1), nil)
	if m, err := n.tryAdd(GroupOptions{ID: 1}); err != nil {
		t.Error(err)
	} else {
		until(t, "leader again", nil, leads(m))
		if _, _, values, _ := m.snapshot(); !slices.Equal(values, want) {
			t.Errorf("after a power cut: %v", values)
		}
	}
	n.stop()
}

// TestNoRoomForAVote: a vote that finds no room does not go out until it is durable.
func TestNoRoomForAVote(t *testing.T) {
	full := &fullRule{prefix: "hs/"}
	n := newNode(t, 1, vfs.NewMem())
	var votes atomic.Int64
	n.transport = toPeers(func(m *pb.Message) {
		if m.GetType() == pb.MsgVoteResp && !m.GetReject() {
			votes.Add(1)
		}
	})
	n.start(nil, full.check)
	full.on.Store(true)
	if _, err := n.tryAdd(GroupOptions{ID: 1, Voters: []uint64{1}}); !errors.Is(err, vfs.ErrNoSpace) {
		t.Fatalf("a group whose members find no room: %v", err)
	}
	if _, known := n.hs.Load(1); known {
		t.Error("the refused group is known")
	}
	full.on.Store(false)
	m := n.add(1, 1, 2)
	full.on.Store(true)
	ask := &pb.Message{Type: pb.MsgVote.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(5)), Index: new(uint64(0)), LogTerm: new(uint64(0))}
	if err := n.host.Step(1, ask); err != nil {
		t.Fatal(err)
	}
	until(t, "the news", []*node{n}, noRoom(m))
	if n := votes.Load(); n > 0 {
		t.Errorf("%d votes went out before they were durable", n)
	}
	full.on.Store(false)
	until(t, "the vote", []*node{n}, func() bool { return votes.Load() == 1 })
	until(t, "the good news", []*node{n}, not(noRoom(m)))
	if g, _ := n.hs.Load(1); g.State.Term != 5 || g.State.Vote != 2 {
		t.Errorf("hard state %+v", g.State)
	}
	n.stop()
}

// TestFullDiskAtAnyTime: the disk fills up and is emptied at random; whatever was committed is there after a power cut.
func TestFullDiskAtAnyTime(t *testing.T) {
	r := random(t)
	disk := vfs.NewMem()
	for round := range 4 {
		n := startNode(t, 1, disk, nil)
		m, err := n.tryAdd(GroupOptions{ID: 1, Voters: []uint64{1}})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		until(t, "leader", []*node{n}, leads(m))
		var all []<-chan struct{}
		next := uint64(round) << 32
		propose := func(n int) {
			for range n {
				all = append(all, mustPropose(t, m, next))
				next++
			}
		}
		for range 1 + r.IntN(5) {
			propose(r.IntN(100))
			u, err := disk.Usage("/")
			if err != nil {
				t.Fatal(err)
			}
			disk.SetCapacity(u.Total - u.Free + int64(r.IntN(3000)))
			until(t, "a full disk", nil, func() bool { propose(r.IntN(100)); return noRoom(m)() })
			n.clock.Advance(time.Duration(r.IntN(3000)) * time.Millisecond)
			if r.IntN(3) == 0 {
				break // the power goes while the disk is full
			}
			disk.SetCapacity(0)
			until(t, "room", []*node{n}, not(noRoom(m)))
			if r.IntN(2) == 0 {
				until(t, "all of it", []*node{n}, func() bool { return !slices.ContainsFunc(all, func(c <-chan struct{}) bool { return !closed(c) }) })
			}
		}
		_, _, committed, failed := m.snapshot()
		if len(failed) > 0 {
			t.Fatalf("round %d: %v", round, failed)
		}
		if !slices.IsSorted(committed) || len(slices.Compact(slices.Clone(committed))) != len(committed) {
			t.Fatalf("round %d: committed out of order or twice: %v", round, committed)
		}
		t.Logf("round %d: %d committed in all, %d proposed in this round", round, len(committed), len(all))
		image := disk.Crash(r.Uint64())
		disk.SetCapacity(0)
		n.powerCut(0)
		disk = image
		n = startNode(t, 1, disk, nil)
		again, err := n.tryAdd(GroupOptions{ID: 1})
		if err != nil {
			t.Fatalf("round %d, after the power cut: %v", round, err)
		}
		until(t, "leader", []*node{n}, leads(again))
		if _, _, values, _ := again.snapshot(); len(values) < len(committed) || !slices.Equal(values[:len(committed)], committed) {
			t.Fatalf("round %d: %d values after the power cut, %d had been committed", round, len(values), len(committed))
		}
		n.stop()
	}
}

// TestFollowerOnAFullDisk: the others go on, and it catches up when there is room.
func TestFollowerOnAFullDisk(t *testing.T) {
	c := &cluster{t: t, net: newNetwork()}
	var full [3]*fullRule
	for id := range uint64(3) {
		full[id] = &fullRule{prefix: "g1/"}
		n := newNode(t, id+1, vfs.NewMem())
		n.start(c.net, full[id].check)
		c.nodes = append(c.nodes, n)
	}
	for _, n := range c.nodes {
		n.add(1, 1, 2, 3)
	}
	l := c.leader(0, 1, 2)
	f := c.others(l)[0]
	c.commit(l, 1)
	full[f].on.Store(true)
	for v := uint64(2); v < 30; v++ {
		c.commit(l, v)
	}
	until(t, "the news", c.nodes, noRoom(c.sm(f)))
	kept := func() int {
		g := c.sm(f).group
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.room.appends)
	}
	before, ticks := kept(), 300
	until(t, "", c.nodes, func() bool { ticks--; return ticks < 0 })
	// The last may hold nothing but answers. None has come with entries.
	if n := kept(); n > before+1 {
		t.Errorf("%d messages are kept after 300 ticks, %d before", n, before)
	}
	full[f].on.Store(false)
	if values := c.agree(29); len(values) != 29 {
		t.Errorf("%d values, want 29", len(values))
	}
	until(t, "the good news", c.nodes, not(noRoom(c.sm(f))))
	c.stop()
}

// TestMembersFindNoRoom: a change of members that finds no room holds up its group, and is made when there is some.
func TestMembersFindNoRoom(t *testing.T) {
	full := &fullRule{prefix: "hs/"}
	n := newNode(t, 1, vfs.NewMem())
	n.transport = toPeers(func(*pb.Message) {})
	n.start(nil, full.check)
	m := n.add(1, 1)
	until(t, "leader", nil, leads(m))
	<-mustPropose(t, m, 1)
	full.on.Store(true)
	if err := m.group.proposeConf(&pb.ConfChange{Type: pb.ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(2))}); err != nil {
		t.Fatal(err)
	}
	until(t, "the news", []*node{n}, noRoom(m))
	full.on.Store(false)
	until(t, "the good news", []*node{n}, not(noRoom(m)))
	if g, _ := n.hs.Load(1); !slices.Equal(g.Conf.GetLearners(), []uint64{2}) {
		t.Errorf("members: %v", g.Conf)
	}
	<-mustPropose(t, m, 2)
	n.stop()
}

// TestStopWithoutRoom: a host that stops does not wait for room.
func TestStopWithoutRoom(t *testing.T) {
	full := &fullRule{prefix: "g1/"}
	disk := vfs.NewMem()
	n := newNode(t, 1, disk)
	n.start(nil, full.check)
	m := n.add(1, 1)
	until(t, "leader", nil, leads(m))
	<-mustPropose(t, m, 1)
	full.on.Store(true)
	lost := mustPropose(t, m, 2)
	until(t, "the news", nil, noRoom(m))
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour) // Stop must not need it
	defer cancel()
	if err := n.host.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if closed(lost) {
		t.Error("committed without room")
	}
	full.on.Store(false)
	n.close()
}

// TestFailedSyncForWantOfRoomIsFinal: nobody knows what a sync that failed has made durable.
func TestFailedSyncForWantOfRoomIsFinal(t *testing.T) {
	var on atomic.Bool
	n := newNode(t, 1, vfs.NewMem())
	n.start(nil, func(op vfs.Op, name string) error {
		if on.Load() && op == vfs.OpDatasync && strings.HasPrefix(name, "g1/") {
			return vfs.ErrNoSpace
		}
		return nil
	})
	m := n.add(1, 1)
	until(t, "leader", nil, leads(m))
	on.Store(true)
	mustPropose(t, m, 1)
	until(t, "the failure", []*node{n}, func() bool { _, _, _, f := m.snapshot(); return len(f) > 0 })
	if s := m.group.Status(); raftstore.DiskFull(s.Err) || !errors.Is(s.Err, vfs.ErrNoSpace) {
		t.Errorf("status: %+v", s)
	}
	n.stop()
}

// toPeers stands for the other nodes: it is shown what they are sent.
type toPeers func(*pb.Message)

func (p toPeers) Send(_ uint64, msgs []*pb.Message) {
	for _, m := range msgs {
		p(m)
	}
}
