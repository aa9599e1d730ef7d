package multiraft

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/internal/vfs"
	"chronik/raftstore"
	"chronik/raftstore/multiraft/shards"
	"chronik/segment"
	"chronik/wal"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0: a new one each time")

func random(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./raftstore/multiraft -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

var testMetrics = metrics.Discard()

// machine is a state machine of numbered values: offset i of the log holds one.
// A payload is base offset, count, and so many values of 8 bytes.
type machine struct {
	t     testing.TB
	name  string
	log   *wal.Log
	group *Group
	busy  atomic.Bool

	mu        sync.Mutex
	pending   []uint64
	leading   bool
	term      segment.Term
	leader    uint64
	end       segment.Offset // of what was taken
	appended  segment.Offset
	durable   segment.Offset
	committed segment.Offset
	values    []uint64                 // committed in this process, in order
	waiting   map[uint64]chan struct{} // value -> committed
	roles     []RoleChange
	failed    []error
	takes     int
	restored  int
	confirmed int          // reads
	oracle    *oracle      // nil: nobody compares
	dead      *atomic.Bool // of its node
	full      bool
	keepNone  bool // do not collect values (benchmarks)
}

func (m *machine) enter() func() {
	if !m.busy.CompareAndSwap(false, true) {
		m.t.Errorf("%s: two callbacks at once", m.name)
	}
	m.mu.Lock()
	if len(m.failed) > 0 {
		m.t.Errorf("%s: called after Failed", m.name)
	}
	return func() { m.mu.Unlock(); m.busy.Store(false) }
}

func (m *machine) Describe(p []byte) (segment.Offset, uint32, int64) {
	return segment.Offset(binary.LittleEndian.Uint64(p)), binary.LittleEndian.Uint32(p[8:]), -1
}

func (m *machine) TakeProposal(term segment.Term, bytesMax int) []byte {
	defer m.enter()()
	if !m.leading || term != m.term {
		m.t.Errorf("%s: asked for a proposal of term %d as %v of %d", m.name, term, m.leading, m.term)
	}
	n := min(len(m.pending), max(1, (bytesMax-12)/8))
	if len(m.pending) == 0 {
		return nil
	}
	m.takes++
	p := binary.LittleEndian.AppendUint64(make([]byte, 0, 12+8*n), uint64(m.end))
	p = binary.LittleEndian.AppendUint32(p, uint32(n))
	for _, v := range m.pending[:n] {
		p = binary.LittleEndian.AppendUint64(p, v)
	}
	m.pending = slices.Delete(m.pending, 0, n)
	m.end += segment.Offset(n)
	return p
}

func (m *machine) Appended(frames []segment.Entry, last segment.Index, next segment.Offset, replaced bool) {
	defer m.enter()()
	if !replaced && next < m.appended {
		m.t.Errorf("%s: log cut from %d to %d, and said to be extended", m.name, m.appended, next)
	}
	if term, err := m.log.Term(last); m.leading && (term != m.term || err != nil) {
		m.t.Errorf("%s: entry %d of term %d, %v, appended while leading term %d", m.name, last, term, err, m.term)
	}
	if next < m.committed {
		m.t.Errorf("%s: log cut to %d, committed %d", m.name, next, m.committed)
	}
	for i, f := range frames {
		if want := last - segment.Index(len(frames)-1-i); f.Index != want {
			m.t.Errorf("%s: frame %d, want %d", m.name, f.Index, want)
		}
	}
	if n := len(frames); n > 0 && frames[n-1].Next() != next {
		m.t.Errorf("%s: frames end at %d, the log at %d", m.name, frames[n-1].Next(), next)
	}
	m.appended = next
	m.durable = min(m.durable, next)
}

// Restored begins anew behind what a snapshot left out.
func (m *machine) Restored(first segment.Index) {
	defer m.enter()()
	if first != m.log.FirstIndex() {
		m.t.Errorf("%s: restored from %d, log from %d", m.name, first, m.log.FirstIndex())
	}
	m.restored++
	m.values, m.committed, m.appended, m.durable = nil, -1, 0, 0
}

func (m *machine) Durable(next segment.Offset) {
	defer m.enter()()
	if next > m.appended || next < m.durable {
		m.t.Errorf("%s: durable %d, then %d, appended %d", m.name, m.durable, next, m.appended)
	}
	m.durable = next
}

func (m *machine) Committed(entries []segment.Entry) {
	defer m.enter()()
	for _, e := range entries {
		if m.committed >= 0 && e.BaseOffset != m.committed || e.Count == 0 {
			m.t.Errorf("%s: committed %d+%d behind %d", m.name, e.BaseOffset, e.Count, m.committed)
		}
		m.committed = e.Next()
		if e.Payload == nil { // told where it stands, see GroupOptions.SkipApplied
			m.appended, m.durable = max(m.appended, e.Next()), max(m.durable, e.Next())
			continue
		}
		if m.committed > m.durable {
			m.t.Errorf("%s: committed %d, durable %d", m.name, m.committed, m.durable)
		}
		for p, off := e.Payload[12:], e.BaseOffset; len(p) >= 8; p, off = p[8:], off+1 {
			v := binary.LittleEndian.Uint64(p)
			if m.oracle != nil && !m.dead.Load() {
				if err := m.oracle.committed(off, v, m.waiting[v] != nil); err != nil {
					m.t.Errorf("%s: %v", m.name, err)
				}
			}
			if !m.keepNone {
				m.values = append(m.values, v)
			}
			if c := m.waiting[v]; c != nil {
				delete(m.waiting, v)
				close(c)
			}
		}
	}
}

func (m *machine) RoleChanged(c RoleChange) {
	defer m.enter()()
	if c.NextOffset != m.log.NextOffset() {
		m.t.Errorf("%s: %+v, log ends at %d", m.name, c, m.log.NextOffset())
	}
	m.roles = append(m.roles, c)
	if m.keepNone {
		m.roles = m.roles[len(m.roles)-1:]
	}
	m.leading, m.term, m.leader = c.Role == Leader, c.Term, c.Leader
	m.pending = nil
	m.end = c.NextOffset
	if m.leading && m.committed < 0 {
		m.committed = c.NextOffset
	}
}

func (m *machine) NoRoom(err error) {
	defer m.enter()()
	if (err != nil) == m.full {
		m.t.Errorf("%s: NoRoom(%v) for the second time", m.name, err)
	}
	m.full = err != nil
}

func (m *machine) Failed(err error) {
	defer m.enter()()
	m.failed = append(m.failed, err)
	m.leading, m.pending = false, nil
}

// proposeConf proposes a change of members and waits for nothing.
func (g *Group) proposeConf(cc pb.ConfChangeI) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.enqueue()
	return g.node.ProposeConfChange(cc)
}

// propose hands over a value if the machine leads.
func (m *machine) propose(v uint64) (committed <-chan struct{}, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.leading {
		return nil, false
	}
	c := make(chan struct{})
	m.waiting[v] = c
	m.pending = append(m.pending, v)
	m.group.Wake()
	return c, true
}

func (m *machine) snapshot() (leading bool, term segment.Term, values []uint64, failed []error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leading, m.term, slices.Clone(m.values), slices.Clone(m.failed)
}

// node is one node on a disk of its own.
type node struct {
	t      testing.TB
	id     uint64
	disk   *vfs.Mem
	fs     vfs.FS
	clock  *clock.Manual
	hs     *raftstore.HardStates
	syncer *wal.Syncer
	host   *Host
	logs   map[uint64]*wal.Log
	sms    map[uint64]*machine

	transport Transport // of a test that plays the peers
	net       *network
	oracle    *oracle       // of its machines
	gone      chan struct{} // closed when the host stops
	dead      atomic.Bool   // the power is off: what it does from now on nobody sees
}

func startNode(t testing.TB, id uint64, disk *vfs.Mem, net *network) *node {
	t.Helper()
	n := newNode(t, id, disk)
	n.start(net, nil)
	return n
}

func newNode(t testing.TB, id uint64, disk *vfs.Mem) *node {
	return &node{t: t, id: id, disk: disk, fs: disk, clock: clock.NewManual(time.Unix(0, 0)), logs: map[uint64]*wal.Log{}, sms: map[uint64]*machine{}, gone: make(chan struct{})}
}

func (n *node) start(net *network, rule func(vfs.Op, string) error) {
	n.t.Helper()
	if rule != nil {
		n.fs = vfs.NewFaulty(n.disk, rule)
	}
	var err error
	n.hs, _, err = raftstore.OpenHardStates(raftstore.HardStatesOptions{FS: n.fs, Dir: "hs", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		n.t.Fatal(err)
	}
	n.syncer = wal.NewSyncer(wal.SyncerOptions{})
	o := Options{NodeID: n.id, HardStates: n.hs, Clock: n.clock, Shards: 2, Metrics: testMetrics}
	if testing.Verbose() && os.Getenv("RAFT_LOG") != "" {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", n.id)
	}
	o.Transport = n.transport
	if net != nil {
		o.Transport = &endpoint{net: net, from: n.id, dead: &n.dead}
	}
	n.host = NewHost(o)
	n.host.Start()
	if n.net = net; net != nil {
		net.join(n)
	}
}

// add opens a group's log and runs it.
func (n *node) add(id uint64, voters ...uint64) *machine {
	n.t.Helper()
	m, err := n.tryAdd(GroupOptions{ID: id, Voters: voters, SkipApplied: true, Learner: !slices.Contains(voters, n.id)})
	if err != nil {
		n.t.Fatalf("node %d: add group %d: %v", n.id, id, err)
	}
	return m
}

func (n *node) tryAdd(o GroupOptions) (*machine, error) {
	if n.logs[o.ID] == nil {
		log, _, err := wal.Open(wal.Options{FS: n.fs, Dir: fmt.Sprintf("g%d", o.ID), Syncer: n.syncer,
			SegmentBytes: func() int64 { return 64 << 10 }})
		if err != nil {
			return nil, err
		}
		n.logs[o.ID] = log
	}
	m := &machine{t: n.t, name: fmt.Sprintf("node %d group %d", n.id, o.ID), log: n.logs[o.ID], oracle: n.oracle, dead: &n.dead, waiting: map[uint64]chan struct{}{}}
	if !o.SkipApplied {
		m.committed = m.log.StartOffset()
		m.durable, m.appended = m.log.NextOffset(), m.log.NextOffset()
	} else if m.log.NextOffset() > 0 {
		m.committed = -1 // not told yet
		m.durable, m.appended = m.log.NextOffset(), m.log.NextOffset()
	}
	o.Log, o.SM = m.log, m
	m.mu.Lock() // no callback before the group is known
	m.group = &Group{shard: shards.New(nil)}
	m.mu.Unlock()
	g, err := n.host.Add(o)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.group = g
	m.mu.Unlock()
	n.sms[o.ID] = m
	return m, nil
}

// stop ends the node in good order.
func (n *node) stop() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	close(n.gone)
	if err := n.host.Stop(ctx); err != nil {
		n.t.Fatalf("node %d: stop: %v", n.id, err)
	}
	n.close()
}

func (n *node) close() {
	n.t.Helper()
	for id, log := range n.logs {
		if err := log.Close(); err != nil && !errors.Is(err, wal.ErrPoisoned) {
			n.t.Errorf("node %d: close log %d: %v", n.id, id, err)
		}
	}
	n.syncer.Close()
	if err := n.hs.Close(); err != nil {
		n.t.Errorf("node %d: close hard states: %v", n.id, err)
	}
}

// powerCut gives the disk as a power cut now would leave it. The node runs on,
// out of everyone's sight, until it is halted.
func (n *node) powerCut(seed uint64) *vfs.Mem {
	n.dead.Store(true) // first: what was said until now is in the image
	image := n.disk.Crash(seed)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	close(n.gone)
	_ = n.host.Stop(ctx) // the image is taken: what it still writes goes nowhere
	n.close()
	return image
}

// network delivers messages between nodes at once, unless the link is cut.
// They pass through their encoding, as on a real one.
type network struct {
	mu    sync.Mutex
	nodes map[uint64]*node
	cut   map[[2]uint64]bool
	drop  func() bool     // loses a message; nil: none
	late  func(n int) int // n are kept: which one to deliver now, n: keep this one too, -1: none; nil: none
	kept  []func()
	sent  atomic.Int64
}

func newNetwork() *network {
	return &network{nodes: map[uint64]*node{}, cut: map[[2]uint64]bool{}}
}

func (n *network) join(node *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes[node.id] = node
}

// isolate cuts a node off, or heals it.
func (n *network) isolate(id uint64, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for other := range uint64(10) {
		n.cut[[2]uint64{id, other}], n.cut[[2]uint64{other, id}] = cut, cut
	}
}

type endpoint struct {
	net  *network
	from uint64
	dead *atomic.Bool
}

func (e *endpoint) Send(group uint64, msgs []*pb.Message) {
	for _, m := range msgs {
		e.net.mu.Lock()
		to := e.net.nodes[m.GetTo()]
		if to == nil || e.dead.Load() || e.net.cut[[2]uint64{e.from, m.GetTo()}] || e.net.nodes[e.from] == nil || (e.net.drop != nil && e.net.drop()) {
			to = nil
		}
		e.net.mu.Unlock()
		if to == nil {
			continue
		}
		b, err := proto.Marshal(m)
		if err != nil {
			panic(err)
		}
		c := &pb.Message{}
		if err := proto.Unmarshal(b, c); err != nil {
			panic(err)
		}
		e.net.sent.Add(1)
		deliver := func() {
			if err := to.host.Step(group, c); err != nil && !errors.Is(err, ErrStopped) && !errors.Is(err, ErrUnknownGroup) {
				to.t.Errorf("node %d refuses %s: %v", m.GetTo(), m.GetType(), err)
			}
		}
		if deliver = e.net.shuffle(deliver); deliver != nil {
			deliver()
		}
	}
}

// shuffle keeps a message for later, or has another one come with it.
func (n *network) shuffle(deliver func()) func() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.late == nil {
		return deliver
	}
	switch i := n.late(len(n.kept)); {
	case i == len(n.kept):
		n.kept = append(n.kept, deliver)
		return nil
	case i >= 0:
		other := n.kept[i]
		n.kept = slices.Delete(n.kept, i, i+1)
		return func() { deliver(); other() }
	}
	return deliver
}

// until polls, with a tick of the given nodes between two looks.
func until(t testing.TB, what string, nodes []*node, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting for: %s", what)
		}
		tick(nodes)
		time.Sleep(time.Millisecond)
	}
}

// tick lets 100 ms pass on the given nodes, and heartbeats go round, however
// slow the machine is.
func tick(nodes []*node) {
	for _, n := range nodes {
		n.clock.Advance(100 * time.Millisecond)
	}
	settle(nodes)
}

// settle lets messages go round among nodes.
func settle(nodes []*node) {
	if len(nodes) == 0 {
		return
	}
	if net := nodes[0].net; net != nil {
		net.mu.Lock()
		nodes = slices.Collect(maps.Values(net.nodes))
		net.mu.Unlock()
	}
	for range 3 { // the tick, the followers' answers, the leader's look at them
		for _, n := range nodes {
			for _, s := range n.host.shards {
				b := make(barrier)
				s.Push(b)
				select {
				case <-b:
				case <-n.gone:
				}
			}
		}
	}
}

// barrier is a task that says when its turn has come.
type barrier chan struct{}

func (b barrier) Run()            { close(b) }
func (barrier) Tick()             {}
func (barrier) Peer(shards.Event) {}
func (barrier) Checkpoint()       {}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
