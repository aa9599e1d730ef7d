// Package metadata is this node's member of the raft group that holds the cluster's metadata.
//
// Commands (broker/cluster) are proposed on any node and carried out in the
// same order on all of them. A node that forms a cluster is its first voter; a
// node that joins one (Join) is registered, learns the log, and is made a voter
// when there are three, or five. In the background (Start) each broker gives
// signs of life to the leader, which fences those that give none for a session.
//
// It guarantees:
//   - A command that Propose has reported is committed, durable on a majority,
//     and applied on this node. It is carried out at most once, though it is
//     sent again when a leader fails. When that cannot be known Propose says
//     ErrTimeout: a change is told by its result, not by its absence.
//   - After Await this node's state has everything that was committed before.
//   - The log is shortened by an image of the state in it
//     (docs/adr/0003-metadata-is-compacted-by-an-image.md); a node that lacks
//     what was dropped is sent the rest and goes on from the image.
//
// It does not carry messages (Peers does), decide what is placed where
// (broker/cluster does), or remove members.
//
// Concurrency: all methods are safe for concurrent use.
package metadata
