package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"chronik/broker/group"
	"chronik/broker/group/record"
	"chronik/broker/partition"
)

// TestC2PartitionFor: Java's String.hashCode, on UTF-16 units.
func TestC2PartitionFor(t *testing.T) {
	for _, c := range []struct {
		group string
		hash  int64
	}{
		{"", 0},
		{"hello", 99162322},
		{"console-consumer-1", 31*int64(javaHash("console-consumer-")) + '1'},
		{"polygenelubricants", -1 << 31}, // the hash whose absolute value is not positive
		{"é", 233},
		{"😀", 0xd83d*31 + 0xde00},
	} {
		for _, n := range []int{1, 7, 50} {
			want := int32(int64(uint32(c.hash)&0x7fffffff) % int64(n))
			if got := PartitionFor(c.group, n); got != want {
				t.Errorf("%q of %d: %d, want %d", c.group, n, got, want)
			}
		}
	}
}

// javaHash is for ASCII.
func javaHash(s string) (h int32) {
	for i := range len(s) {
		h = 31*h + int32(s[i])
	}
	return h
}

func offsetRecord(groupID, topic string, offset int64) group.Record {
	o := record.Offset{Offset: offset, LeaderEpoch: -1, CommitMs: epoch.UnixMilli(), ExpireMs: -1}
	return group.Record{Key: record.OffsetKey(groupID, topic, 0), Value: o.Encode()}
}

// TestLoad: until everything that was in the log is committed and replayed, calls are told so (J1, O16). Control
// batches, unknown and malformed records do not stop it. Offsets of topics that are gone are dropped (O15).
func TestLoad(t *testing.T) {
	x := newTool(t, 1)
	p := x.parts[0]
	p.store(t, false, offsetRecord("g", "t", 5), offsetRecord("g", "gone", 6))
	p.commit()
	p.store(t, true, group.Record{Key: []byte{0, 0, 0, 0}, Value: []byte{0, 0, 0, 0, 0, 0}})
	p.store(t, false, group.Record{Key: []byte{0}}, group.Record{Key: []byte{0, 99}}, offsetRecord("g", "t", 7))
	x.topics.Store("gone", true)
	x.h.RoleChanged(0, p, true, 0)
	x.eventually("first batch read", func() bool {
		s := x.h.Led()[0]
		var n int
		s.do(func(time.Time) { n = s.state.LoadStats().Records })
		return n == 2
	})
	ctx := t.Context()
	if r := x.h.FetchOffsets(group.FetchOffsetsRequest{Group: "g"}); r.Err != group.CoordinatorLoadInProgress {
		t.Errorf("fetch while loading: %v", r.Err)
	}
	if r := x.h.CommitOffsets(ctx, commit("g", "t", 1)); r.Topics[0].Partitions[0].Err != group.CoordinatorLoadInProgress {
		t.Errorf("commit while loading: %+v", r)
	}
	if err := x.h.Heartbeat(group.HeartbeatRequest{Group: "g", MemberID: "m"}); err != group.None {
		t.Errorf("heartbeat while loading: %v", err)
	}
	if _, err := x.h.ListGroups(); err != group.CoordinatorLoadInProgress {
		t.Errorf("list while loading: %v", err)
	}
	p.commit()
	x.eventually("loaded", func() bool {
		x.clock.Advance(loadWait)
		_, err := x.h.ListGroups()
		return err == group.None
	})
	if got := x.offset("g", "t"); got != 7 {
		t.Errorf("offset is %d, want 7", got)
	}
	if got := x.offset("g", "gone"); got != -1 {
		t.Errorf("offset of a deleted topic is %d, want -1", got)
	}
}

// TestO6CommitWaitsForTheLog: no answer, and nothing to see, before the append is committed.
func TestO6CommitWaitsForTheLog(t *testing.T) {
	x := newTool(t, 1)
	x.lead(0)
	x.parts[0].set(func(p *fakePartition) { p.manual = true })
	answer := make(chan group.CommitOffsetsResponse, 1)
	go func() { answer <- x.h.CommitOffsets(t.Context(), commit("g", "t", 5)) }()
	x.eventually("append", func() bool { return x.parts[0].State().End == 1 })
	if got := x.offset("g", "t"); got != -1 {
		t.Errorf("before the commit the offset is %d", got)
	}
	select {
	case r := <-answer:
		t.Fatalf("answered before the commit: %+v", r)
	default:
	}
	x.parts[0].commit()
	if r := <-answer; r.Err != group.None || r.Topics[0].Partitions[0].Err != group.None {
		t.Errorf("answered %+v", r)
	}
	if got := x.offset("g", "t"); got != 5 {
		t.Errorf("after the commit the offset is %d", got)
	}
	x.parts[0].set(func(p *fakePartition) { p.epoch, p.manual = 1, false }) // a new leader, which finds it in the log
	x.lead(0)
	if got := x.offset("g", "t"); got != 5 {
		t.Errorf("after the next load the offset is %d", got)
	}
}

// TestAppendErrors: refusals and failures of the partition reach the caller as J's map says.
func TestAppendErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want group.Error
	}{
		{partition.ErrNotLeader, group.NotCoordinator},
		{partition.ErrClosed, group.NotCoordinator},
		{partition.ErrFencedEpoch, group.NotCoordinator},
		{partition.ErrUnknownEpoch, group.NotCoordinator},
		{fmt.Errorf("wrapped: %w", partition.ErrStorage), group.NotCoordinator},
		{errors.New("other"), group.UnknownServerError},
		{fmt.Errorf("wrapped: %w", partition.ErrNotEnoughReplicas), group.CoordinatorNotAvailable},
	} {
		x := newTool(t, 1)
		x.lead(0)
		x.parts[0].set(func(p *fakePartition) { p.refuse = c.err })
		if r := x.h.CommitOffsets(t.Context(), commit("g", "t", 5)); r.Err != c.want {
			t.Errorf("%v on append: %v, want %v", c.err, r.Err, c.want)
		}
		x.parts[0].set(func(p *fakePartition) { p.refuse, p.manual = nil, true })
		answer := make(chan group.CommitOffsetsResponse, 1)
		go func() { answer <- x.h.CommitOffsets(t.Context(), commit("g", "t", 5)) }()
		x.eventually("append", func() bool { return x.parts[0].State().End == 1 })
		x.parts[0].fail(c.err)
		if r := <-answer; r.Err != c.want {
			t.Errorf("%v later: %v, want %v", c.err, r.Err, c.want)
		}
	}
	x := newTool(t, 1)
	x.lead(0)
	x.batch.Store(100)
	big := commit("g", "t", 5)
	big.Topics[0].Partitions[0].Metadata = strings.Repeat("m", 100)
	if r := x.h.CommitOffsets(t.Context(), big); r.Err != group.UnknownServerError {
		t.Errorf("too large: %v", r.Err)
	}
	x.batch.Store(500)
	m := x.h.JoinGroup(t.Context(), join("h", "", "c"))
	if m.Err != group.None {
		t.Fatalf("join: %v", m.Err)
	}
	given := group.SyncRequest{Group: "h", Generation: 1, MemberID: m.MemberID, Assignments: []group.Assignment{{MemberID: m.MemberID, Bytes: make([]byte, 1<<20)}}}
	if r := x.h.SyncGroup(t.Context(), given); r.Err != group.UnknownServerError {
		t.Errorf("an assignment that is too large: %v", r.Err)
	}
	if s := x.h.Led()[0]; cap(s.buf)+s.builder.Size() > 10_000 {
		t.Errorf("%d bytes are kept of what was too large", cap(s.buf)+s.builder.Size())
	}
}

// TestNotEnoughReplicasAfterAppend: the call fails, and what it wrote is in the log all the same.
func TestNotEnoughReplicasAfterAppend(t *testing.T) {
	x := newTool(t, 1)
	x.lead(0)
	x.parts[0].set(func(p *fakePartition) { p.manual = true })
	answer := make(chan group.CommitOffsetsResponse, 1)
	go func() { answer <- x.h.CommitOffsets(t.Context(), commit("g", "t", 5)) }()
	x.eventually("append", func() bool { return x.parts[0].State().End == 1 })
	x.parts[0].fail(partition.ErrNotEnoughReplicasAfterAppend)
	if r := <-answer; r.Err != group.CoordinatorNotAvailable {
		t.Errorf("answered %+v", r)
	}
	x.eventually("the offset", func() bool { return x.offset("g", "t") == 5 })
}

// TestResign: what is held is answered when leadership ends, and later calls too; another epoch is another shard.
func TestResign(t *testing.T) {
	x := newTool(t, 1)
	x.lead(0)
	if r := x.h.JoinGroup(t.Context(), join("g", "", "a")); r.Err != group.None {
		t.Fatalf("join: %+v", r)
	}
	answer := make(chan group.JoinResponse, 1)
	go func() { answer <- x.h.JoinGroup(t.Context(), join("g", "", "b")) }()
	x.eventually("second member", func() bool { return len(x.h.DescribeGroup("g").Members) == 2 })
	x.h.RoleChanged(0, x.parts[0], true, 0) // said again: nothing changes
	x.h.RoleChanged(0, x.parts[0], false, 1)
	if r := <-answer; r.Err != group.NotCoordinator {
		t.Errorf("held join: %+v", r)
	}
	if r := x.h.JoinGroup(t.Context(), join("g", "", "a")); r.Err != group.NotCoordinator {
		t.Errorf("later join: %+v", r)
	}
	if r := x.h.CommitOffsets(t.Context(), commit("g", "t", 1)); r.Topics[0].Partitions[0].Err != group.NotCoordinator {
		t.Errorf("later commit: %+v", r)
	}
	if err := x.h.DeleteGroup(t.Context(), "g"); err != group.NotCoordinator {
		t.Errorf("later delete: %v", err)
	}
	if d := x.h.DescribeGroup("g"); d.Err != group.NotCoordinator {
		t.Errorf("later describe: %+v", d)
	}
	if groups, err := x.h.ListGroups(); err != group.None || len(groups) != 0 {
		t.Errorf("later list: %v, %v", groups, err)
	}
	x.h.RoleChanged(0, x.parts[0], true, 0)
	x.h.Close()
	x.h.RoleChanged(0, x.parts[0], true, 0) // too late
	if r := x.h.JoinGroup(t.Context(), join("g", "", "a")); r.Err != group.NotCoordinator {
		t.Errorf("join after Close: %+v", r)
	}
}

// TestGroupAcrossPartitions: each group is where its hash says, and the list has all of them.
func TestGroupAcrossPartitions(t *testing.T) {
	x := newTool(t, 3)
	for i := range 3 {
		x.lead(i)
	}
	for i := range 9 {
		g := fmt.Sprintf("g%d", i)
		if r := x.h.CommitOffsets(t.Context(), commit(g, "t", int64(i))); r.Err != group.None {
			t.Fatalf("%s: %v", g, r.Err)
		}
		if p := x.parts[PartitionFor(g, 3)]; p.State().End == 0 {
			t.Errorf("%s is not in partition %d", g, PartitionFor(g, 3))
		}
	}
	if groups, err := x.h.ListGroups(); err != group.None || len(groups) != 9 {
		t.Errorf("list: %v, %v", groups, err)
	}
	x.h.TopicDeleted("t")
	for i := range 9 {
		if got := x.offset(fmt.Sprintf("g%d", i), "t"); got != -1 {
			t.Errorf("g%d has %d after its topic's deletion", i, got)
		}
	}
}

// TestMemoryIsSharedByPartitions: what one partition's groups take is not there for another's; a partition that is
// lost gives it back, one that is loaded takes it whether there is room or not.
func TestMemoryIsSharedByPartitions(t *testing.T) {
	x := newTool(t, 2)
	x.h.bytesMax = 100_000
	x.lead(0)
	x.lead(1)
	ctx := t.Context()
	n, err := 0, group.None
	for ; n < 1000 && err == group.None; n++ {
		err = x.h.CommitOffsets(ctx, commit(fmt.Sprint("g", n), "t", 5)).Topics[0].Partitions[0].Err
	}
	if err != group.CoordinatorNotAvailable || n < 20 {
		t.Fatalf("%v after %d made-up groups", err, n)
	}
	if held := x.h.bytes.Load(); held < 100_000 || held > 110_000 {
		t.Errorf("%d bytes are counted", held)
	}
	if r := x.h.JoinGroup(ctx, join("new", "", "c")); r.Err != group.CoordinatorNotAvailable {
		t.Errorf("a new group: %v", r.Err)
	}
	if r := x.h.CommitOffsets(ctx, commit("g0", "t", 6)); r.Err != group.None || x.offset("g0", "t") != 6 {
		t.Errorf("a group that is there: %v, offset %d", r.Err, x.offset("g0", "t"))
	}
	before := x.h.bytes.Load()
	for i := range 2 {
		x.h.RoleChanged(int32(i), x.parts[i], false, 0)
	}
	x.eventually("memory given back", func() bool { return x.h.bytes.Load() == 0 })
	x.lead(0)
	x.lead(1)
	if after := x.h.bytes.Load(); after != before {
		t.Errorf("%d bytes before, %d when loaded again", before, after)
	}
}

// TestSessionExpires: the clock alone ends a session, and a rebalance, and the timer follows earlier deadlines.
func TestSessionExpires(t *testing.T) {
	x := newTool(t, 1)
	x.lead(0)
	ctx := t.Context()
	a := x.h.JoinGroup(ctx, join("g", "", "a"))
	if r := x.h.SyncGroup(ctx, group.SyncRequest{
		Group: "g", Generation: 1, MemberID: a.MemberID, Assignments: []group.Assignment{{MemberID: a.MemberID, Bytes: []byte("A")}},
	}); r.Err != group.None || string(r.Assignment) != "A" {
		t.Fatalf("sync: %+v", r)
	}
	early := join("h", "", "b")
	early.SessionTimeout = 6 * time.Second
	if r := x.h.JoinGroup(ctx, early); r.Err != group.None {
		t.Fatalf("join: %+v", r)
	}
	x.clock.Advance(6 * time.Second)
	x.eventually("the shorter session to end", func() bool { return x.h.DescribeGroup("h").State == group.Empty })
	if err := x.h.Heartbeat(group.HeartbeatRequest{Group: "g", Generation: 1, MemberID: a.MemberID}); err != group.None {
		t.Fatalf("heartbeat: %v", err)
	}
	x.clock.Advance(9 * time.Second)
	if err := x.h.Heartbeat(group.HeartbeatRequest{Group: "g", Generation: 1, MemberID: a.MemberID}); err != group.None {
		t.Fatalf("heartbeat: %v", err)
	}
	x.clock.Advance(10 * time.Second)
	x.eventually("the longer session to end", func() bool { return x.h.DescribeGroup("g").State == group.Empty })
}

// TestContextEnds: a caller that goes away leaves its member behind, and nothing blocks on it (J21).
func TestContextEnds(t *testing.T) {
	x := newTool(t, 1)
	x.lead(0)
	if r := x.h.JoinGroup(t.Context(), join("g", "", "a")); r.Err != group.None {
		t.Fatalf("join: %+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan group.JoinResponse, 1)
	go func() { answer <- x.h.JoinGroup(ctx, join("g", "", "b")) }()
	x.eventually("second member", func() bool { return len(x.h.DescribeGroup("g").Members) == 2 })
	cancel()
	if r := <-answer; r.Err != group.CoordinatorNotAvailable {
		t.Errorf("answer without a caller: %+v", r)
	}
	a := x.h.DescribeGroup("g").Members[0].MemberID
	if r := x.h.JoinGroup(t.Context(), join("g", a, "a")); r.Err != group.None || len(r.Members) != 2 {
		t.Errorf("rejoin: %+v", r)
	}
	s := x.h.Led()[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) != 0 {
		t.Errorf("%d calls are still waited for", len(s.waiting))
	}
}

// moveClock lets time pass, ten seconds a millisecond, until the function that it returns is called: a member whose
// leave was refused by a change of leadership is waited for until its session ends. Hours pass at the most, and offsets
// are kept for a week.
func (x *tool) moveClock() (end func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				x.clock.Advance(10 * time.Second)
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// TestManyAtOnce: clients join, sync, commit and leave from many goroutines while leadership comes and goes. Every
// call returns, and what was acknowledged last before the end is there after it.
func TestManyAtOnce(t *testing.T) {
	x := newTool(t, 4)
	for i := range 4 {
		x.lead(i)
	}
	acked := make([]int64, 16)
	var clients sync.WaitGroup
	for i := range acked {
		g := fmt.Sprintf("g%d", i)
		if r := x.h.CommitOffsets(t.Context(), commit(g, "t", 0)); r.Err != group.None || r.Topics[0].Partitions[0].Err != group.None {
			t.Fatalf("commit before the changes: %+v", r)
		}
		clients.Go(func() {
			for n := int64(1); n <= 100; n++ {
				if r := x.h.CommitOffsets(t.Context(), commit(g, "t", n)); r.Err == group.None && r.Topics[0].Partitions[0].Err == group.None {
					acked[i] = n
				}
				r := x.h.JoinGroup(t.Context(), join(g, "", "c"))
				if r.Err == group.None {
					x.h.SyncGroup(t.Context(), group.SyncRequest{Group: g, Generation: r.Generation, MemberID: r.MemberID})
					x.h.LeaveGroup(t.Context(), group.LeaveRequest{Group: g, Members: []group.MemberIdentity{{MemberID: r.MemberID}}})
				}
			}
		})
	}
	flips := make(chan struct{})
	go func() {
		defer close(flips)
		for n := range 40 {
			p := x.parts[n%4]
			p.set(func(p *fakePartition) { p.epoch++ })
			x.h.RoleChanged(int32(n%4), p, n%3 > 0, p.State().Epoch)
			x.h.TopicDeleted("other")
		}
	}()
	ended := x.moveClock()
	clients.Wait()
	ended()
	<-flips
	for i := range 4 {
		x.parts[i].set(func(p *fakePartition) { p.epoch++ })
		x.lead(i)
	}
	for i, want := range acked {
		if got := x.offset(fmt.Sprintf("g%d", i), "t"); got < want {
			t.Errorf("g%d: %d was acknowledged, %d is there", i, want, got)
		}
	}
}

// TestRewrite: a log that has grown is written anew and cut, while commits go on; a load finds everything, and less
// than was written.
func TestRewrite(t *testing.T) {
	x := newTool(t, 1)
	x.batch.Store(1 << 20)
	x.lead(0)
	ctx := t.Context()
	a := x.h.JoinGroup(ctx, join("members", "", "a"))
	x.h.SyncGroup(ctx, group.SyncRequest{Group: "members", Generation: 1, MemberID: a.MemberID, Assignments: []group.Assignment{
		{MemberID: a.MemberID, Bytes: []byte("A")},
	}})
	var clients sync.WaitGroup
	last := make([]int64, 8)
	for i := range last {
		clients.Go(func() {
			r := commit(fmt.Sprintf("g%d", i), "t", 0)
			r.Topics[0].Partitions[0].Metadata = strings.Repeat("m", 4000)
			for n := range int64(600) { // 19 MB in all
				r.Topics[0].Partitions[0].Offset = n
				if got := x.h.CommitOffsets(ctx, r); got.Err == group.None {
					last[i] = n
				}
			}
		})
	}
	clients.Wait()
	x.eventually("the log is cut", func() bool { return x.parts[0].State().LogStart > 0 })
	s := x.parts[0].State()
	x.parts[0].set(func(p *fakePartition) { p.epoch++ })
	x.lead(0)
	for i, want := range last {
		if got := x.offset(fmt.Sprintf("g%d", i), "t"); got != want || want != 599 {
			t.Errorf("g%d is at %d, want %d of 599", i, got, want)
		}
	}
	if d := x.h.DescribeGroup("members"); d.State != group.Stable || string(d.Members[0].Assignment) != "A" {
		t.Errorf("the group with members is %+v", d)
	}
	var loaded int
	x.h.Led()[0].do(func(time.Time) { loaded = x.h.Led()[0].state.LoadStats().Records })
	if all := int(s.End); loaded >= all-1000 {
		t.Errorf("loaded %d records of %d", loaded, all)
	}
}

// TestRewriteFails: the log start stays, and nothing is lost.
func TestRewriteFails(t *testing.T) {
	x := newTool(t, 1)
	x.lead(0)
	if r := x.h.CommitOffsets(t.Context(), commit("g", "t", 7)); r.Err != group.None {
		t.Fatal(r.Err)
	}
	s := x.h.Led()[0]
	p := x.parts[0]
	p.set(func(p *fakePartition) { p.manual = true })
	s.do(func(time.Time) { s.logBytes = compactBytesMin })
	s.poke()
	x.eventually("the rewrite is appended", func() bool { return p.State().End == 2 })
	p.fail(partition.ErrNotLeader)
	x.eventually("the rewrite is over", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.rewriting
	})
	if start := p.State().LogStart; start != 0 {
		t.Errorf("the log start moved to %d", start)
	}
	if got := x.offset("g", "t"); got != 7 {
		t.Errorf("the offset is %d", got)
	}
}

// A node that does not know yet which topics exist drops no offsets: a commit may reach it before the topic does.
func TestOffsetsStayUntilTopicsAreKnown(t *testing.T) {
	for current, want := range map[error]int64{nil: -1, errors.New("no leader"): 6} {
		x := newTool(t, 1)
		asked := 0
		x.h.opt.Current = func(context.Context) error { asked++; return current }
		x.parts[0].store(t, false, offsetRecord("g", "gone", 6))
		x.parts[0].commit()
		x.topics.Store("gone", true)
		x.lead(0)
		if got := x.offset("g", "gone"); got != want || asked != 1 {
			t.Errorf("asked %d times, answered %v: the offset is %d, want %d", asked, current, got, want)
		}
	}
}
