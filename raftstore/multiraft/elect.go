package multiraft

import (
	"fmt"
	"slices"

	"chronik/raftstore/multiraft/hurry"
	"chronik/raftstore/multiraft/shards"

	"go.etcd.io/raft/v3"
)

// Down tells that a node's process is gone. Members of groups that it led do
// not wait for an election timeout: they forget it and campaign, in an order
// that all know (GroupOptions.Voters). A wrong word does no harm: a leader that
// lives is taken again at its next message, or loses the term to another.
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
		g.hurry = hurry.New(hurry.Rank(g.host.opt.NodeID, e.Node, g.order, g.store.Conf().GetVoters()), g.host.opt.ElectionTicks)
	}
	if g.hurry.Due() || g.node.HasReady() {
		g.run()
	}
}

// hasten is called at each tick and reports whether this member is to campaign.
func (g *Group) hasten() bool {
	return g.hurry.Tick(g.lead != raft.None, g.role != raft.StateFollower && g.role != raft.StatePreCandidate)
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
