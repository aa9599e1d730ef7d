// Package multiraft runs the raft groups of a node: many groups on few goroutines, each driving a state machine.
//
// A group has no goroutine. A host has as many shards as processors; a group
// with something to do (a wake, a message, a write that is durable) stands in
// its shard's queue, once, and the shard steps raft, writes the log, and calls
// the state machine:
//
//	TakeProposal -> raft -> log.Append -> Appended -> log.Sync -> Durable -> majority -> Committed
//
// A leader takes everything that waits as one entry, and does not take the next
// while two of its entries wait for the disk: so entries grow with the load.
// One-member groups run the same way; nothing about them is special but that
// they campaign at once and are not ticked.
//
// It guarantees:
//   - no vote, and no acknowledgement of entries, leaves before it is durable;
//   - a state machine is called by one goroutine at a time and sees each
//     committed entry once per process, in order;
//   - Leader is reported only after the first entry of the own term has been
//     applied, and its end before an entry of another term is appended;
//   - an I/O error, damage, or a broken invariant stops one group, for good and
//     with one call of Failed; the others go on;
//   - messages that no correct member sends neither stop a group nor use up its
//     terms (package raftmsg);
//   - a read index (ReadIndex), on any member, sees everything that was
//     acknowledged before it was asked for, and is refused where there is no leader;
//   - a full disk stops nothing for good: the group keeps what found no room,
//     says so (NoRoom), and goes on by itself when there is room.
//
// Elections: raft's own, with pre-votes and a leader that steps down without a
// majority. A group does not wait for their timeouts when it is new and this
// member is its candidate, or when the leader's process is known to be gone
// (Host.Down): then the members forget the leader and campaign in an order that
// all know (package hurry).
//
// A member whose next entries have been dropped is sent the whole log, if it is
// small, and installs it beside the shard, while its group stands still: crashes
// leave the old log or one that the leader goes on with.
//
// Memory: proposals that are not applied (8 MiB a group: raft's own limit on
// uncommitted entries would add nothing), what is on its way to a member (16
// MiB, and no more than one message to one that is unreachable), what has come
// from peers and is not durable (32 MiB a group, 256 MiB a node; more is dropped,
// and raft repeats it), and snapshots on their way (four a node) are bounded.
//
// It does not carry messages (Transport does), compact logs (Retained tells what
// is still needed), or hand over logs in pieces.
//
// Concurrency: Host and Group are safe for concurrent use.
//
// Lifetime: payloads given to Committed are valid during the call; those taken
// from TakeProposal belong to the host.
package multiraft
