package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Storage are the series of the log: chronik_storage_*.
type Storage struct {
	appends     prometheus.Counter
	appendBytes prometheus.Counter
	bytes       atomic.Int64 // the same as appendBytes, readable

	flushes      prometheus.Counter
	flushErrors  prometheus.Counter
	withoutRoom  prometheus.Gauge
	flushGroups  prometheus.Histogram
	flushLatency prometheus.Histogram

	recoveries      *prometheus.CounterVec
	recoveryCut     prometheus.Counter
	recoveryLatency prometheus.Histogram
	corruptRanges   prometheus.Counter
}

func (s *Storage) register(r *prometheus.Registry) {
	s.appends = newCounter(r, "chronik_storage_appends_total", "Appends to logs; one may hold the requests of many producers.")
	s.appendBytes = newCounter(r, "chronik_storage_append_bytes_total", "Bytes of frames appended to logs.")
	s.flushes = newCounter(r, "chronik_storage_flushes_total", "Rounds of the sync coordinator that made logs durable.")
	s.flushErrors = newCounter(r, "chronik_storage_flush_errors_total", "Logs poisoned because a sync failed.")
	s.withoutRoom = newGauge(r, "chronik_storage_groups_without_room", "Raft groups that wait for room on the disk.")
	s.flushGroups = newHistogram(r, "chronik_storage_flush_groups", "Logs made durable together in one round.", countBuckets)
	s.flushLatency = newHistogram(r, "chronik_storage_flush_latency_ms", "How long one round took.", latencyBucketsMs)
	s.recoveries = newCounterVec(r, "chronik_storage_recoveries_total",
		"Logs opened at start, by what was found.", "result")
	s.recoveryCut = newCounter(r, "chronik_storage_recovery_cut_bytes_total", "Bytes of torn tails cut off at start; none was acknowledged.")
	s.recoveryLatency = newHistogram(r, "chronik_storage_recovery_latency_ms", "How long opening one log took.", latencyBucketsMs)
	s.corruptRanges = newCounter(r, "chronik_storage_corrupt_ranges_total", "Ranges of logs found to differ from their hash.")
}

func (s *Storage) appendedBytes() int64 { return s.bytes.Load() }

// FramesAppended counts one append of that many bytes, frame headers included.
func (s *Storage) FramesAppended(bytes int) {
	s.appends.Inc()
	s.appendBytes.Add(float64(bytes))
	s.bytes.Add(int64(bytes))
}

// Flush counts one round of the sync coordinator that made `groups` logs durable.
func (s *Storage) Flush(groups int, took time.Duration) {
	s.flushes.Inc()
	s.flushGroups.Observe(float64(groups))
	s.flushLatency.Observe(milliseconds(took))
}

// FlushFailed counts one log poisoned by a failed sync.
func (s *Storage) FlushFailed() { s.flushErrors.Inc() }

// WithoutRoom counts raft groups that begin (1) or end (-1) to wait for room on the disk.
func (s *Storage) WithoutRoom(change int) { s.withoutRoom.Add(float64(change)) }

// Recovered counts one log opened. The result is one of few words, as "empty",
// "clean", "torn_tail", "corrupt", "newer_version"; cut is the length in bytes
// of what was cut off.
func (s *Storage) Recovered(result string, cut int64, took time.Duration) {
	s.recoveries.WithLabelValues(result).Inc()
	s.recoveryCut.Add(float64(cut))
	s.recoveryLatency.Observe(milliseconds(took))
}

// CorruptRange counts one range found to differ from its hash.
func (s *Storage) CorruptRange() { s.corruptRanges.Inc() }
