// Package writes keeps the writes of one raft group that are not durable yet, in order, with what is to be said when they are.
//
// A write waits for the log, the hard states, both, or just for its turn. What
// it implies (a vote, an acknowledgement) is given out when it and all before it
// are durable. One that finds the disk full stays, and can be tried again.
//
// Concurrency: the callbacks of a write may run on any goroutine; all else is
// called by the runner of the group.
package writes
