package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chronik/broker/config"
	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/internal/vfs"
	"chronik/raftstore"
	"chronik/raftstore/multiraft"
	"chronik/wal"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// cluster is one partition on several nodes in this process: file systems in memory, a network that can be cut, and a
// clock that only moves while somebody waits (await), so that a slow machine makes nobody lose an election.
type cluster struct {
	t     *testing.T
	conf  atomic.Pointer[config.TopicConfig]
	clock *clock.Manual
	ahead atomic.Int64 // ns that the partitions' clocks are ahead of the groups'

	mu    sync.Mutex
	hosts map[uint64]*multiraft.Host // those that are up
	cut   map[[2]uint64]bool

	nodes []*replica
}

// replica is one node of a cluster.
type replica struct {
	c      *cluster
	id     uint64
	fs     *vfs.Mem
	syncer *wal.Syncer
	states *raftstore.HardStates
	host   *multiraft.Host
	*Partition
}

const groupID = 20

// aheadClock is a clock that is ahead: time has passed for a partition, and no heartbeat is overdue.
type aheadClock struct {
	clock.Clock
	by *atomic.Int64
}

func (a *aheadClock) Now() time.Time { return a.Clock.Now().Add(time.Duration(a.by.Load())) }

// newCluster starts n nodes, and waits for a leader, which is the first.
func newCluster(t *testing.T, n int, overrides map[string]string) *cluster {
	t.Helper()
	c := &cluster{t: t, clock: clock.NewManual(time.UnixMilli(1_700_000_000_000)), hosts: map[uint64]*multiraft.Host{}, cut: map[[2]uint64]bool{}}
	c.set(overrides)
	for id := range uint64(n) {
		c.nodes = append(c.nodes, &replica{c: c, id: id + 1, fs: vfs.NewMem()})
	}
	for _, r := range c.nodes {
		r.start()
	}
	t.Cleanup(func() {
		for _, r := range c.nodes {
			if r.host != nil {
				r.stop()
			}
		}
	})
	if l := c.leader(); l.id != 1 {
		t.Fatalf("node %d leads the new partition, not the candidate", l.id)
	}
	return c
}

// set gives the topic these settings.
func (c *cluster) set(overrides map[string]string) {
	c.t.Helper()
	c.conf.Store(settings(c.t, overrides))
}

func (r *replica) start() {
	r.c.t.Helper()
	var err error
	r.syncer = wal.NewSyncer(wal.SyncerOptions{})
	if r.states, _, err = raftstore.OpenHardStates(raftstore.HardStatesOptions{FS: r.fs, Dir: "hs"}); err != nil {
		r.c.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() && os.Getenv("RAFT_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", r.id)
	}
	r.host = multiraft.NewHost(multiraft.Options{
		NodeID: r.id, HardStates: r.states, Clock: r.c.clock, Logger: log, Shards: 2, Transport: r,
	})
	r.host.Start()
	r.c.mu.Lock()
	r.c.hosts[r.id] = r.host
	r.c.mu.Unlock()
	var voters []uint64
	for _, o := range r.c.nodes {
		voters = append(voters, o.id)
	}
	r.Partition, err = Open(Options{
		Topic: "t", Partition: 0, GroupID: groupID, Voters: voters, Candidate: r.id == 1, Dir: "p", FS: r.fs, Syncer: r.syncer, Host: r.host,
		Clock: &aheadClock{r.c.clock, &r.c.ahead}, Rand: rand.New(rand.NewPCG(1, 2)), Logger: log, Metrics: metrics.Discard(), Settings: r.c.conf.Load,
	}, nil)
	if err != nil {
		r.c.t.Fatal(err)
	}
}

// stop ends a node in good order.
func (r *replica) stop() {
	r.leave()
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // what is not committed may never be
	_ = r.host.Stop(ctx)
	if err := errors.Join(r.Close(), r.states.Close()); err != nil && !errors.Is(err, multiraft.ErrUnknownGroup) {
		r.c.t.Errorf("stop node %d: %v", r.id, err)
	}
	r.syncer.Close()
	r.host = nil
}

// kill cuts a node's power: what it had not made durable may be gone.
func (r *replica) kill(seed uint64) {
	r.leave()
	image := r.fs.Crash(seed)
	r.stop()
	r.fs = image
}

func (r *replica) leave() {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	delete(r.c.hosts, r.id)
}

// isolate cuts a node off from the others, or joins it to them again.
func (c *cluster) isolate(r *replica, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.nodes {
		c.cut[[2]uint64{r.id, o.id}], c.cut[[2]uint64{o.id, r.id}] = cut, cut
	}
}

// Send implements multiraft.Transport: messages pass through their encoding.
func (r *replica) Send(group uint64, msgs []*pb.Message) {
	for _, m := range msgs {
		r.c.mu.Lock()
		to := r.c.hosts[m.GetTo()]
		if r.c.hosts[r.id] == nil || r.c.cut[[2]uint64{r.id, m.GetTo()}] {
			to = nil
		}
		r.c.mu.Unlock()
		if to == nil {
			continue
		}
		b, err := proto.Marshal(m)
		if err != nil {
			panic(err)
		}
		sent := &pb.Message{}
		if err := proto.Unmarshal(b, sent); err != nil {
			panic(err)
		}
		if err := to.Step(group, sent); err != nil && !errors.Is(err, multiraft.ErrStopped) && !errors.Is(err, multiraft.ErrUnknownGroup) {
			r.c.t.Errorf("node %d refuses %s: %v", m.GetTo(), m.GetType(), err)
		}
	}
}

// await polls, and lets time pass between two looks.
func (c *cluster) await(what string, ok func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for i := 1; !ok(); i++ {
		if time.Now().After(deadline) {
			for _, r := range c.nodes {
				if r.host != nil {
					c.t.Logf("node %d: %+v %+v", r.id, r.State(), r.Status())
				}
			}
			c.t.Fatalf("gave up waiting for: %s", what)
		}
		if i%20 == 0 { // slow against what is to happen between two ticks, on a busy machine too
			c.clock.Advance(100 * time.Millisecond)
		}
		<-time.After(time.Millisecond)
	}
}

// leader is the node that leads in the newest epoch, once the nodes it can reach follow it.
func (c *cluster) leader() (l *replica) {
	c.t.Helper()
	c.await("a leader", func() bool {
		l = nil
		for _, r := range c.nodes {
			if r.host != nil && r.State().Leading && (l == nil || r.State().Epoch > l.State().Epoch) {
				l = r
			}
		}
		return l != nil
	})
	return l
}

// others are the nodes but one.
func (c *cluster) others(r *replica) (out []*replica) {
	for _, o := range c.nodes {
		if o != r {
			out = append(out, o)
		}
	}
	return out
}

// put appends a batch and waits for its result.
func (r *replica) put(acks Acks, s sequence, values ...string) (res Result, err error) {
	r.c.t.Helper()
	told := r.begin(acks, s, values...)
	var got *Result
	r.c.await(fmt.Sprintf("the result of %q", values), func() bool {
		got = told()
		return got != nil
	})
	return *got, got.Err
}

// begin appends a batch; what it returns is its result, or nil while there is none.
func (r *replica) begin(acksOf Acks, s sequence, values ...string) func() *Result {
	r.c.t.Helper()
	a := make(acks, 1)
	return a.of(r.Append(records(r.c.t, s, 100, values...), acksOf, -1, a, 7))
}

// of is the result that a is told, or err.
func (a acks) of(err error) func() *Result {
	if err != nil {
		return func() *Result { return &Result{Err: err} }
	}
	var res *Result
	return func() *Result {
		select {
		case got := <-a:
			res = &got.r
		default:
		}
		return res
	}
}

func (r *replica) mustPut(s sequence, values ...string) Result {
	r.c.t.Helper()
	res, err := r.put(AcksAll, s, values...)
	if err != nil {
		r.c.t.Fatalf("append %q at node %d: %v", values, r.id, err)
	}
	return res
}

// content is everything a replica has that is committed, as "offset=value".
func (r *replica) content() string {
	r.c.t.Helper()
	one := &rig{t: r.c.t, p: r.Partition}
	return one.readAs(Read{Offset: r.LogStart(), BytesMax: 1 << 30, AtLeastOne: true, Follower: true, CurrentEpoch: -1, LastEpoch: -1})
}

// same waits until all replicas that are up have all that the leader has, and are told so, and compares what they have
// and what they know of producers.
func (c *cluster) same() {
	c.t.Helper()
	var l *replica
	c.await("the same log everywhere", func() bool {
		l = c.leader()
		want := l.State()
		for _, r := range c.nodes {
			if r.host == nil {
				continue
			}
			s := r.State()
			r.mu.Lock()
			current := r.current
			r.mu.Unlock()
			if !current || s.End != want.End || s.HighWatermark != want.End || s.LogStart != want.LogStart || s.Epoch != want.Epoch {
				return false
			}
		}
		return l.State().Leading
	})
	content, table := l.content(), l.known()
	for _, r := range c.nodes {
		if r.host == nil || r == l {
			continue
		}
		if got := r.content(); got != content {
			c.t.Errorf("node %d has %q, the leader %d %q", r.id, got, l.id, content)
		}
		if got := r.known(); got != table {
			c.t.Errorf("node %d knows of producers %s, the leader %d %s", r.id, got, l.id, table)
		}
	}
}

// known is what a replica knows of producers and their transactions.
func (r *replica) known() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stableLocked() // which forgets those that have ended
	return r.ledger.Sequences.String() + r.ledger.Txns.String()
}

// transfer has another node lead.
func (c *cluster) transfer(to *replica) {
	c.t.Helper()
	c.await(fmt.Sprintf("node %d to lead", to.id), func() bool {
		if to.State().Leading {
			return true
		}
		for _, r := range c.nodes {
			if r.host != nil && r.State().Leading {
				_ = r.TransferLeadership(to.id) // it may be refused for now
			}
		}
		return false
	})
}
