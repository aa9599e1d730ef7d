package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Raft are the event series of consensus: chronik_raft_*. States of groups
// (terms, commit indexes, roles) come from the Source.
type Raft struct {
	// CommitLatency is told how long each proposal took from being proposed
	// until it was committed.
	CommitLatency Latency
	// LogCompactions counts how often the prefix of a log was dropped.
	LogCompactions prometheus.Counter

	commits         prometheus.Counter
	commitBatch     prometheus.Histogram
	elections       *prometheus.CounterVec
	electionLatency prometheus.Histogram
	configChanges   *prometheus.CounterVec

	peers
	snapshots
}

// commitLatencyName is a histogram and, under its bare name, a plain sample of
// the recent median; see Latency.
const commitLatencyName = "chronik_raft_commit_latency_ms"

func (m *Raft) register(r *prometheus.Registry) {
	m.CommitLatency.histogram = newHistogram(r, commitLatencyName,
		"From a proposal until it was committed. The sample without suffix is the median of the latest ones.", latencyBucketsMs)
	m.LogCompactions = newCounter(r, "chronik_raft_log_compactions_total", "How often the prefix of a log was dropped.")
	m.commits = newCounter(r, "chronik_raft_commits_total", "Entries committed, over all groups.")
	m.commitBatch = newHistogram(r, "chronik_raft_commit_batch_size", "Entries that were committed together in one group.", countBuckets)
	m.elections = newCounterVec(r, "chronik_raft_election_count", "Elections this node stood for, by result.", "result")
	m.electionLatency = newHistogram(r, "chronik_raft_election_latency_ms",
		"From becoming a candidate until the election was decided.", latencyBucketsMs)
	m.configChanges = newCounterVec(r, "chronik_raft_config_changes_total",
		"Changes of a group's members that this node applied, by what changed.", "change_type")
	zero(m.elections, "won", "lost")
	zero(m.configChanges, AddLearner, Promote, AddVoter, RemoveMember)
	m.peers.register(r)
	m.snapshots.register(r)
}

// zero makes rows that are there before they count: a closed set of labels.
func zero(c *prometheus.CounterVec, labels ...string) {
	for _, l := range labels {
		c.WithLabelValues(l)
	}
}

// The kinds of changes of a group's members.
const (
	AddLearner   = "add_learner"
	Promote      = "promote"
	AddVoter     = "add_voter"
	RemoveMember = "remove"
)

// ConfigChanged counts one change of a group's members that was applied.
func (m *Raft) ConfigChanged(kind string) { m.configChanges.WithLabelValues(kind).Inc() }

// Committed counts entries of one group that were committed together.
func (m *Raft) Committed(entries int) {
	m.commits.Add(float64(entries))
	m.commitBatch.Observe(float64(entries))
}

// ElectionWon counts an election that made this node a group's leader, and how
// long it took from the campaign on.
func (m *Raft) ElectionWon(took time.Duration) {
	m.elections.WithLabelValues("won").Inc()
	m.electionLatency.Observe(milliseconds(took))
}

// ElectionLost counts an election this node stood for and did not win.
func (m *Raft) ElectionLost(took time.Duration) {
	m.elections.WithLabelValues("lost").Inc()
	m.electionLatency.Observe(milliseconds(took))
}
