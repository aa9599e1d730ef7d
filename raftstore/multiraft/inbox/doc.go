// Package inbox holds the messages of peers that wait for a raft group, within bounds.
//
// What does not fit is dropped: raft repeats it. A message without entries takes
// a place, one with entries (or a context longer than raft's) bytes besides, of
// its group and of the node, so that a slow disk costs a bounded amount of
// memory, and votes and heartbeats get through when entries do not.
//
// Concurrency: Inbox and Budget are safe for concurrent use.
package inbox
