package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// peers are the series of what goes from this node to others and back.
type peers struct {
	calls, errors *prometheus.CounterVec
	latency       *prometheus.HistogramVec

	// AppendEntriesSent and AppendEntriesReceived count raft's append messages,
	// the empty ones that tell a commit index included.
	AppendEntriesSent, AppendEntriesReceived prometheus.Counter
	appendEntriesRejected                    *prometheus.CounterVec
	messagesRefused                          *prometheus.CounterVec
}

// Why an append message was not taken.
const (
	RejectedLogMismatch  = "log_mismatch"  // what stands before it differs; the leader goes back and tries again
	RejectedUnknownGroup = "unknown_group" // no such replica here, or not yet
	RejectedOverloaded   = "overloaded"    // too much waits; raft repeats it
	RejectedMalformed    = "malformed"     // no correct node sends that
	RejectedStopped      = "stopped"       // the node stops, or the group has failed
)

// Why a message of raft's was refused: no correct node sends it.
const (
	RefusedMalformed = "malformed"         // whatever the state of its group
	RefusedTerm      = "term"              // its term is far beyond that of the group, from a node that is no member
	RefusedCommit    = "commit_beyond_log" // it tells a follower of committed entries that it has not
	RefusedAck       = "ack_beyond_log"    // it acknowledges entries that its leader has not
)

func (p *peers) register(r *prometheus.Registry) {
	p.calls = newCounterVec(r, "chronik_raft_rpc_calls_total",
		"What was sent to other nodes and has an answer, by kind and node: raft's messages and requests. A raft message counts when it is handed to the transport.",
		"rpc_type", "target_node")
	p.errors = newCounterVec(r, "chronik_raft_rpc_errors_total",
		"Of those, requests that failed, and messages of raft that were dropped instead of sent, which raft repeats.", "rpc_type", "target_node")
	p.latency = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "chronik_raft_rpc_latency_ms", Buckets: latencyBucketsMs,
		Help: "From a request until its answer: of every request, and of raft's messages one at a time for each kind and node.",
	}, []string{"rpc_type", "target_node"})
	r.MustRegister(p.latency)
	p.AppendEntriesSent = newCounter(r, "chronik_raft_append_entries_sent_total", "Append messages handed to the transport, empty ones included.")
	p.AppendEntriesReceived = newCounter(r, "chronik_raft_append_entries_received_total", "Append messages that came from other nodes.")
	p.appendEntriesRejected = newCounterVec(r, "chronik_raft_append_entries_rejected_total",
		"Append messages from other nodes that this one did not take, by reason.", "reason")
	zero(p.appendEntriesRejected, RejectedLogMismatch, RejectedUnknownGroup, RejectedOverloaded, RejectedMalformed, RejectedStopped)
	p.messagesRefused = newCounterVec(r, "chronik_raft_messages_refused_total",
		"Messages of raft's from other nodes that no correct node sends, by what is wrong with them. There should be none.", "reason")
	zero(p.messagesRefused, RefusedMalformed, RefusedTerm, RefusedCommit, RefusedAck)
}

// MessageRefused counts one message of raft's that no correct node sends.
func (p *peers) MessageRefused(reason string) { p.messagesRefused.WithLabelValues(reason).Inc() }

// AppendEntriesRejected counts one append message that was not taken.
func (p *peers) AppendEntriesRejected(reason string) {
	p.appendEntriesRejected.WithLabelValues(reason).Inc()
}

// RPC are the series of one kind of request to one node.
type RPC struct {
	calls, errors prometheus.Counter
	latency       prometheus.Observer
}

// RPC returns the series of a kind and a node; the rows are there from now on.
// Ask once and keep it.
func (p *peers) RPC(kind string, node uint64) *RPC {
	target := strconv.FormatUint(node, 10)
	return &RPC{p.calls.WithLabelValues(kind, target), p.errors.WithLabelValues(kind, target), p.latency.WithLabelValues(kind, target)}
}

// Sent counts one that was sent.
func (r *RPC) Sent() { r.calls.Inc() }

// Failed counts one that has no answer, or an error for one.
func (r *RPC) Failed() { r.errors.Inc() }

// Answered records how long one took.
func (r *RPC) Answered(took time.Duration) { r.latency.Observe(milliseconds(took)) }
