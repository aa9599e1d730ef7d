// Package raftmsg stands between raft and the world: it refuses messages that no correct peer sends, and passes raft's own log on.
//
// Raft takes messages at their word and panics on some that contradict its
// state. What can be seen to be wrong without knowing that state is refused here,
// before raft sees it; the rest stops the group it was sent to (package
// multiraft).
//
// Concurrency: everything is safe for concurrent use.
package raftmsg
