package node

import (
	"time"

	"chronik/broker"
	"chronik/internal/metrics"
	"chronik/raftstore/multiraft"
)

// snapshot is the state that a scrape exports.
func (n *Node) snapshot() metrics.Snapshot {
	used, _ := n.server.RequestBytes()
	s := metrics.Snapshot{
		Connections: n.server.Connections(), RequestMemoryBytes: used, RequestMemoryBytesMax: n.server.RequestBytesMax(),
		ClusterSize: len(n.broker.AllNodes()), QuorumSize: n.broker.MetadataVoters()/2 + 1,
	}
	for _, p := range n.broker.Partitions() {
		s.Partitions = append(s.Partitions, partitionSample(p, n.clock.Now()))
	}
	for _, g := range n.broker.GroupStats() {
		s.Groups = append(s.Groups, g)
	}
	s.Transactions = map[string]int{}
	for state, ids := range n.broker.TransactionStates() {
		s.Transactions[state.String()] = ids
	}
	return s
}

func partitionSample(p broker.PartitionStats, now time.Time) metrics.Partition {
	out := metrics.Partition{
		Topic: p.Topic, Partition: p.Partition, Term: uint64(p.Raft.Term),
		CommitIndex: uint64(p.Raft.Commit), LastApplied: uint64(p.Raft.Applied),
		LogEntries: uint64(p.Raft.LastIndex + 1 - p.Raft.FirstIndex), LogBytes: p.Bytes, Segments: p.Segments,
	}
	switch p.Raft.Role {
	case multiraft.Leader:
		out.Role, out.ISRSize = metrics.RoleLeader, p.InSync
		for _, f := range p.Followers {
			out.Followers = append(out.Followers, metrics.Follower{
				Node: f.Node, LagEntries: f.Lag, LagMs: max(0, now.Sub(f.CaughtUp).Milliseconds())})
		}
	case multiraft.Candidate:
		out.Role = metrics.RoleCandidate
	case multiraft.Follower:
		out.Role = metrics.RoleFollower
	}
	return out
}
