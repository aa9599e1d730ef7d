package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// snapshots are the series of logs handed over whole, to a replica that lacks
// what the others have dropped.
type snapshots struct {
	count                       prometheus.Counter
	size, lastIndex             prometheus.Gauge
	createLatency, applyLatency prometheus.Histogram
	transfers                   *prometheus.CounterVec
}

// The direction of a snapshot.
const (
	SnapshotSent     = "sent"
	SnapshotReceived = "received"
)

func (s *snapshots) register(r *prometheus.Registry) {
	s.count = newCounter(r, "chronik_raft_snapshot_count", "Snapshots that this node made.")
	s.size = newGauge(r, "chronik_raft_snapshot_size_bytes", "Size of the latest snapshot that this node made or took over.")
	s.lastIndex = newGauge(r, "chronik_raft_snapshot_last_index", "Raft index of the last entry in that snapshot.")
	s.createLatency = newHistogram(r, "chronik_raft_snapshot_create_latency_ms", "How long making a snapshot took.", latencyBucketsMs)
	s.applyLatency = newHistogram(r, "chronik_raft_snapshot_apply_latency_ms", "How long it took until a snapshot that came was durable and applied.", latencyBucketsMs)
	s.transfers = newCounterVec(r, "chronik_raft_snapshot_transfers_total",
		"Snapshots handed to other nodes or taken from them, by direction and result.", "direction", "result")
	for _, direction := range []string{SnapshotSent, SnapshotReceived} {
		for _, result := range []string{"ok", "failed"} {
			s.transfers.WithLabelValues(direction, result)
		}
	}
}

// SnapshotCreated counts a snapshot of that many bytes, up to a raft index.
func (s *snapshots) SnapshotCreated(bytes int, last uint64, took time.Duration) {
	s.count.Inc()
	s.latest(bytes, last)
	s.createLatency.Observe(milliseconds(took))
}

// SnapshotApplied counts a snapshot that came from another node and is in the log.
func (s *snapshots) SnapshotApplied(bytes int, last uint64, took time.Duration) {
	s.latest(bytes, last)
	s.applyLatency.Observe(milliseconds(took))
}

func (s *snapshots) latest(bytes int, last uint64) {
	s.size.Set(float64(bytes))
	s.lastIndex.Set(float64(last))
}

// SnapshotTransferred counts one that was handed over, or failed to be.
func (s *snapshots) SnapshotTransferred(direction string, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	s.transfers.WithLabelValues(direction, result).Inc()
}
