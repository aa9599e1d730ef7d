package multiraft

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"chronik/raftstore"
	"chronik/raftstore/multiraft/hurry"
	"chronik/raftstore/multiraft/inbox"
	"chronik/raftstore/multiraft/peers"
	"chronik/raftstore/multiraft/raftmsg"
	"chronik/raftstore/multiraft/reads"
	"chronik/raftstore/multiraft/shards"
	"chronik/raftstore/multiraft/writes"
	"chronik/segment"
	"chronik/wal"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Group is one raft group on this node.
//
// Its state is guarded by mu, which the shard holds while it runs the group;
// what other goroutines bring (messages, finished writes, wakes) is left in the
// inbox, so that nobody waits for a group that writes.
type Group struct {
	id    uint64
	host  *Host
	shard *shards.Shard

	queued atomic.Bool // stands in the shard's ready queue
	wake   atomic.Bool // the state machine may have something to propose

	inbox inbox.Inbox // from peers

	inMu         sync.Mutex
	settledStill bool // what the group stands still for is durable, or failed to be
	stillErr     error

	mu    sync.Mutex
	node  *raft.RawNode
	store *raftstore.Storage
	log   *wal.Log
	sm    StateMachine
	err   error    // not nil: the group does nothing any more
	sole  bool     // this node is the only member
	order []uint64 // GroupOptions.Voters

	role     raft.StateType // as of the latest Ready, like the next three
	term     uint64
	lead     uint64
	commit   uint64
	serving  bool // leader, and an entry of its term has been applied
	reported RoleChange

	writes     writes.Queue
	held       int // see hold
	room       roomWait
	proposals  []proposal // of this term, not applied, oldest first
	proposed   int        // bytes of them
	unproposed []byte     // taken, but raft would not have it yet
	detached   []byte     // payload of the entry just proposed without it, see attach

	still       *still         // not nil: the group waits for the disk
	installs    sync.WaitGroup // of snapshots, beside the shard
	campaigned  time.Time      // start of the election this node stands in
	dirty       bool           // on the shard's list for the next checkpoint
	unsavedSize int            // bytes applied since the commit index was recorded
	frames      []segment.Entry

	hurry    hurry.Wish
	guard    raftmsg.Guard
	reads    reads.Rounds
	peers    peers.Table
	handoffs peers.Handoffs
	watcher  ProgressWatcher // the state machine, if it is one
	watched  []Replica
	change   *change // of members, that somebody waits for

	pubMu sync.Mutex
	pub   Status
}

type proposal struct {
	bytes int
	at    time.Time
}

// ID is the group's id.
func (g *Group) ID() uint64 { return g.id }

// Wake says that the state machine has something to propose. It is cheap,
// never blocks, and may be called under the state machine's lock.
func (g *Group) Wake() {
	g.wake.Store(true)
	g.enqueue()
}

func (g *Group) enqueue() {
	if g.queued.CompareAndSwap(false, true) {
		g.shard.Push((*task)(g))
	}
}

// Status is the group as of its latest step.
func (g *Group) Status() Status {
	g.pubMu.Lock()
	s := g.pub
	g.pubMu.Unlock()
	if s.Err == nil {
		s.FirstIndex, s.LastIndex = g.log.FirstIndex(), g.log.LastIndex()
	}
	return s
}

func (g *Group) receive(m *pb.Message) error {
	if !g.inbox.Put(m, g.host.held) {
		return ErrOverloaded
	}
	g.enqueue()
	return nil
}

// hold counts bytes that this group has in memory until they are durable, in
// addition to those in the inbox; negative: they are.
func (g *Group) hold(bytes int) {
	g.held += bytes
	g.host.held.Add(bytes)
}

// task is a group as its shard runs it.
type task Group

var _ shards.Task = (*task)(nil)

// Run implements shards.Task.
func (t *task) Run() {
	g := (*Group)(t)
	g.queued.Store(false) // before it looks: what comes now queues it again
	g.mu.Lock()
	defer g.mu.Unlock()
	g.run()
}

// Tick implements shards.Task.
func (t *task) Tick() {
	g := (*Group)(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil || g.still != nil {
		return
	}
	defer g.rescue()
	g.node.Tick()
	g.guard.Tick()
	g.reads.Tick(g.host.opt.ElectionTicks, ErrNoLeader)
	g.tickPeers()
	g.tickHandoffs()
	if g.hasten() || g.node.HasReady() {
		g.run()
	}
}

// run does everything there is to do.
func (g *Group) run() {
	if g.err != nil {
		g.refuse()
		return
	}
	defer g.publish()
	defer g.rescue()
	g.reportRole()
	g.tryAgain()
	for g.err == nil && g.goOn() {
		g.stepInbox()
		g.finishWrites()
		if g.err != nil {
			return
		}
		g.lookForRoom()
		g.campaign()
		g.proposeChange()
		g.propose()
		g.read()
		if !g.node.HasReady() {
			return
		}
		rd := g.node.Ready()
		if err := g.store.Err(); err != nil {
			g.fail(err)
			return
		}
		g.handle(&rd)
	}
}

// rescue turns a panic, of raft's, the state machine's or ours, into the end
// of this group. If reading the log failed inside of raft, that is the cause.
func (g *Group) rescue() {
	if r := recover(); r != nil {
		err := g.store.Err()
		if err == nil {
			err = fmt.Errorf("multiraft: group %d: %v", g.id, r)
			g.host.opt.Logger.Error("group poisoned by a panic", "group", g.id, "panic", r, "stack", string(debug.Stack()))
		}
		g.fail(err)
	}
}

// fail stops the group for good and tells the state machine.
func (g *Group) fail(err error) {
	if g.err != nil {
		return
	}
	g.host.opt.Logger.Error("group has failed", "group", g.id, "err", err)
	switch m := &g.host.opt.Metrics.Storage; {
	case errors.Is(err, wal.ErrPoisoned):
		m.FlushFailed()
	case errors.Is(err, segment.ErrCorrupt):
		m.CorruptRange()
	}
	g.halt(fmt.Errorf("%w: %w", ErrFailed, err))
	g.sm.Failed(err)
}

// halt makes the group do nothing from now on.
func (g *Group) halt(err error) {
	if g.err == nil || errors.Is(err, ErrStopped) {
		g.err = err
	}
	g.dropProposals()
	g.noMoreRoom()
	g.writes.Clear()
	g.inbox.Take(g.host.held)
	g.hold(-g.held)
	g.still = nil
	g.refuse()
	g.publish()
}

// refuse ends what waits in a group that has stopped.
func (g *Group) refuse() {
	g.dropHandoffs()
	g.reads.Close(g.err)
	g.endChange(g.err)
}

// stop is halt for a group of a host that stops.
func (g *Group) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return
	}
	g.store.SaveCommit()
	if g.reported.Role == Leader {
		g.report(RoleChange{Role: Follower, Term: segment.Term(g.term)})
	}
	g.halt(ErrStopped)
}

// Checkpoint implements shards.Task.
func (t *task) Checkpoint() {
	g := (*Group)(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dirty = false
	if g.err == nil {
		g.unsavedSize = 0
		g.store.SaveCommit()
	}
}

func (g *Group) publish() {
	s := Status{Role: g.reported.Role, Term: g.reported.Term, Leader: g.reported.Leader, Commit: segment.Index(g.commit),
		Applied: segment.Index(g.store.Applied()), Voters: g.store.Conf().GetVoters(), Learners: g.store.Conf().GetLearners(),
		Joint: len(g.store.Conf().GetVotersOutgoing()) > 0, NoRoom: g.room.Err(), Err: g.err}
	if g.err != nil {
		s.Role, s.Leader = Follower, 0
	}
	g.pubMu.Lock()
	s.FirstIndex, s.LastIndex = g.pub.FirstIndex, g.pub.LastIndex
	g.pub = s
	g.pubMu.Unlock()
}

func (g *Group) stepInbox() {
	msgs := g.inbox.Take(g.host.held)
	if len(msgs) == 0 {
		return
	}
	now := g.host.opt.Clock.Now()
	for _, m := range msgs {
		if g.guard.Refuses(m, g.node, g.store.Conf()) {
			continue
		}
		if g.role == raft.StateLeader && m.GetTerm() == g.term {
			g.peers.Heard(m.GetFrom(), now, m.GetType() == pb.MsgAppResp)
		}
		g.step(m)
	}
	g.tellProgress()
}

// step hands raft a message. What raft refuses it may refuse: a response of a
// node that is no member (any more), and proposals, which are not stepped here.
func (g *Group) step(m *pb.Message) {
	if m.GetType() == pb.MsgReadIndex && g.node.BasicStatus().RaftState != raft.StateLeader {
		return // raft would pass it on in the asker's name, to the asker perhaps
	}
	if err := g.node.Step(m); err != nil && !errors.Is(err, raft.ErrStepPeerNotFound) && !errors.Is(err, raft.ErrProposalDropped) {
		panic(fmt.Sprintf("BUG: raft refuses %s: %v", m.GetType(), err))
	}
}

// campaign makes a member campaign that is to (see hurry), and the only member
// lead: at the start, once what is committed has been applied (raft refuses
// while a change of members may be in it), and when the others have left.
func (g *Group) campaign() {
	if g.hurry.Take() {
		if err := g.node.Campaign(); err != nil {
			panic(fmt.Sprintf("BUG: campaign: %v", err))
		}
	}
	if g.sole && g.role == raft.StateFollower && g.store.Applied() >= g.commit {
		if err := g.node.Campaign(); err != nil {
			panic(fmt.Sprintf("BUG: campaign: %v", err))
		}
	}
}

// propose takes what waits in the state machine, as long as few of the group's
// appends wait for the disk: what arrives meanwhile rides together.
func (g *Group) propose() {
	o := &g.host.opt
	if !g.serving || g.room.Err() != nil || (g.change != nil && g.change.proposed && g.change.index == 0) || g.proposed >= o.InflightBytesMax || g.writes.Unsynced() >= o.InflightSyncsMax || (g.unproposed == nil && !g.wake.Load()) {
		return
	}
	proposed := false
	g.host.inflight.Add(1) // before the look at stopping: Stop waits for what it cannot prevent
	defer func() {
		if !proposed {
			g.host.settled(1)
		}
	}()
	if g.host.stopping.Load() {
		return
	}
	payload := g.unproposed
	if payload == nil {
		if !g.wake.Swap(false) {
			return
		}
		if payload = g.sm.TakeProposal(segment.Term(g.term), o.ProposalBytesMax); len(payload) == 0 {
			return
		}
		g.wake.Store(true) // there may be more
	}
	// Raft clones what it is given. A sole voter's entry goes nowhere but
	// into the log, so it is proposed empty, and gets its payload in write.
	// (With peers raft needs the size: it bounds what is in flight to them.)
	data := payload
	if g.sole {
		data = nil
	}
	if err := g.node.Propose(data); err != nil {
		// A change of leader is under way: either it comes, and reportRole
		// drops this, or raft takes proposals again.
		g.unproposed = payload
		return
	}
	if g.sole {
		g.detached = payload
	}
	g.unproposed, proposed = nil, true
	g.proposals = append(g.proposals, proposal{len(payload), o.Clock.Now()})
	g.proposed += len(payload)
}

// attach gives the entry proposed last its payload. Nothing can have come
// between: the group's lock has been held since propose.
func (g *Group) attach(entries []*pb.Entry) {
	last := entries[len(entries)-1]
	if last.GetTerm() != g.term || len(last.GetData()) > 0 || last.GetType() != pb.EntryNormal {
		panic(fmt.Sprintf("BUG: entry %d of term %d is not the one proposed in term %d", last.GetIndex(), last.GetTerm(), g.term))
	}
	last.Data, g.detached = g.detached, nil
}

// settle ends the oldest n proposals: they have been applied.
func (g *Group) settle(n int) {
	if n == 0 {
		return
	}
	now := g.host.opt.Clock.Now()
	for _, p := range g.proposals[:n] {
		g.proposed -= p.bytes
		g.host.opt.Metrics.Raft.CommitLatency.Observe(now.Sub(p.at))
	}
	rest := copy(g.proposals, g.proposals[n:])
	g.proposals = g.proposals[:rest]
	g.settled(n)
}

func (g *Group) dropProposals() {
	n := len(g.proposals)
	g.proposals, g.proposed, g.unproposed, g.detached = nil, 0, nil, nil
	g.settled(n)
}

// settled counts proposals that are done with.
func (h *Host) settled(n int) {
	if n > 0 && h.inflight.Add(-int64(n)) == 0 && h.stopping.Load() {
		select {
		case h.drained <- struct{}{}:
		default:
		}
	}
}
