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

// noteHandoffs takes note of snapshots that are sent.
func (g *Group) noteHandoffs(msgs []*pb.Message) {
	for _, m := range msgs {
		if m.GetType() == pb.MsgSnap {
			g.handoffs.Add(m.GetTo())
			g.host.snapshots.Add(1)
		}
	}
}

// tickHandoffs forgets the snapshots that have been answered, and tells raft of
// those that seem to be lost: it sends nothing else to such a member.
func (g *Group) tickHandoffs() {
	if !g.handoffs.Any() {
		return
	}
	waits := map[uint64]bool{}
	g.node.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		waits[id] = pr.State == tracker.StateSnapshot
	})
	g.endHandoffs(1, func(node uint64, age int) bool {
		lost := age >= snapshotElections*g.host.opt.ElectionTicks && waits[node]
		if lost {
			g.node.ReportSnapshot(node, raft.SnapshotFailure)
		}
		return lost || !waits[node]
	})
}

// handoffLost ends those to a node to which messages have been lost.
func (g *Group) handoffLost(lost uint64) {
	g.endHandoffs(0, func(node uint64, _ int) bool {
		if node == lost {
			g.node.ReportSnapshot(node, raft.SnapshotFailure)
		}
		return node == lost
	})
}

// dropHandoffs ends all: this node leads no more.
func (g *Group) dropHandoffs() { g.endHandoffs(0, func(uint64, int) bool { return true }) }

func (g *Group) endHandoffs(ticks int, over func(uint64, int) bool) {
	if n := g.handoffs.End(ticks, over); n > 0 {
		g.host.snapshots.Add(int32(-n))
	}
}
