// Package link joins a node's raft host to its transport, and counts and times what passes.
//
// It guarantees: what Send is given goes to the transport unchanged and in
// order; what Deliver is given goes to the host, unless its sender is not the
// one it names. Every append message and every message that has an answer is
// counted by kind and node, and so is that it was dropped. Of each kind and node one at a time is followed
// until its answer, which is what chronik_raft_rpc_latency_ms tells.
//
// It does not queue, drop or repeat anything.
//
// Concurrency: everything may be called from any goroutine after Connect.
// Messages belong to whom they are handed.
package link
