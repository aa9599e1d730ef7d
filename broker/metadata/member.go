package metadata

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"

	"chronik/broker/cluster"
	"chronik/internal/clock"
	"chronik/internal/vfs"
	"chronik/raftstore/multiraft"
	"chronik/segment"
	"chronik/wal"
)

// Errors of Propose.
var (
	ErrNotLeader = errors.New("this node does not lead the metadata")
	ErrClosed    = errors.New("metadata is closed")
	ErrTimeout   = errors.New("metadata change was not committed in time")
	ErrStorage   = errors.New("storage of the metadata has failed")
)

// Options say where the metadata lives, and what it runs on.
type Options struct {
	NodeID int32
	Dir    string
	FS     vfs.FS
	Syncer *wal.Syncer
	Raft   *multiraft.Host
	Clock  clock.Clock
	Rand   *rand.Rand // used while opening
	Logger *slog.Logger
}

// Member is this node's member of the metadata group. See the package comment.
type Member struct {
	opt   Options
	log   *wal.Log
	group *multiraft.Group

	mu       sync.RWMutex
	state    *cluster.State
	lead     bool
	seq      uint64
	queue    []byte
	waiting  map[uint64]chan applied
	failure  error
	noRoom   error         // the disk is full: changes are refused; nil: it is not
	changed  chan struct{} // capacity 1: there is something to reconcile
	leadWait chan struct{} // closed when this node begins to lead
}

type applied struct {
	res     cluster.Result
	version uint64
	err     error
}

// Open recovers the log and joins the group.
func Open(o Options) (*Member, error) {
	m := &Member{
		opt: o, state: cluster.New(), waiting: map[uint64]chan applied{},
		changed: make(chan struct{}, 1), leadWait: make(chan struct{}),
	}
	log, rec, err := wal.Open(wal.Options{
		FS: o.FS, Dir: o.Dir, Syncer: o.Syncer, Clock: o.Clock, Rand: o.Rand, Logger: o.Logger,
		SegmentBytes: func() int64 { return metadataSegmentBytes },
	})
	if err != nil {
		return nil, fmt.Errorf("open the metadata log: %w", err)
	}
	if rec.TornBytes > 0 {
		o.Logger.Warn("cut a torn tail", "log", "metadata", "bytes", rec.TornBytes)
	}
	m.log = log
	group, err := o.Raft.Add(multiraft.GroupOptions{
		ID: cluster.MetadataGroupID, Log: log, Voters: []uint64{uint64(o.NodeID)}, SM: (*machine)(m),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("join the metadata group: %w", err), log.Close())
	}
	m.mu.Lock()
	m.group = group
	m.mu.Unlock()
	return m, nil
}

const metadataSegmentBytes = 64 << 20

// Close leaves the group and closes the log. Proposals that wait fail with
// ErrClosed.
func (m *Member) Close() error {
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

// Leading reports whether this node leads, and so may propose.
func (m *Member) Leading() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.lead
}

// AwaitLeader waits until this node leads, with every command that was
// committed before applied.
func (m *Member) AwaitLeader(ctx context.Context) error {
	select {
	case <-m.leadWait:
		m.mu.RLock()
		defer m.mu.RUnlock()
		return m.failure
	case <-ctx.Done():
		return fmt.Errorf("no leader: %w", ctx.Err())
	}
}

// Propose has a command committed and applied, and returns its result and the
// metadata version that includes it.
func (m *Member) Propose(ctx context.Context, c cluster.Command) (cluster.Result, uint64, error) {
	m.mu.Lock()
	if m.failure != nil || m.noRoom != nil || !m.lead {
		err := m.failure
		if err == nil {
			err = m.noRoom
		}
		m.mu.Unlock()
		if err == nil {
			err = ErrNotLeader
		}
		return cluster.Result{}, 0, err
	}
	m.seq++
	seq, done := m.seq, make(chan applied, 1)
	m.waiting[seq] = done
	m.queue = cluster.Proposed{Node: m.opt.NodeID, Seq: seq, Command: c}.Append(m.queue)
	m.group.Wake()
	m.mu.Unlock()
	select {
	case a := <-done:
		return a.res, a.version, a.err
	case <-ctx.Done():
		m.mu.Lock()
		delete(m.waiting, seq)
		m.mu.Unlock()
		return cluster.Result{}, 0, fmt.Errorf("%w: %w", ErrTimeout, ctx.Err())
	}
}

func (m *Member) failLocked(err error) {
	if m.failure == nil {
		m.failure = err
	}
	m.lead = false
	m.dropLocked(err)
	m.signalLeadLocked()
}

func (m *Member) dropLocked(err error) {
	m.queue = nil
	for seq, done := range m.waiting {
		done <- applied{err: err}
		delete(m.waiting, seq)
	}
}

func (m *Member) signalLeadLocked() {
	select {
	case <-m.leadWait:
	default:
		close(m.leadWait)
	}
}

// machine is the metadata as its raft group sees it.
type machine Member

var _ multiraft.StateMachine = (*machine)(nil)

// Describe: commands take no offsets.
func (*machine) Describe([]byte) (segment.Offset, uint32, int64) { return 0, 0, -1 }

func (mm *machine) TakeProposal(segment.Term, int) []byte {
	m := (*Member)(mm)
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue
	m.queue = nil
	return q
}

func (*machine) Appended(segment.Index, segment.Offset, bool) {}

func (*machine) Durable(segment.Offset) {}

func (mm *machine) Committed(entries []segment.Entry) {
	m := (*Member)(mm)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure != nil { // an entry before these was not applied
		return
	}
	for i := range entries {
		e := &entries[i]
		for rest := e.Payload; len(rest) > 0; {
			p, tail, err := cluster.Decode(rest)
			if err != nil {
				m.opt.Logger.Error("metadata cannot be applied", "index", e.Index, "err", err)
				m.failLocked(fmt.Errorf("metadata entry %d: %w", e.Index, err))
				return
			}
			rest = tail
			m.applyLocked(p)
		}
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

func (m *Member) applyLocked(p cluster.Proposed) {
	res, err := m.state.Apply(p.Command)
	if done := m.waiting[p.Seq]; done != nil && p.Node == m.opt.NodeID {
		delete(m.waiting, p.Seq)
		done <- applied{res, m.state.Version(), err}
	}
}

func (mm *machine) RoleChanged(c multiraft.RoleChange) {
	m := (*Member)(mm)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lead = c.Role == multiraft.Leader && m.failure == nil
	if !m.lead {
		m.dropLocked(ErrNotLeader)
		return
	}
	m.signalLeadLocked()
}

// NoRoom refuses changes while the disk is full. Those that wait are told so;
// the ones that have been proposed may be made later.
func (mm *machine) NoRoom(err error) {
	m := (*Member)(mm)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noRoom = nil
	if err != nil {
		m.noRoom = fmt.Errorf("%w: %w", ErrStorage, err)
		m.dropLocked(m.noRoom)
	}
}

func (mm *machine) Failed(err error) {
	m := (*Member)(mm)
	m.opt.Logger.Error("metadata group has failed", "err", err)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failLocked(fmt.Errorf("%w: %w", ErrStorage, err))
}
