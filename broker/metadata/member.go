package metadata

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/metadata/calls"
	"chronik/internal/clock"
	"chronik/internal/vfs"
	"chronik/raftstore/multiraft"
	"chronik/segment"
	"chronik/wal"
)

// Errors of Propose and Await.
var (
	ErrNotLeader = calls.ErrNotLeader
	ErrStorage   = calls.ErrStorage
	ErrTimeout   = calls.ErrTimeout
	ErrClosed    = errors.New("metadata is closed")
)

// What a node needs to join a cluster, and to reach the others.
type (
	Peers       = calls.Peers
	JoinOptions = calls.JoinOptions
	Joined      = calls.Joined
)

// Join asks nodes in turn to be let into their cluster (calls.Join).
func Join(ctx context.Context, o JoinOptions) (Joined, error) { return calls.Join(ctx, o) }

// Options say where the metadata lives, and what it runs on.
type Options struct {
	Self   cluster.Broker // what Register registers; its ID is this node's
	Dir    string
	FS     vfs.FS
	Syncer *wal.Syncer
	Raft   *multiraft.Host
	Clock  clock.Clock
	Rand   *rand.Rand // used while opening; default: seeded by the clock
	Logger *slog.Logger

	// Voters are the group's members before its first entry: the node that
	// formed the cluster (Joined.Voters). Default: this node. Of no account once
	// the group has been opened.
	Voters  []uint64
	Learner bool          // this node has just joined: it waits for the log
	Peers   Peers         // nil: there are no other nodes
	Session time.Duration // without a sign of life for so long a broker is fenced; default 6 s
	// StaticPeers are addresses that are tried before the registered ones.
	StaticPeers map[uint64]string
	Gone        func(node uint64) bool // whether a node is known not to run; nil: none is

	compactBytesMin int   // bytes of commands before an image, at least
	segmentBytes    int64 // of the log
}

const (
	sessionDefault = 6 * time.Second
	segmentBytes   = 8 << 20
)

// Member is this node's member of the metadata group. See the package comment.
type Member struct {
	opt  Options
	self int32
	life uint64 // upper half of every sequence number of this process
	log  *wal.Log

	mu      sync.RWMutex
	group   *multiraft.Group // set once
	state   *cluster.State
	applied segment.Index // entries up to here are in state, or in an image it came from
	gap     bool          // entries are missing: the next image fills it
	jumps   int           // how often one has
	peers   uint64        // version of the state whose brokers Peers knows

	lead    bool
	leader  int32 // -1 unknown
	term    segment.Term
	failure error
	noRoom  error         // the disk is full: changes are refused; nil: it is not
	turn    chan struct{} // closed and replaced when one of these five changes

	seq      uint64
	queue    [][]byte // commands that wait to be proposed
	inflight int      // payloads taken in this term that are not applied
	waiting  map[calls.Mark]chan applied
	admitted calls.Admissions
	duty     duty
	compact  compaction

	changed  chan struct{} // capacity 1: there is something to reconcile
	progress chan struct{} // closed and replaced when commands have been applied
}

type applied struct {
	res     cluster.Result
	version uint64
	err     error
}

// Open recovers the log and joins the group.
func Open(o Options) (*Member, error) {
	o.setDefaults()
	m := &Member{
		opt: o, self: o.Self.ID, life: uint64(o.Rand.Uint32()) << 32, state: cluster.New(), leader: -1, waiting: map[calls.Mark]chan applied{},
		admitted: calls.Admissions{}, turn: make(chan struct{}), changed: make(chan struct{}, 1), progress: make(chan struct{}),
	}
	log, rec, err := wal.Open(wal.Options{
		FS: o.FS, Dir: o.Dir, Syncer: o.Syncer, Clock: o.Clock, Rand: o.Rand, Logger: o.Logger,
		SegmentBytes: func() int64 { return o.segmentBytes },
	})
	if err != nil {
		return nil, fmt.Errorf("open the metadata log: %w", err)
	}
	if rec.TornBytes > 0 {
		o.Logger.Warn("cut a torn tail", "log", "metadata", "bytes", rec.TornBytes)
	}
	m.log = log
	m.duty.init()
	m.applied = log.FirstIndex() - 1
	m.gap = m.applied > 0
	m.setPeers(nil)
	group, err := o.Raft.Add(multiraft.GroupOptions{
		ID: cluster.MetadataGroupID, Log: log, Voters: o.Voters, Learner: o.Learner, SM: (*machine)(m), Applied: m.applied,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("join the metadata group: %w", err), log.Close())
	}
	m.mu.Lock()
	m.group = group
	m.mu.Unlock()
	group.Wake() // for what RoleChanged or Committed may have had to propose before
	return m, nil
}

func (o *Options) setDefaults() {
	if o.Rand == nil {
		o.Rand = rand.New(rand.NewPCG(uint64(o.Clock.Now().UnixNano()), uint64(o.Self.ID)))
	}
	if o.Gone == nil {
		o.Gone = func(uint64) bool { return false }
	}
	if o.Session == 0 {
		o.Session = sessionDefault
	}
	if o.compactBytesMin == 0 {
		o.compactBytesMin = compactBytesMin
	}
	if o.segmentBytes == 0 {
		o.segmentBytes = segmentBytes
	}
	if len(o.Voters) == 0 {
		o.Voters = []uint64{uint64(o.Self.ID)}
	}
}

// Close leaves the group and closes the log. Proposals that wait fail with
// ErrClosed.
func (m *Member) Close() error {
	m.stop()
	err := m.opt.Raft.Remove(cluster.MetadataGroupID)
	m.mu.Lock()
	m.failLocked(ErrClosed)
	m.mu.Unlock()
	return errors.Join(err, m.log.Close())
}

// View runs f with the state, which f must not keep or change.
func (m *Member) View(f func(s *cluster.State)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	f(m.state)
}

// Changed receives after commands have been applied; many may be one receive.
func (m *Member) Changed() <-chan struct{} { return m.changed }

// Leading reports whether this node leads.
func (m *Member) Leading() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.lead
}

// Leader is the broker that leads the metadata, as far as this node knows.
func (m *Member) Leader() (id int32, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.leader, m.leader >= 0
}

// Status is the state of the raft group.
func (m *Member) Status() multiraft.Status { return m.group.Status() }

// Register tells the cluster that this broker is there, with its addresses of
// today, and names the cluster if it has no name yet.
func (m *Member) Register(ctx context.Context) error {
	named := false
	m.View(func(s *cluster.State) { named = s.ClusterID() != "" })
	if !named {
		id := cluster.EncodeID(cluster.NewID(m.opt.Rand))
		if err := m.insist(ctx, &cluster.SetClusterID{ID: id}); err != nil && !errors.Is(err, cluster.ErrClusterID) {
			return err
		}
	}
	return m.insist(ctx, cluster.Register(m.opt.Self))
}

// insist proposes again when it was the leader whose disk has failed: another
// node will lead. A disk of this node's is the caller's matter.
func (m *Member) insist(ctx context.Context, c cluster.Command) error {
	for {
		_, _, err := m.Propose(ctx, c)
		if remote := (*calls.RemoteError)(nil); !errors.As(err, &remote) || !errors.Is(err, ErrStorage) {
			return err
		}
		if err := calls.Pause(ctx, m.opt.Clock, nil, retryPause); err != nil {
			return err
		}
	}
}

// setPeers tells Peers where the brokers are.
func (m *Member) setPeers(brokers []cluster.Broker) {
	if m.opt.Peers == nil {
		return
	}
	set := func(id uint64, addrs ...string) {
		if id != uint64(m.self) {
			m.opt.Peers.SetPeer(id, addrs...)
		}
	}
	if brokers == nil {
		for id, addr := range m.opt.StaticPeers {
			set(id, addr)
		}
	}
	for _, b := range brokers {
		static, addrs := m.opt.StaticPeers[uint64(b.ID)], []string(nil)
		if static != "" {
			addrs = append(addrs, static)
		}
		if b.RaftAddr != "" && b.RaftAddr != static {
			addrs = append(addrs, b.RaftAddr)
		}
		if len(addrs) > 0 {
			set(uint64(b.ID), addrs...)
		}
	}
}
