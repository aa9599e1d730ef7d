// Package members says changes of a raft group's members in raft's terms.
//
// Concurrency: it has no state.
package members
