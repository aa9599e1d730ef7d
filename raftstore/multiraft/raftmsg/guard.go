package raftmsg

import (
	"log/slog"
	"slices"
	"time"

	"chronik/internal/clock"
	"chronik/internal/metrics"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	// strangersTerms is how many terms nodes that are no members may raise that
	// of a group by at once. A member that is behind may not know who leads
	// now, and how many elections it has missed; but terms that are used up
	// are gone for good, and so is the group with the last.
	strangersTerms = 1 << 20
	// complaintInterval is the time between two that are logged of a group.
	complaintInterval = 10 * time.Second
)

// GuardOptions say whose a Guard is, and where the group stands at its start.
type GuardOptions struct {
	Group   uint64
	Order   []uint64 // nodes that count as members besides those of the configuration
	Term    uint64
	Last    uint64 // entry of the log
	Clock   clock.Clock
	Logger  *slog.Logger
	Metrics *metrics.Raft
}

// Guard refuses messages that contradict the state of one group: which raft
// would panic on, take for acknowledgements, or never recover from. It belongs
// to the runner of the group.
type Guard struct {
	o       GuardOptions
	spent   uint64 // terms that strangers have used up; one comes back at each tick
	told    time.Time
	refused int // since
}

// NewGuard makes one.
func NewGuard(o GuardOptions) Guard { return Guard{o: o} }

// Ready notes how far the term and the log are.
func (g *Guard) Ready(rd *raft.Ready) {
	if !raft.IsEmptyHardState(rd.HardState) {
		g.o.Term = rd.HardState.GetTerm()
	}
	if !raft.IsEmptySnap(rd.Snapshot) {
		g.o.Last = rd.Snapshot.GetMetadata().GetIndex()
	}
	if n := len(rd.Entries); n > 0 {
		g.o.Last = rd.Entries[n-1].GetIndex()
	}
}

// Tick is called at each tick of the group.
func (g *Guard) Tick() { g.spent -= min(g.spent, 1) }

// Refuses reports whether the message is to be dropped, and counts it then. Of
// one that it lets through it may take the commit index away.
func (g *Guard) Refuses(m *pb.Message, node *raft.RawNode, conf *pb.ConfState) bool {
	var reason string
	if m.GetTerm() > g.o.Term {
		reason = g.term(m, node, conf)
	}
	if reason == "" {
		switch m.GetType() {
		case pb.MsgHeartbeat:
			reason = g.heartbeat(m, node, conf)
		case pb.MsgAppResp:
			reason = g.ack(m, node)
		}
	}
	if reason == "" {
		return false
	}
	g.o.Metrics.MessageRefused(reason)
	g.refused++
	if now := g.o.Clock.Now(); g.told.IsZero() || now.Sub(g.told) >= complaintInterval {
		g.o.Logger.Error("refused a message of raft's that no correct node sends", "group", g.o.Group, "reason", reason, "type", m.GetType(), "from", m.GetFrom(),
			"term", m.GetTerm(), "index", m.GetIndex(), "commit", m.GetCommit(), "group_term", g.o.Term, "last", g.o.Last, "count", g.refused)
		g.told, g.refused = now, 0
	}
	return true
}

// term looks at a message whose term is beyond that of the group. That of a
// member is believed: whoever wins an election has it.
func (g *Guard) term(m *pb.Message, node *raft.RawNode, conf *pb.ConfState) string {
	term := node.BasicStatus().HardState.GetTerm()
	if m.GetTerm() <= term || g.member(m.GetFrom(), conf) {
		return ""
	}
	jump := m.GetTerm() - term
	if jump > strangersTerms-g.spent {
		return metrics.RefusedTerm
	}
	if t := m.GetType(); t != pb.MsgPreVote && (t != pb.MsgPreVoteResp || m.GetReject()) { // these raise none
		g.spent += jump
	}
	return ""
}

// heartbeat looks at one. A leader tells a follower of no entries that it has
// not acknowledged: if it does, entries have been lost, on which raft panics.
// Only who is known to lead proves that; a member that is not, it may be the
// first word of a leader, is heard without its commit index.
func (g *Guard) heartbeat(m *pb.Message, node *raft.RawNode, conf *pb.ConfState) string {
	if m.GetCommit() <= g.o.Last {
		return ""
	}
	s := node.BasicStatus()
	switch {
	case m.GetTerm() < s.HardState.GetTerm():
		return "" // raft does not look at it
	case !g.member(m.GetFrom(), conf):
		return metrics.RefusedCommit
	case m.GetTerm() > s.HardState.GetTerm() || s.Lead != m.GetFrom():
		m.Commit = nil
	}
	return ""
}

// ack looks at the answer to an append. Raft would count entries as
// acknowledged that are not there yet.
func (g *Guard) ack(m *pb.Message, node *raft.RawNode) string {
	if m.GetIndex() <= g.o.Last {
		return ""
	}
	if s := node.BasicStatus(); s.RaftState != raft.StateLeader || s.HardState.GetTerm() != m.GetTerm() {
		return "" // an answer to a leader that was, whose end has been replaced since
	}
	return metrics.RefusedAck
}

func (g *Guard) member(id uint64, conf *pb.ConfState) bool {
	return slices.Contains(conf.GetVoters(), id) || slices.Contains(conf.GetVotersOutgoing(), id) ||
		slices.Contains(conf.GetLearners(), id) || slices.Contains(conf.GetLearnersNext(), id) || slices.Contains(g.o.Order, id)
}
