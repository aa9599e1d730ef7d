package multiraft

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/raftstore"
	"chronik/raftstore/multiraft/hurry"
	"chronik/raftstore/multiraft/inbox"
	"chronik/raftstore/multiraft/raftmsg"
	"chronik/raftstore/multiraft/shards"
	"chronik/segment"
	"chronik/wal"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Host runs the raft groups of one node.
type Host struct {
	opt    Options
	shards []*shards.Shard
	logger raft.Logger
	wg     sync.WaitGroup
	nonce  uint64 // of this process, in its read requests

	mu              sync.RWMutex
	groups          map[uint64]*Group
	started         bool
	stopped         bool
	tickTimer       clock.Timer
	checkpointTimer clock.Timer

	held      *inbox.Budget
	snapshots atomic.Int32 // on their way to other nodes

	stopping atomic.Bool   // no new proposals
	inflight atomic.Int64  // proposals of all groups that are not applied
	drained  chan struct{} // told when inflight reaches 0 while stopping
}

// NewHost makes a host. Groups may be added before it is started.
func NewHost(o Options) *Host {
	o.setDefaults(runtime.GOMAXPROCS(0))
	h := &Host{opt: o, groups: map[uint64]*Group{}, drained: make(chan struct{}, 1), logger: raftmsg.Logger{Log: o.Logger}, held: inbox.NewBudget(o.HeldBytesMax)}
	for range o.Shards {
		h.shards = append(h.shards, shards.New(func() { o.HardStates.Checkpoint(nil) }))
	}
	var nonce [8]byte
	rand.Read(nonce[:])
	h.nonce = binary.LittleEndian.Uint64(nonce[:])
	return h
}

// Start starts the shards and the timers.
func (h *Host) Start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.started || h.stopped {
		return
	}
	h.started = true
	for _, s := range h.shards {
		h.wg.Go(s.Run)
	}
	h.tickTimer = h.opt.Clock.AfterFunc(h.opt.TickInterval, h.tick)
	h.checkpointTimer = h.opt.Clock.AfterFunc(h.opt.CheckpointInterval, h.checkpoint)
}

func (h *Host) tick() {
	for _, s := range h.shards {
		s.Tick()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopped && h.tickTimer != nil {
		h.tickTimer.Reset(h.opt.TickInterval)
	}
}

func (h *Host) checkpoint() {
	for _, s := range h.shards {
		s.Checkpoint()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopped && h.checkpointTimer != nil {
		h.checkpointTimer.Reset(h.opt.CheckpointInterval)
	}
}

// Add runs a group from now on. It waits for the disk when the group is new.
// A group whose files contradict each other is refused (raftstore.ErrLostData).
func (h *Host) Add(o GroupOptions) (*Group, error) {
	if o.ID == 0 || o.Log == nil || o.SM == nil {
		return nil, fmt.Errorf("multiraft: group %d: id, log and state machine are required", o.ID)
	}
	h.mu.RLock()
	err := h.mayAddLocked(o.ID)
	h.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	_, known := h.opt.HardStates.Load(o.ID)
	if member := slices.Contains(o.Voters, h.opt.NodeID); !known && member == o.Learner {
		return nil, fmt.Errorf("multiraft: group %d: node %d among voters %v: %v, learner: %v", o.ID, h.opt.NodeID, o.Voters, member, o.Learner)
	}
	g, err := h.newGroup(o)
	if err != nil {
		return nil, err
	}
	// With its lock held no message or wake reaches it before the state
	// machine has been told where it stands.
	g.mu.Lock()
	defer g.mu.Unlock()
	h.mu.Lock()
	if err := h.mayAddLocked(o.ID); err != nil {
		h.mu.Unlock()
		return nil, err
	}
	h.groups[o.ID] = g
	h.mu.Unlock()
	if o.SkipApplied {
		if err := g.tellCommitted(); err != nil {
			h.forget(o.ID)
			return nil, err
		}
	}
	if o.Candidate && g.term == 0 && g.log.LastIndex() == 0 {
		g.hurry = hurry.New(0, h.opt.ElectionTicks)
	}
	g.publish()
	if !g.sole {
		g.shard.SetTicking((*task)(g), true)
	}
	g.enqueue()
	return g, nil
}

func (h *Host) mayAddLocked(id uint64) error {
	if h.stopped {
		return ErrStopped
	}
	if h.groups[id] != nil {
		return fmt.Errorf("%w: %d", ErrExists, id)
	}
	return nil
}

func (h *Host) forget(id uint64) *Group {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.groups[id]
	delete(h.groups, id)
	return g
}

func (h *Host) newGroup(o GroupOptions) (g *Group, err error) {
	st := raftstore.NewStorage(o.Log, h.opt.HardStates, o.ID, o.SM.Describe)
	st.LimitSnapshots(func() bool { return h.snapshots.Load() < snapshotsMax })
	err = st.Load(raftstore.LoadOptions{NodeID: h.opt.NodeID, Voters: o.Voters, Applied: uint64(o.Applied), SkipApplied: o.SkipApplied})
	if err != nil {
		return nil, err
	}
	defer func() { // raft panics on a storage that contradicts itself
		if r := recover(); r != nil {
			err = fmt.Errorf("multiraft: group %d: %w", o.ID, errors.Join(st.Err(), fmt.Errorf("raft: %v", r)))
		}
	}()
	node, err := raft.NewRawNode(&raft.Config{
		ID:                        h.opt.NodeID,
		ElectionTick:              h.opt.ElectionTicks,
		HeartbeatTick:             h.opt.HeartbeatTicks,
		Storage:                   st,
		Applied:                   st.Applied(),
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             1 << 20,
		MaxCommittedSizePerReady:  4 << 20,
		MaxInflightMsgs:           256,
		MaxInflightBytes:          16 << 20,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		Logger:                    h.logger,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
	})
	if err != nil {
		return nil, fmt.Errorf("multiraft: group %d: %w", o.ID, err)
	}
	hs, _, _ := st.InitialState()
	g = &Group{
		id: o.ID, host: h, shard: h.shards[o.ID%uint64(len(h.shards))],
		node: node, store: st, log: o.Log, sm: o.SM, order: o.Voters,
		term: hs.GetTerm(), commit: hs.GetCommit(), sole: st.Alone(h.opt.NodeID),
	}
	g.writes.Init(g.enqueue, raftstore.DiskFull)
	g.guard = raftmsg.NewGuard(raftmsg.GuardOptions{Group: g.id, Order: o.Voters, Term: g.term, Last: uint64(g.log.LastIndex()), Clock: h.opt.Clock, Logger: h.opt.Logger, Metrics: &h.opt.Metrics.Raft})
	g.room.Init(g.id, h.opt.Clock, h.opt.Logger, g.enqueue)
	g.watcher, _ = o.SM.(ProgressWatcher)
	return g, nil
}

// tellCommitted hands the state machine the last record-bearing entry that is
// committed, without its payload.
func (g *Group) tellCommitted() error {
	next := g.log.NextOffset()
	if g.commit < uint64(g.log.LastIndex()) {
		if g.commit < uint64(g.log.FirstIndex()) {
			return nil // nothing committed is left
		}
		at, err := g.log.Entries(segment.Index(g.commit), segment.Index(g.commit+1), 1, nil)
		if err != nil {
			return fmt.Errorf("multiraft: group %d: %w", g.id, err)
		}
		next = at[0].Next()
	}
	if next <= g.log.StartOffset() {
		return nil // no record, or none any more
	}
	frames, ref, err := g.log.Read(next-1, next, 1, nil)
	if errors.Is(err, wal.ErrOffsetOutOfRange) {
		return nil // retention was faster
	}
	if err != nil {
		return fmt.Errorf("multiraft: group %d: %w", g.id, err)
	}
	defer ref.Release()
	for i := range frames {
		frames[i].Payload = nil
	}
	g.sm.Committed(frames)
	return nil
}

// Group returns a group that this host runs.
func (h *Host) Group(id uint64) (*Group, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	g := h.groups[id]
	return g, g != nil
}

// Remove stops a group; when it returns none of its callbacks runs, nor ever
// will. Its log and hard state stay as they are.
func (h *Host) Remove(id uint64) error {
	g := h.forget(id)
	if g == nil {
		return fmt.Errorf("%w: %d", ErrUnknownGroup, id)
	}
	g.shard.SetTicking((*task)(g), false)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.store.SaveCommit()
	}
	g.halt(ErrStopped)
	g.installs.Wait()
	return nil
}

// Forget drops the hard state of a group that has been removed and whose log
// is about to be deleted. The group's id must not be used again.
func (h *Host) Forget(id uint64) error {
	if _, running := h.Group(id); running {
		return fmt.Errorf("%w: %d", ErrExists, id)
	}
	h.opt.HardStates.Remove(id)
	return nil
}

// Step hands a group a message that came from another node. The message, and
// what it points to, belongs to the group.
func (h *Host) Step(group uint64, m *pb.Message) error {
	if err := raftmsg.Check(m, h.opt.NodeID); err != nil {
		h.opt.Metrics.Raft.MessageRefused(metrics.RefusedMalformed)
		return err
	}
	g, ok := h.Group(group)
	if !ok {
		return fmt.Errorf("%w: %d", ErrUnknownGroup, group)
	}
	return g.receive(m)
}

// Stop ends all groups: it proposes nothing new, waits until what has been
// proposed is applied or ctx is done, stops the shards, tells state machines
// that lead that they no longer do, and makes the commit indexes durable. Logs
// and hard states are the caller's to close.
func (h *Host) Stop(ctx context.Context) error {
	h.stopping.Store(true)
	var err error
	for h.inflight.Load() > 0 && err == nil {
		select {
		case <-h.drained:
		case <-ctx.Done():
			err = fmt.Errorf("multiraft: %d proposals were not applied in time: %w", h.inflight.Load(), ctx.Err())
		}
	}
	h.mu.Lock()
	if h.stopped {
		h.mu.Unlock()
		return ErrStopped
	}
	h.stopped = true
	groups := h.groups
	h.groups = map[uint64]*Group{}
	for _, t := range []clock.Timer{h.tickTimer, h.checkpointTimer} {
		if t != nil {
			t.Stop()
		}
	}
	h.mu.Unlock()
	for _, s := range h.shards {
		s.Stop()
	}
	h.wg.Wait()
	for _, g := range groups {
		g.stop()
	}
	synced := make(chan error, 1)
	h.opt.HardStates.Checkpoint(func(err error) { synced <- err })
	return errors.Join(err, <-synced)
}
