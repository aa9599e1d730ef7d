package multiraft

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chronik/internal/vfs"
	"chronik/raftstore"

	pb "go.etcd.io/raft/v3/raftpb"
)

func leads(m *machine) func() bool {
	return func() bool { l, _, _, _ := m.snapshot(); return l }
}

func mustPropose(t *testing.T, m *machine, v uint64) <-chan struct{} {
	t.Helper()
	c, ok := m.propose(v)
	if !ok {
		t.Fatalf("%s does not lead", m.name)
	}
	return c
}

func TestOneVoterCommitsAndRestarts(t *testing.T) {
	disk := vfs.NewMem()
	n := startNode(t, 1, disk, nil)
	m := n.add(1, 1)
	until(t, "leader", nil, leads(m))
	if _, term, _, _ := m.snapshot(); term != 1 {
		t.Errorf("a new group leads in term %d, want 1", term)
	}
	const producers, each = 8, 200
	var wg sync.WaitGroup
	for p := range uint64(producers) {
		wg.Go(func() {
			for i := range uint64(each) {
				<-mustPropose(t, m, p*each+i)
			}
		})
	}
	wg.Wait()
	_, _, values, failed := m.snapshot()
	if len(values) != producers*each || len(failed) != 0 {
		t.Fatalf("%d values committed, failed: %v", len(values), failed)
	}
	until(t, "the status", nil, func() bool { s := m.group.Status(); return s.Commit == s.LastIndex })
	if s := m.group.Status(); s.Role != Leader || s.Leader != 1 || s.Term != 1 || s.Commit != s.LastIndex || s.Applied != s.Commit || !slices.Equal(s.Voters, []uint64{1}) || s.FirstIndex != 1 {
		t.Errorf("status: %+v", s)
	}
	n.stop()
	if l, _, _, _ := m.snapshot(); l {
		t.Error("still leads a stopped group")
	}
	if _, err := n.host.Add(GroupOptions{ID: 2, Log: m.log, SM: m}); !errors.Is(err, ErrStopped) {
		t.Errorf("add after stop: %v", err)
	}

	n = startNode(t, 1, disk, nil)
	m = n.add(1, 1)
	if m.committed != producers*each {
		t.Errorf("committed %d after the restart, want %d", m.committed, producers*each)
	}
	until(t, "leader again", nil, leads(m))
	if _, term, values, _ := m.snapshot(); term != 2 || len(values) != 0 {
		t.Errorf("term %d, %d entries handed over again", term, len(values))
	}
	<-mustPropose(t, m, 99)
	n.stop()

	n = startNode(t, 1, disk, nil) // a state machine that wants everything
	m, err := n.tryAdd(GroupOptions{ID: 1})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "leader a third time", nil, leads(m))
	_, term, all, _ := m.snapshot()
	if term != 3 || !slices.Equal(all, append(values, 99)) {
		t.Errorf("term %d, %d values replayed", term, len(all))
	}
	n.stop()
}

// TestOneVoterPowerCut: what was committed is there after a power cut at any
// moment, in order, and nothing twice.
func TestOneVoterPowerCut(t *testing.T) {
	r := random(t)
	disk := vfs.NewMem()
	var log []uint64 // as of the last replay
	next := uint64(0)
	for round := range 12 {
		n := startNode(t, 1, disk, nil)
		m, err := n.tryAdd(GroupOptions{ID: 1, Voters: []uint64{1}})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		until(t, "leader", nil, leads(m))
		_, _, replayed, _ := m.snapshot()
		if len(replayed) < len(log) || !slices.Equal(replayed[:len(log)], log) {
			t.Fatalf("round %d: %d values, had %d", round, len(replayed), len(log))
		}
		seen := map[uint64]bool{}
		for _, v := range replayed {
			if seen[v] {
				t.Fatalf("round %d: value %d is there twice", round, v)
			}
			seen[v] = true
		}
		for range 1 + r.IntN(50) {
			c := mustPropose(t, m, next)
			next++
			if r.IntN(3) == 0 {
				<-c
			}
		}
		_, _, log, _ = m.snapshot() // all of it has been committed
		disk = n.powerCut(r.Uint64())
	}
}

func TestFailedSyncStopsOneGroup(t *testing.T) {
	injected := errors.New("injected")
	var mu sync.Mutex
	broken := ""
	n := newNode(t, 1, vfs.NewMem())
	n.start(nil, func(op vfs.Op, name string) error {
		mu.Lock()
		defer mu.Unlock()
		if broken != "" && strings.HasPrefix(name, broken) && op == vfs.OpDatasync {
			return injected
		}
		return nil
	})
	bad, good := n.add(1, 1), n.add(2, 1)
	until(t, "leaders", nil, func() bool { return leads(bad)() && leads(good)() })
	<-mustPropose(t, bad, 1)
	mu.Lock()
	broken = "g1/"
	mu.Unlock()
	lost := mustPropose(t, bad, 2)
	until(t, "the failure", nil, func() bool { _, _, _, f := bad.snapshot(); return len(f) > 0 })
	_, _, values, failed := bad.snapshot()
	if len(failed) != 1 || !errors.Is(failed[0], injected) || !slices.Equal(values, []uint64{1}) || closed(lost) {
		t.Errorf("failed %v, values %v", failed, values)
	}
	if s := bad.group.Status(); !errors.Is(s.Err, ErrFailed) || !errors.Is(s.Err, injected) || s.Role != Follower {
		t.Errorf("status %+v", s)
	}
	if err := bad.group.TransferLeadership(2); !errors.Is(err, ErrFailed) {
		t.Errorf("Exclusive: %v", err)
	}
	bad.group.Wake()
	<-mustPropose(t, good, 3)
	if err := n.host.Remove(1); err != nil {
		t.Error(err)
	}
	n.stop()
}

// TestHardStateFailureStopsTheCandidate: a vote that is not durable elects nobody.
func TestHardStateFailureStopsTheCandidate(t *testing.T) {
	injected := errors.New("injected")
	var mu sync.Mutex
	fail := false
	n := newNode(t, 1, vfs.NewMem())
	n.start(nil, func(op vfs.Op, name string) error {
		mu.Lock()
		defer mu.Unlock()
		if fail && strings.HasPrefix(name, "hs/") && op == vfs.OpDatasync {
			return injected
		}
		return nil
	})
	first := n.add(1, 1)
	until(t, "leader", nil, leads(first))
	mu.Lock()
	fail = true
	mu.Unlock()
	if _, err := n.tryAdd(GroupOptions{ID: 2, Voters: []uint64{1}}); !errors.Is(err, injected) {
		t.Errorf("add: %v", err)
	}
	<-mustPropose(t, first, 1) // needs no new vote
}

func TestGroupRefusesLostLog(t *testing.T) {
	disk := vfs.NewMem()
	n := startNode(t, 1, disk, nil)
	m := n.add(1, 1)
	until(t, "leader", nil, leads(m))
	<-mustPropose(t, m, 1)
	n.stop()
	names, err := disk.ReadDir("g1")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range names {
		if err := disk.Remove("g1/" + f); err != nil {
			t.Fatal(err)
		}
	}
	n = startNode(t, 1, disk, nil)
	if _, err := n.tryAdd(GroupOptions{ID: 1, Voters: []uint64{1}}); !errors.Is(err, raftstore.ErrLostData) {
		t.Errorf("a log that has vanished: %v", err)
	}
	n.stop()
}

func TestRemoveWaitsForCallbacks(t *testing.T) {
	n := startNode(t, 1, vfs.NewMem(), nil)
	m := n.add(1, 1)
	until(t, "leader", nil, leads(m))
	for i := range uint64(200) {
		mustPropose(t, m, i)
	}
	if err := n.host.Remove(1); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	before := m.committed
	m.failed = append(m.failed, errors.New("any callback from here on is reported")) // see enter
	m.mu.Unlock()
	m.group.Wake()
	if err := n.host.Remove(1); !errors.Is(err, ErrUnknownGroup) {
		t.Errorf("second removal: %v", err)
	}
	if err := m.group.TransferLeadership(2); !errors.Is(err, ErrStopped) {
		t.Errorf("Exclusive: %v", err)
	}
	other := n.add(2, 1) // on either shard: what was queued has run by the time this commits
	third := n.add(3, 1)
	until(t, "others", nil, func() bool { return leads(other)() && leads(third)() })
	<-mustPropose(t, other, 1)
	<-mustPropose(t, third, 1)
	if m.committed != before {
		t.Error("committed after Remove")
	}
	n.stop()
}

func TestStopDrains(t *testing.T) {
	disk := vfs.NewMem()
	n := startNode(t, 1, disk, nil)
	m := n.add(1, 1)
	until(t, "leader", nil, leads(m))
	var all []<-chan struct{}
	for i := range uint64(500) {
		all = append(all, mustPropose(t, m, i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.host.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	if m.end != m.committed || m.leading || m.durable != m.committed {
		t.Errorf("taken %d, committed %d, durable %d, leading %v", m.end, m.committed, m.durable, m.leading)
	}
	done := 0
	for _, c := range all {
		if closed(c) {
			done++
		}
	}
	if done != int(m.committed) {
		t.Errorf("%d acknowledged, %d committed", done, m.committed)
	}
	last, committed := m.group.log.LastIndex(), m.committed
	m.mu.Unlock()
	if g, _ := n.hs.Load(1); g.State.Commit != uint64(last) {
		t.Errorf("commit %d persisted, log ends at %d", g.State.Commit, last)
	}
	n.close()
	n = startNode(t, 1, disk.Crash(5), nil)
	if m = n.add(1, 1); m.committed != committed {
		t.Errorf("committed %d after restart, was %d", m.committed, committed)
	}
	n.stop()
}

func TestMessageToPeerWithoutTransportIsABug(t *testing.T) {
	n := startNode(t, 1, vfs.NewMem(), nil)
	m := n.add(1, 1, 2)
	until(t, "the poisoning", []*node{n}, func() bool { _, _, _, f := m.snapshot(); return len(f) > 0 })
	if _, _, _, f := m.snapshot(); !strings.Contains(f[0].Error(), "BUG") {
		t.Errorf("failed with %v", f[0])
	}
	n.stop()
}

func TestStepRefusesWhatNoPeerSends(t *testing.T) {
	n := startNode(t, 1, vfs.NewMem(), newNetwork())
	m := n.add(1, 1, 2, 3)
	msg := func(typ pb.MessageType, change func(*pb.Message)) *pb.Message {
		x := &pb.Message{Type: typ.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(5))}
		if change != nil {
			change(x)
		}
		return x
	}
	ents := func(ts ...uint64) (out []*pb.Entry) {
		for i, term := range ts {
			out = append(out, &pb.Entry{Index: new(uint64(1 + i)), Term: new(term)})
		}
		return out
	}
	for i, bad := range []*pb.Message{
		nil,
		{},
		msg(pb.MsgProp, nil), msg(pb.MsgSnap, nil), msg(pb.MsgHup, nil), msg(pb.MsgStorageAppendResp, nil), msg(pb.MessageType(99), nil),
		msg(pb.MsgHeartbeat, func(x *pb.Message) { x.To = new(uint64(3)) }),
		msg(pb.MsgHeartbeat, func(x *pb.Message) { x.From = new(uint64(1)) }),
		msg(pb.MsgHeartbeat, func(x *pb.Message) { x.Term = nil }),
		msg(pb.MsgVote, func(x *pb.Message) { x.Entries = ents(1) }),
		msg(pb.MsgApp, func(x *pb.Message) { x.Entries = ents(6) }),
		msg(pb.MsgApp, func(x *pb.Message) { x.Entries = ents(3, 2) }),
		msg(pb.MsgApp, func(x *pb.Message) { x.Entries = ents(0) }),
		msg(pb.MsgApp, func(x *pb.Message) { x.Entries, x.Index = ents(1), new(uint64(4)) }),
		msg(pb.MsgApp, func(x *pb.Message) { x.Entries = []*pb.Entry{nil} }),
		// Leader epochs have 31 bits, and there is an end to terms and indexes.
		msg(pb.MsgHeartbeat, func(x *pb.Message) { x.Term = new(uint64(math.MaxUint64)) }),
		msg(pb.MsgHeartbeat, func(x *pb.Message) { x.Term = new(uint64(1<<31 + 9)) }),
		msg(pb.MsgVote, func(x *pb.Message) { x.Term = new(uint64(math.MaxInt32)) }),
		msg(pb.MsgVote, func(x *pb.Message) { x.LogTerm = new(uint64(math.MaxInt32)) }),
		msg(pb.MsgApp, func(x *pb.Message) { x.Term, x.Entries = new(uint64(math.MaxInt32)), ents(math.MaxInt32) }),
		msg(pb.MsgApp, func(x *pb.Message) { x.Index = new(uint64(math.MaxUint64)) }),
		msg(pb.MsgApp, func(x *pb.Message) { x.Commit = new(uint64(math.MaxUint64)) }),
		msg(pb.MsgAppResp, func(x *pb.Message) { x.RejectHint = new(uint64(math.MaxUint64)) }),
		// Raft reads 8 bytes of a context, or else all.
		msg(pb.MsgHeartbeatResp, func(x *pb.Message) { x.Context = make([]byte, 7) }),
		msg(pb.MsgHeartbeat, func(x *pb.Message) { x.Context = make([]byte, 17) }),
		msg(pb.MsgVote, func(x *pb.Message) { x.Context = make([]byte, 16) }),
		msg(pb.MsgAppResp, func(x *pb.Message) { x.Context = make([]byte, 1) }),
	} {
		if err := n.host.Step(1, bad); !errors.Is(err, ErrBadMessage) {
			t.Errorf("message %d (%v): %v", i, bad, err)
		}
	}
	if err := n.host.Step(7, msg(pb.MsgHeartbeat, nil)); !errors.Is(err, ErrUnknownGroup) {
		t.Errorf("unknown group: %v", err)
	}
	for _, good := range []*pb.Message{
		msg(pb.MsgPreVote, func(x *pb.Message) { x.Context = []byte("CampaignTransfer") }),
		msg(pb.MsgHeartbeat, func(x *pb.Message) { x.Context = make([]byte, 8) }),
		msg(pb.MsgHeartbeat, func(x *pb.Message) { x.Term = new(uint64(math.MaxInt32 - 1)) }),
	} {
		if err := n.host.Step(1, good); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	until(t, "the last", nil, func() bool { return m.group.Status().Term == math.MaxInt32-1 })
	n.stop()
}

func TestAddChecks(t *testing.T) {
	n := startNode(t, 1, vfs.NewMem(), nil)
	m := n.add(1, 1)
	if _, err := n.host.Add(GroupOptions{ID: 1, Log: m.log, SM: m}); !errors.Is(err, ErrExists) {
		t.Errorf("twice: %v", err)
	}
	if _, err := n.host.Add(GroupOptions{ID: 0, Log: m.log, SM: m}); err == nil {
		t.Error("group 0 was accepted")
	}
	if g, ok := n.host.Group(1); !ok || g.ID() != 1 {
		t.Error("group 1 is not found")
	}
	if err := n.host.Forget(1); !errors.Is(err, ErrExists) {
		t.Errorf("forget a running group: %v", err)
	}
	if err := n.host.Remove(1); err != nil {
		t.Error(err)
	}
	if err := n.host.Forget(1); err != nil {
		t.Error(err)
	}
	if _, known := n.hs.Load(1); known {
		t.Error("the hard state of a forgotten group is there")
	}
	n.stop()
}

func TestManyGroups(t *testing.T) {
	n := startNode(t, 1, vfs.NewMem(), nil)
	var ms []*machine
	for id := range uint64(50) {
		ms = append(ms, n.add(id+1, 1))
	}
	until(t, "leaders", nil, func() bool { return !slices.ContainsFunc(ms, func(m *machine) bool { return !leads(m)() }) })
	var all []<-chan struct{}
	for i := range uint64(20) {
		for _, m := range ms {
			all = append(all, mustPropose(t, m, i))
		}
	}
	for _, c := range all {
		<-c
	}
	for _, m := range ms {
		want := make([]uint64, 20)
		for i := range want {
			want[i] = uint64(i)
		}
		if _, _, got, _ := m.snapshot(); !slices.Equal(got, want) {
			t.Errorf("%s: %v", m.name, got)
		}
	}
	n.stop()
}
