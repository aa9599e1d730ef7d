// Package leaders says who leads each partition of the cluster, and has another replica lead when it is asked to.
//
// What it says comes from a partition's raft group when a replica is here and
// knows a leader that is not older than the one in the metadata, and from the
// metadata otherwise.
//
// It does not watch over what this node leads: broker/replica does.
//
// Concurrency: all methods are safe for concurrent use. Of and Offline are
// called with the metadata's state in view.
package leaders
