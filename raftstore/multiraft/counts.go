package multiraft

import (
	"chronik/internal/metrics"

	pb "go.etcd.io/raft/v3/raftpb"
)

// countChange counts each member that a change, which is about to be applied,
// adds, promotes or removes.
func (g *Group) countChange(cc pb.ConfChangeI) {
	learners := g.node.Status().Config.Learners
	for _, c := range cc.AsV2().GetChanges() {
		kind := metrics.RemoveMember
		switch c.GetType() {
		case pb.ConfChangeAddLearnerNode:
			kind = metrics.AddLearner
		case pb.ConfChangeAddNode:
			kind = metrics.AddVoter
			if _, learns := learners[c.GetNodeId()]; learns {
				kind = metrics.Promote
			}
		case pb.ConfChangeUpdateNode:
			continue
		}
		g.host.opt.Metrics.Raft.ConfigChanged(kind)
	}
}
