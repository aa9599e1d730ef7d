package metadata

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/metadata/calls"
	"chronik/internal/clock"
	"chronik/internal/vfs"
	"chronik/raftstore"
	"chronik/raftstore/multiraft"
	"chronik/wal"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// rig is several nodes in one process, each with a disk in memory, that reach
// each other through it.
type rig struct {
	t       *testing.T
	session time.Duration
	compact int // 0: as in production, like the next
	segment int64
	statics map[uint64]string

	mu    sync.Mutex
	nodes map[uint64]*rigNode // those that run
	cut   map[uint64]bool     // unreachable, though they run
}

type rigNode struct {
	r     *rig
	id    uint64
	addr  string
	self  cluster.Broker
	fs    *vfs.Mem
	known map[uint64]string // SetPeer; under r.mu
	die   chan struct{}
	// failing is how many of its proposals find a leader whose disk has failed.
	failing atomic.Int32

	hs     *raftstore.HardStates
	syncer *wal.Syncer
	host   *multiraft.Host
	m      *Member // under r.mu: nil until it is in the cluster
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, session: 2 * time.Second, nodes: map[uint64]*rigNode{}, cut: map[uint64]bool{}}
	t.Cleanup(func() {
		r.mu.Lock()
		nodes := r.nodes
		r.mu.Unlock()
		for _, n := range nodes {
			n.stop()
		}
	})
	return r
}

func testLog() *slog.Logger {
	if os.Getenv("CHRONIK_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// noErrors is a log in which an error fails the test: nodes that differ say so
// there.
type noErrors struct {
	slog.Handler
	t *testing.T
}

func (h noErrors) Enabled(context.Context, slog.Level) bool { return true }

func (h noErrors) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		h.t.Errorf("logged: %s", r.Message)
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

var errDown = errors.New("no such node")

// boot starts the process of a node, without its metadata.
func (r *rig) boot(id uint64, fs *vfs.Mem) *rigNode {
	r.t.Helper()
	n := &rigNode{r: r, id: id, addr: fmt.Sprintf("n%d:1", id), fs: fs, known: map[uint64]string{}, die: make(chan struct{})}
	n.self = cluster.Broker{ID: int32(id), Host: "h", Port: int32(id), RaftAddr: n.addr, Dir: [16]byte{byte(id), 1}}
	n.syncer = wal.NewSyncer(wal.SyncerOptions{})
	var err error
	if n.hs, _, err = raftstore.OpenHardStates(raftstore.HardStatesOptions{FS: fs, Dir: "hs"}); err != nil {
		r.t.Fatal(err)
	}
	n.host = multiraft.NewHost(multiraft.Options{NodeID: id, HardStates: n.hs, Transport: n, Logger: testLog(), Shards: 1, TickInterval: 20 * time.Millisecond})
	n.host.Start()
	n.enlist()
	return n
}

// enlist lets the others reach the node.
func (n *rigNode) enlist() {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	n.r.nodes[n.id] = n
}

func (n *rigNode) moveTo(addr string) {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	n.addr, n.self.RaftAddr = addr, addr
}

// open opens the node's metadata.
func (n *rigNode) open(joined *Joined) *Member {
	n.r.t.Helper()
	o := Options{Self: n.self, Dir: "metadata", FS: n.fs, Syncer: n.syncer, Raft: n.host, Clock: clock.Real, Logger: slog.New(noErrors{testLog().Handler(), n.r.t}),
		Rand: rand.New(rand.NewPCG(rand.Uint64(), 0)), Peers: n, Session: n.r.session, StaticPeers: n.r.statics, compactBytesMin: n.r.compact, segmentBytes: n.r.segment}
	if joined != nil {
		o.Voters, o.Learner = joined.Voters, true
	}
	m, err := Open(o)
	if err != nil {
		n.r.t.Fatal(err)
	}
	n.r.mu.Lock()
	n.m = m
	n.r.mu.Unlock()
	return m
}

// enter is what a broker does at its start.
func (n *rigNode) enter() *Member {
	n.r.t.Helper()
	ctx, cancel := testContext(n.r.t)
	defer cancel()
	n.m.Start()
	for _, step := range []func(context.Context) error{n.m.Await, n.m.Register} {
		if err := step(ctx); err != nil {
			n.r.t.Fatalf("node %d: %v", n.id, err)
		}
	}
	return n.m
}

// form starts node 1, which forms the cluster.
func (r *rig) form() *rigNode {
	n := r.boot(1, vfs.NewMem())
	n.open(nil)
	n.enter()
	return n
}

// join starts a node that joins by the given addresses.
func (r *rig) join(id uint64, addrs ...string) *rigNode {
	r.t.Helper()
	n := r.boot(id, vfs.NewMem())
	n.joinBy(addrs...)
	return n
}

func (n *rigNode) joinBy(addrs ...string) {
	ctx, cancel := testContext(n.r.t)
	defer cancel()
	joined, err := Join(ctx, JoinOptions{Self: n.self, Addrs: addrs, Peers: n, Clock: clock.Real, Logger: testLog()})
	if err != nil {
		n.r.t.Errorf("node %d: %v", n.id, err)
		return
	}
	n.open(&joined)
	n.enter()
}

func testContext(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), time.Minute)
}

func (n *rigNode) leave() {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	if n.r.nodes[n.id] == n {
		delete(n.r.nodes, n.id)
		close(n.die)
	}
}

func (n *rigNode) stop() {
	n.leave()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if n.m != nil {
		n.m.Close()
	}
	_ = n.host.Stop(ctx)
	n.syncer.Close()
	n.hs.Close()
}

// kill is a power cut: what was not synced may be lost.
func (n *rigNode) kill(seed uint64) *vfs.Mem {
	n.leave()
	image := n.fs.Crash(seed)
	n.stop()
	return image
}

// again starts a node over its disk.
func (r *rig) again(id uint64, fs *vfs.Mem) *rigNode {
	r.t.Helper()
	n := r.boot(id, fs)
	n.open(nil)
	return n
}

// reach is the node at an address, if from can reach it.
func (r *rig) reach(from uint64, addr string) *rigNode {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.nodes {
		if n.addr == addr && !r.cut[from] && !r.cut[n.id] && r.nodes[from] != nil {
			return n
		}
	}
	return nil
}

func (n *rigNode) where(id uint64) string {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	return n.known[id]
}

// SetPeer is of Peers, like the next two.
func (n *rigNode) SetPeer(id uint64, addrs ...string) {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	n.known[id] = addrs[0]
}

func (n *rigNode) Call(ctx context.Context, node uint64, method uint8, body []byte) ([]byte, error) {
	if method == calls.MethodPropose && n.failing.Load() > 0 {
		n.failing.Add(-1)
		return calls.ProposeAnswer{Code: calls.Storage, Text: "its disk has failed"}.Encode(), nil
	}
	_, b, err := n.CallAddr(ctx, n.where(node), method, body)
	return b, err
}

func (n *rigNode) CallAddr(ctx context.Context, addr string, method uint8, body []byte) (uint64, []byte, error) {
	to := n.r.reach(n.id, addr)
	if to == nil {
		return 0, nil, errDown
	}
	n.r.mu.Lock()
	m := to.m
	n.r.mu.Unlock()
	if m == nil {
		return to.id, nil, ErrNotInCluster
	}
	type answer struct {
		b   []byte
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		b, err := m.Serve(context.Background(), n.id, method, slices.Clone(body))
		if n.r.reach(to.id, n.addr) != nil {
			answers <- answer{b, err}
		}
	}()
	select {
	case a := <-answers:
		return to.id, a.b, a.err
	case <-to.die:
		return 0, nil, errDown
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	}
}

// Send is of multiraft.Transport.
func (n *rigNode) Send(group uint64, msgs []*pb.Message) {
	for _, m := range msgs {
		to := n.r.reach(n.id, n.where(m.GetTo()))
		if to == nil {
			continue
		}
		if err := to.host.Step(group, proto.Clone(m).(*pb.Message)); err != nil && !errors.Is(err, multiraft.ErrUnknownGroup) && !errors.Is(err, multiraft.ErrStopped) {
			n.r.t.Errorf("node %d refuses %s: %v", to.id, m.GetType(), err)
		}
	}
}

// until polls for what comes in the end.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(time.Minute); !cond(); <-poll.C {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting for: %s", what)
		}
	}
}

// leads waits for one of the members to lead, and returns it.
func leads(t *testing.T, among ...*rigNode) *rigNode {
	t.Helper()
	var found *rigNode
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range among {
				t.Logf("node %d: %+v, knows %v", n.id, n.m.Status(), n.known)
			}
		}
	})
	until(t, "a leader", func() bool {
		for _, n := range among {
			if n.m.Leading() {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

// voters waits until a node knows so many voters, and that they are enough.
func (n *rigNode) voters(count int) {
	n.r.t.Helper()
	until(n.r.t, fmt.Sprintf("%d voters", count), func() bool {
		s := n.m.Status()
		return len(s.Voters) == count && !s.Joint
	})
}
