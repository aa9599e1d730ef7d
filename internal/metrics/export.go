package metrics

import (
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	descSourceStuck = desc("chronik_metrics_source_stuck",
		"1 while the node does not answer the question for its state: the series made from it are absent.")
	descWriteAmplification = desc("chronik_storage_write_amplification",
		"Bytes that the process sent to storage per byte of frames appended, since the start.")
	descSegments       = desc("chronik_storage_segments", "Segment files of the logs on this node.")
	descConnections    = desc("chronik_kafka_connections", "Open client connections.")
	descMemory         = desc("chronik_kafka_request_memory_bytes", "Memory that requests in flight hold of the budget.")
	descMemoryMax      = desc("chronik_kafka_request_memory_limit_bytes", "The budget for requests in flight.")
	descLeaderCount    = desc("chronik_raft_leader_count", "Partitions that this node leads.", "node_id")
	descFollowerCount  = desc("chronik_raft_follower_count", "Partitions that this node follows.", "node_id")
	descClusterSize    = desc("chronik_raft_cluster_size", "Brokers that belong to the cluster.")
	descQuorumSize     = desc("chronik_raft_quorum_size", "Votes that the metadata group needs.")
	descPartitions     = desc("chronik_raft_partitions", "Partitions with a replica on this node.")
	descISRSize        = desc("chronik_raft_isr_size", "In-sync replicas, the leader included.", "topic", "partition")
	descTerm           = desc("chronik_raft_current_term", "Raft term.", "topic", "partition")
	descNodeState      = desc("chronik_raft_node_state", "0 unknown, 1 leader, 2 candidate, 3 follower.", "topic", "partition")
	descCommitIndex    = desc("chronik_raft_commit_index", "Raft index of the last committed entry.", "topic", "partition")
	descLastApplied    = desc("chronik_raft_last_applied", "Raft index of the last applied entry.", "topic", "partition")
	descLogEntries     = desc("chronik_raft_log_size_entries", "Entries that the log holds.", "topic", "partition")
	descLogBytes       = desc("chronik_raft_log_size_bytes", "Bytes that the log holds.", "topic", "partition")
	descFollowerLag    = desc("chronik_raft_follower_lag", "Entries that a follower lacks, the same as chronik_raft_follower_lag_entries.", "topic", "partition", "follower_id")
	descFollowerLagN   = desc("chronik_raft_follower_lag_entries", "Entries that a follower lacks; told by the leader.", "topic", "partition", "follower_id")
	descFollowerLagMs  = desc("chronik_raft_follower_lag_ms", "Milliseconds since a follower had everything; told by the leader, a heartbeat's time when nothing is amiss.", "topic", "partition", "follower_id")
	descFollowerLagMax = desc("chronik_raft_max_follower_lag_entries", "Entries that the slowest follower lacks.", "topic", "partition")
	descGroups         = desc("chronik_group_groups", "Consumer groups that this node coordinates, by state.", "state")
	descTransactions   = desc("chronik_transaction_ids", "Transactional ids that this node coordinates, by the state of their transaction.", "state")
	descGroupMembers   = desc("chronik_group_members", "Members of a consumer group.", "group")
	descGroupLag       = desc("chronik_group_lag_records", "Records between a group's committed offset and the high watermark.", "group", "topic", "partition")
)

// exporter turns a Snapshot into samples.
type exporter struct{ out chan<- prometheus.Metric }

// gauge sends one sample. Label values that are not UTF-8 (a group's name is
// what a client says) are escaped: the library panics on them.
func (e exporter) gauge(d *prometheus.Desc, v float64, labels ...string) {
	for i, label := range labels {
		if !utf8.ValidString(label) {
			labels[i] = strconv.Quote(label)
		}
	}
	e.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (e exporter) writeAmplification(appended int64) {
	if written, ok := bytesToStorage(); ok && appended > 0 {
		e.gauge(descWriteAmplification, float64(written)/float64(appended))
	}
}

// node exports what is one row a node, however many partitions there are.
func (e exporter) node(s *Snapshot, nodeID string) {
	var leaders, followers, segments int
	for i := range s.Partitions {
		switch s.Partitions[i].Role {
		case RoleLeader:
			leaders++
		case RoleFollower:
			followers++
		}
		segments += s.Partitions[i].Segments
	}
	e.gauge(descLeaderCount, float64(leaders), nodeID)
	e.gauge(descFollowerCount, float64(followers), nodeID)
	e.gauge(descPartitions, float64(len(s.Partitions)))
	e.gauge(descSegments, float64(segments))
	e.gauge(descConnections, float64(s.Connections))
	e.gauge(descMemory, float64(s.RequestMemoryBytes))
	e.gauge(descMemoryMax, float64(s.RequestMemoryBytesMax))
	e.gauge(descClusterSize, float64(s.ClusterSize))
	e.gauge(descQuorumSize, float64(s.QuorumSize))
}

func (e exporter) partitions(partitions []Partition) {
	for i := range partitions {
		p := &partitions[i]
		number := strconv.Itoa(int(p.Partition))
		e.gauge(descTerm, float64(p.Term), p.Topic, number)
		e.gauge(descNodeState, float64(p.Role), p.Topic, number)
		e.gauge(descCommitIndex, float64(p.CommitIndex), p.Topic, number)
		e.gauge(descLastApplied, float64(p.LastApplied), p.Topic, number)
		e.gauge(descLogEntries, float64(p.LogEntries), p.Topic, number)
		e.gauge(descLogBytes, float64(p.LogBytes), p.Topic, number)
		if p.Role == RoleLeader {
			e.gauge(descISRSize, float64(p.ISRSize), p.Topic, number)
			e.followers(p, number)
		}
	}
}

func (e exporter) followers(p *Partition, number string) {
	var worst uint64
	for _, f := range p.Followers {
		id := strconv.FormatUint(f.Node, 10)
		worst = max(worst, f.LagEntries)
		e.gauge(descFollowerLag, float64(f.LagEntries), p.Topic, number, id)
		e.gauge(descFollowerLagN, float64(f.LagEntries), p.Topic, number, id)
		e.gauge(descFollowerLagMs, float64(f.LagMs), p.Topic, number, id)
	}
	e.gauge(descFollowerLagMax, float64(worst), p.Topic, number)
}

// transactions exports the number of transactional ids by state.
func (e exporter) transactions(states map[string]int) {
	for state, n := range states {
		e.gauge(descTransactions, float64(n), state)
	}
}

// groups exports the number of groups by state always, and rows a group and a
// group's partition as long as there are at most rowsMax of each.
func (e exporter) groups(groups []Group, rowsMax int) {
	states := map[string]int{}
	lagRows := 0
	for i := range groups {
		states[groups[i].State]++
		lagRows += len(groups[i].Lag)
	}
	for state, n := range states {
		e.gauge(descGroups, float64(n), state)
	}
	for i := range groups {
		if len(groups) <= rowsMax {
			e.gauge(descGroupMembers, float64(groups[i].Members), groups[i].Name)
		}
		if lagRows > rowsMax {
			continue
		}
		for _, lag := range groups[i].Lag {
			e.gauge(descGroupLag, float64(lag.Records), groups[i].Name, lag.Topic, strconv.Itoa(int(lag.Partition)))
		}
	}
}
