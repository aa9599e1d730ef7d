package multiraft

import (
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

const (
	// snapshotsMax is how many snapshots of a node may be on their way at once:
	// each is in memory as a whole.
	snapshotsMax = 4
	// snapshotElections is after how many election timeouts without an answer
	// one counts as lost.
	snapshotElections = 20
)

// handoff is a snapshot on its way to a member.
type handoff struct {
	node  uint64
	ticks int
}

// noteHandoffs takes note of snapshots that are sent.
func (g *Group) noteHandoffs(msgs []*pb.Message) {
	for _, m := range msgs {
		if m.GetType() == pb.MsgSnap {
			g.handoffs = append(g.handoffs, handoff{node: m.GetTo()})
			g.host.snapshots.Add(1)
		}
	}
}

// tickHandoffs forgets the snapshots that have been answered, and tells raft of
// those that seem to be lost: it sends nothing else to such a member.
func (g *Group) tickHandoffs() {
	if len(g.handoffs) == 0 {
		return
	}
	waits := map[uint64]bool{}
	g.node.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		waits[id] = pr.State == tracker.StateSnapshot
	})
	g.endHandoffs(func(h *handoff) bool {
		h.ticks++
		if lost := h.ticks >= snapshotElections*g.host.opt.ElectionTicks; lost && waits[h.node] {
			g.node.ReportSnapshot(h.node, raft.SnapshotFailure)
			return true
		}
		return !waits[h.node]
	})
}

// handoffLost ends those to a node to which messages have been lost.
func (g *Group) handoffLost(node uint64) {
	g.endHandoffs(func(h *handoff) bool {
		if h.node == node {
			g.node.ReportSnapshot(node, raft.SnapshotFailure)
		}
		return h.node == node
	})
}

func (g *Group) endHandoffs(over func(*handoff) bool) {
	before := len(g.handoffs)
	rest := g.handoffs[:0]
	for _, h := range g.handoffs {
		if !over(&h) {
			rest = append(rest, h)
		}
	}
	if g.handoffs = rest; len(rest) == 0 {
		g.handoffs = nil
	}
	g.host.snapshots.Add(int32(len(rest) - before))
}
