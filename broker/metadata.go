package broker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"chronik/broker/cluster"
	"chronik/raftstore/multiraft"
	"chronik/segment"
	"chronik/wal"
)

// metadata is the metadata raft group's member on this node: it proposes
// commands and applies those that are committed.
type metadata struct {
	opt   Options
	log   *wal.Log
	group *multiraft.Group

	mu       sync.RWMutex
	state    *cluster.State
	version  uint64 // commands applied
	lead     bool
	seq      uint64
	queue    []byte
	waiting  map[uint64]chan applied
	failure  error
	changed  chan struct{} // capacity 1: there is something to reconcile
	leadWait chan struct{} // closed when this node begins to lead
}

type applied struct {
	res     cluster.Result
	version uint64
	err     error
}

func metadataDir(o Options) string { return filepath.Join(o.DataDir, "metadata") }

func openMetadata(o Options) (*metadata, error) {
	m := &metadata{
		opt: o, state: cluster.New(), waiting: map[uint64]chan applied{},
		changed: make(chan struct{}, 1), leadWait: make(chan struct{}),
	}
	log, rec, err := wal.Open(wal.Options{
		FS: o.FS, Dir: metadataDir(o), Syncer: o.Syncer, Clock: o.Clock, Rand: o.Rand, Logger: o.Logger,
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
		ID: cluster.MetadataGroupID, Log: log, Voters: []uint64{uint64(o.NodeID)}, SM: (*metadataMachine)(m),
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

func (m *metadata) close() error {
	err := m.opt.Raft.Remove(cluster.MetadataGroupID)
	m.mu.Lock()
	m.failLocked(ErrShuttingDown)
	m.mu.Unlock()
	return errors.Join(err, m.log.Close())
}

// view runs f with the state, which f must not keep or change.
func (m *metadata) view(f func(s *cluster.State)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	f(m.state)
}

func (m *metadata) leading() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.lead
}

func (m *metadata) awaitLeader(ctx context.Context) error {
	select {
	case <-m.leadWait:
		m.mu.RLock()
		defer m.mu.RUnlock()
		return m.failure
	case <-ctx.Done():
		return fmt.Errorf("no leader: %w", ctx.Err())
	}
}

// propose has a command committed and applied, and returns its result and the
// metadata version that includes it.
func (m *metadata) propose(ctx context.Context, c cluster.Command) (cluster.Result, uint64, error) {
	m.mu.Lock()
	if m.failure != nil || !m.lead {
		err := m.failure
		m.mu.Unlock()
		if err == nil {
			err = ErrLeaderNotAvailable
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
		return cluster.Result{}, 0, fmt.Errorf("%w: %w", ErrRequestTimedOut, ctx.Err())
	}
}

func (m *metadata) failLocked(err error) {
	if m.failure == nil {
		m.failure = err
	}
	m.lead = false
	m.dropLocked(err)
	m.signalLeadLocked()
}

func (m *metadata) dropLocked(err error) {
	m.queue = nil
	for seq, done := range m.waiting {
		done <- applied{err: err}
		delete(m.waiting, seq)
	}
}

func (m *metadata) signalLeadLocked() {
	select {
	case <-m.leadWait:
	default:
		close(m.leadWait)
	}
}

// metadataMachine is the metadata as its raft group sees it.
type metadataMachine metadata

var _ multiraft.StateMachine = (*metadataMachine)(nil)

// Describe: commands take no offsets.
func (*metadataMachine) Describe([]byte) (segment.Offset, uint32, int64) { return 0, 0, -1 }

func (mm *metadataMachine) TakeProposal(segment.Term, int) []byte {
	m := (*metadata)(mm)
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue
	m.queue = nil
	return q
}

func (*metadataMachine) Appended(segment.Index, segment.Offset) {}

func (*metadataMachine) Durable(segment.Offset) {}

func (mm *metadataMachine) Committed(entries []segment.Entry) {
	m := (*metadata)(mm)
	m.mu.Lock()
	defer m.mu.Unlock()
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

func (m *metadata) applyLocked(p cluster.Proposed) {
	res, err := m.state.Apply(p.Command)
	m.version++
	if done := m.waiting[p.Seq]; done != nil && p.Node == m.opt.NodeID {
		delete(m.waiting, p.Seq)
		done <- applied{res, m.version, err}
	}
}

func (mm *metadataMachine) RoleChanged(c multiraft.RoleChange) {
	m := (*metadata)(mm)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lead = c.Role == multiraft.Leader && m.failure == nil
	if !m.lead {
		m.dropLocked(ErrLeaderNotAvailable)
		return
	}
	m.signalLeadLocked()
}

func (mm *metadataMachine) Failed(err error) {
	m := (*metadata)(mm)
	m.opt.Logger.Error("metadata group has failed", "err", err)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failLocked(fmt.Errorf("%w: %w", ErrStorage, err))
}
