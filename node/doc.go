// Package node puts one node together: it opens every part in order and closes them in reverse.
//
// Start returns when the node serves. Order of opening: the data directory
// and its lock, the admin listener (so that /health answers while logs are
// recovered), hard states, sync coordinator, raft host, broker (metadata,
// then partitions, then group coordinators), Kafka listener.
//
// Stop closes the Kafka listener, lets requests that have been read finish
// within the configured time, closes partitions with everything synced, and
// records the commit positions. What cannot be closed cleanly is an error,
// not a hang.
package node
