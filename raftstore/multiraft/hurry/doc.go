// Package hurry decides when a member of a raft group campaigns before raft's own timeout.
//
// A member wishes for a leader when its group is new, or when the leader's
// process is gone. Members campaign one after the other, in an order that all of
// them know (Rank), since an election of many at once is split.
//
// It knows nothing of raft and reads no clock: package multiraft tells it, at
// each tick.
//
// Concurrency: none; a Wish belongs to the runner of its group.
package hurry
