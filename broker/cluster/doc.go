// Package cluster is the cluster's metadata as a pure state machine: brokers, topics, partitions, their replicas, configs and id blocks.
//
// A Command, encoded, is one record of the metadata raft group's log; Apply
// carries it out. Equal sequences of commands give equal states on every
// node: there is no clock, no randomness and no I/O in here. Whoever makes a
// command decides what is random in it (a topic's id).
//
// Commands are small. Offsets and watermarks never pass through here.
//
// Not safe for concurrent use; the values it hands out (Topic, Broker) are
// never changed afterwards and may be kept.
package cluster
