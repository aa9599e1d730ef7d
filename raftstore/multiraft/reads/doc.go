// Package reads gathers the reads that wait for a read index of one raft group into rounds.
//
// A read that must see everything acknowledged before it asks the leader how
// far the log is committed (ReadIndex, section 6.4 of the Raft thesis), which
// costs a round of heartbeats, and waits until this node has applied that. Those
// who ask while a round is under way share the next; one who asks never joins
// a round that has begun, since its index may be older than the question.
//
// It guarantees that each who asks is answered exactly once, unless the round is
// never confirmed, lost, or abandoned, or what was confirmed is never applied:
// whoever asks has a time limit of its own. How many wait is bounded.
//
// It knows nothing of raft, time or the network: package multiraft runs it.
//
// Concurrency: Ask is safe for concurrent use; the rest is called by the runner
// of the group.
package reads
