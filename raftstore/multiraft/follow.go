package multiraft

import (
	"context"
	"encoding/binary"
	"fmt"

	"chronik/raftstore/multiraft/members"
	"chronik/raftstore/multiraft/raftmsg"
	"chronik/segment"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// ReadIndex calls done(nil) once this node has applied everything that was
// committed when ReadIndex was called, whoever leads. done(ErrNoLeader): there
// is no leader, or it changed, or the question was lost; done(ErrOverloaded): too
// many wait. It runs on the goroutine of the group, or at once on the caller's if
// the question is refused, and must be quick. What has been confirmed and is
// never applied (a full disk) is not answered: the caller needs a time limit.
func (g *Group) ReadIndex(done func(error)) {
	if !g.reads.Ask(done) {
		done(ErrOverloaded)
		return
	}
	g.enqueue()
}

// read begins the next round. A leader that has not applied an entry of its own
// term does not know yet what is committed; it waits. So does a node that is
// alone.
func (g *Group) read() {
	if !g.reads.Due() {
		return
	}
	switch {
	case g.serving:
	case g.role == raft.StateLeader || g.sole:
		return
	case g.lead == raft.None || g.role != raft.StateFollower:
		g.reads.Abandon(ErrNoLeader)
		return
	}
	// With the nonce of this process: an answer to a former one is not taken
	// for one to this.
	ctx := binary.LittleEndian.AppendUint64(make([]byte, 0, raftmsg.ReadContextSize), g.host.nonce)
	g.node.ReadIndex(binary.LittleEndian.AppendUint64(ctx, g.reads.Begin()))
}

func (g *Group) confirmReads(states []raft.ReadState) {
	for _, s := range states {
		if c := s.RequestCtx; len(c) == raftmsg.ReadContextSize && binary.LittleEndian.Uint64(c) == g.host.nonce {
			g.reads.Confirm(binary.LittleEndian.Uint64(c[8:]), s.Index)
		}
	}
	if len(states) > 0 {
		g.reads.Applied(g.store.Applied())
	}
}

// leaderChanged ends what was asked of the leader before.
func (g *Group) leaderChanged() {
	g.reads.Abandon(ErrNoLeader)
	if g.role != raft.StateLeader {
		g.endChange(ErrNotLeader)
		g.dropHandoffs()
	}
}

// Progress tells how far the other members are; nil unless this node serves as
// leader.
func (g *Group) Progress() []Replica {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil || !g.serving {
		return nil
	}
	g.lookAtPeers()
	return g.peers.Append(nil, uint64(g.log.LastIndex()))
}

// Retained is the first index that the group may still need in the log: a
// leader for the member that is furthest behind, however long ago it was heard
// of, a follower for what it has not applied.
func (g *Group) Retained() segment.Index {
	g.mu.Lock()
	defer g.mu.Unlock()
	applied := g.store.Applied()
	if g.err != nil || g.role != raft.StateLeader {
		return segment.Index(applied) + 1
	}
	g.lookAtPeers()
	return g.peers.Retained(applied)
}

func (g *Group) lookAtPeers() {
	if !g.peers.Moved() {
		return
	}
	g.node.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id != g.host.opt.NodeID {
			g.peers.Set(id, pr.Match, pr.IsLearner)
		}
	})
	g.peers.Settle()
}

func (g *Group) tickPeers() {
	if g.role == raft.StateLeader {
		g.lookAtPeers()
		g.peers.Tick(uint64(g.log.LastIndex()))
	}
}

func (g *Group) tellProgress() {
	if g.watcher == nil || !g.serving || !g.watcher.WantsProgress() {
		return
	}
	g.lookAtPeers()
	g.watched = g.peers.Append(g.watched[:0], uint64(g.log.LastIndex()))
	g.watcher.Progress(g.watched)
}

// Change makes a node something to a group: its voter, its learner, or nothing.
type Change = members.Change

// What a node may be to a group.
const (
	Gone    = members.Gone
	Learner = members.Learner
	Voter   = members.Voter
)

// change is a change of members on its way.
type change struct {
	cc       *pb.ConfChangeV2
	proposed bool
	index    uint64 // of its entry; 0: not known yet
	done     chan error
}

// ChangeMembers changes the members and waits until that is done, which more
// than one change at a time is when the joint configuration has been left again.
// ErrNotLeader: this node does not lead, or no longer; ErrRefused: another change
// is not done yet, or leadership is being handed over. Unless it is nil or
// ErrRefused, it may be done all the same; it may be asked for again.
func (g *Group) ChangeMembers(ctx context.Context, changes ...Change) error {
	cc, err := members.Encode(changes)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if len(changes) == 0 {
		return nil
	}
	mine := &change{cc: cc, done: make(chan error, 1)}
	g.mu.Lock()
	switch err = g.err; {
	case err != nil:
	case !g.serving:
		err = ErrNotLeader
	case g.change != nil:
		err = fmt.Errorf("%w: another change of members is not done", ErrRefused)
	default:
		g.change = mine
		g.enqueue()
	}
	g.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case err = <-mine.done:
		return err
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.change == mine {
			g.change = nil
		}
		return ctx.Err()
	}
}

func (g *Group) proposeChange() {
	c := g.change
	if c == nil || c.proposed {
		return
	}
	c.proposed = true
	if err := g.node.ProposeConfChange(c.cc); err != nil {
		g.endChange(fmt.Errorf("%w: %w", ErrRefused, err))
	}
}

// findChange looks at what raft made of a change proposed just before: an entry
// that does nothing, if another is not applied yet.
func (g *Group) findChange(entries []*pb.Entry) {
	c := g.change
	if c == nil || !c.proposed || c.index != 0 {
		return
	}
	last := entries[len(entries)-1]
	if last.GetType() == pb.EntryNormal {
		g.endChange(fmt.Errorf("%w: another change of members is not done", ErrRefused))
		return
	}
	c.index = last.GetIndex()
}

// settleChange ends the wait for a change that is in force.
func (g *Group) settleChange() {
	if c := g.change; c != nil && c.index != 0 && g.store.ConfIndex() >= c.index && len(g.store.Conf().GetVotersOutgoing()) == 0 {
		g.endChange(nil)
	}
}

func (g *Group) endChange(err error) {
	if g.change != nil {
		g.change.done <- err
		g.change = nil
	}
}
