package multiraft

import (
	"fmt"
	"slices"

	"chronik/raftstore/multiraft/shards"

	"go.etcd.io/raft/v3"
)

// staggerTicks is the time between two members' attempts to replace a leader
// whose process is gone: enough for the first to be elected.
const staggerTicks = 3

// hurry is a member's wish for a leader before raft's own timeout: of a group
// that is new, or whose leader's process is gone. It campaigns at each tick,
// since the others may learn later that they need a leader, until there is one
// or an election timeout has passed and raft's own timers go on.
type hurry struct {
	wait  int  // ticks until it campaigns
	ticks int  // after that, ticks for which it goes on; 0: no hurry
	due   bool // at the next run
}

// Down tells that a node's process is gone. Members of groups that it led do
// not wait for an election timeout: they forget it and campaign, in the order
// of GroupOptions.Voters. A wrong word does no harm: a leader that lives is
// taken again at its next message, or loses the term to another.
func (h *Host) Down(node uint64) { h.post(shards.Event{Node: node, Down: true}) }

// Unreachable tells that messages to a node have been lost: groups that this
// node leads send it again what it has not acknowledged.
func (h *Host) Unreachable(node uint64) { h.post(shards.Event{Node: node}) }

func (h *Host) post(e shards.Event) {
	for _, s := range h.shards {
		s.Peer(e)
	}
}

// Peer implements shards.Task.
func (t *task) Peer(e shards.Event) {
	g := (*Group)(t)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil || g.still != nil {
		return
	}
	defer g.rescue()
	switch {
	case g.role == raft.StateLeader && !e.Down:
		g.node.ReportUnreachable(e.Node) // a node that is no member is ignored
		g.handoffLost(e.Node)
	case g.role == raft.StateFollower && e.Down && g.lead == e.Node:
		if err := g.node.ForgetLeader(); err != nil {
			panic(fmt.Sprintf("BUG: forget leader: %v", err))
		}
		if rank := g.rank(e.Node); rank >= 0 {
			g.hurry = hurry{wait: rank * staggerTicks, ticks: g.host.opt.ElectionTicks, due: rank == 0}
		}
	}
	if g.hurry.due || g.node.HasReady() {
		g.run()
	}
}

// rank is this node's place among the voters that remain without the given
// one, or -1.
func (g *Group) rank(without uint64) int {
	voters := g.store.Conf().GetVoters()
	rank := 0
	for _, id := range g.order {
		if id == g.host.opt.NodeID {
			break
		}
		if id != without && slices.Contains(voters, id) {
			rank++
		}
	}
	if !slices.Contains(voters, g.host.opt.NodeID) {
		return -1
	}
	return rank
}

// hasten is called at each tick and reports whether this member is to campaign.
func (g *Group) hasten() bool {
	w := &g.hurry
	switch {
	case w.ticks == 0:
		return false
	case g.lead != raft.None:
		*w = hurry{}
	case w.wait > 0:
		w.wait--
		w.due = w.wait == 0
	default:
		w.ticks--
		// Votes may be on their way to a candidate: it must not begin anew.
		w.due = w.ticks > 0 && (g.role == raft.StateFollower || g.role == raft.StatePreCandidate)
	}
	return w.due
}

// TransferLeadership asks another voter to take over: it campaigns as soon as
// it has the whole log, and nothing is proposed meanwhile. A transfer that is not
// done after an election timeout is given up. ErrNotLeader: this node does not
// serve as leader; ErrRefused: the other is no voter.
func (g *Group) TransferLeadership(to uint64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return g.err
	}
	defer g.rescue()
	if !g.serving {
		return ErrNotLeader
	}
	if to == g.host.opt.NodeID || !slices.Contains(g.store.Conf().GetVoters(), to) {
		return fmt.Errorf("%w: node %d cannot take over", ErrRefused, to)
	}
	g.node.TransferLeader(to)
	g.enqueue()
	return nil
}
