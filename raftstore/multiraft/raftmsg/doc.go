// Package raftmsg stands between raft and the world: it refuses messages that no correct peer sends, and passes raft's own log on.
//
// Raft takes messages at their word. Some that no correct peer sends it panics
// on, some it takes for acknowledgements, and a term that is absurd it never
// recovers from. What can be seen to be wrong without knowing raft's state is
// refused by Check; a Guard, which knows that of a group, refuses
//   - terms far beyond the group's from a node that is no member: who has been
//     away may not know who was elected, but a leap does not come of elections;
//   - what is committed beyond the end of the log, unless the leader says so:
//     then entries have been lost, and raft's panic stops the group;
//   - acknowledgements of entries that their leader has not.
//
// All that is refused is counted. Whether a node is who it says is not looked
// at here: in the name of a member, and within these bounds, a message is
// believed (raftstore/transport, mutual TLS).
//
// Concurrency: everything but a Guard is safe for concurrent use; a Guard belongs
// to the runner of its group.
package raftmsg
