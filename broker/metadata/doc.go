// Package metadata is this node's member of the raft group that holds the cluster's metadata.
//
// It proposes commands (broker/cluster), and applies those that are committed
// to the state, in order, from the first entry of the log on. A restarted node
// has the whole state again once it leads.
//
// A command that Propose has reported is committed, durable and applied. One
// whose context ended may still come: a change is told by its result, not by
// its absence.
//
// Concurrency: all methods are safe for concurrent use.
package metadata
