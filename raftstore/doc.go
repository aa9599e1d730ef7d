// Package raftstore is the raft reading of a partition's log: raft.Storage over a wal, and the hard states of all groups of a node.
//
// Storage answers raft from the log itself; there is no second copy. Entries
// that have been appended and not yet applied stay in memory, so that applying
// reads nothing. HardStates is one small log for all groups of a node: term,
// vote, commit and members of each; FORMAT.md is its on-disk format and its
// recovery.
//
// It guarantees:
//   - term and vote are durable when the callback of their save runs, and so
//     are all earlier records: the log of hard states is ordered;
//   - a commit index that was persisted was applied, and durable in the log,
//     before; so one that lies beyond the log proves a loss, and the group
//     refuses to start (ErrLostData) instead of going on with less;
//   - raft is never given an error that it does not know, since it would end
//     the process: Storage.Err has it, and the group is stopped;
//   - a torn tail of the hard states is told from damage;
//   - a full disk is told from a failure (DiskFull): what was asked for may be
//     asked for again.
//
// A snapshot is the log itself, in one piece (package handover), for a replica
// whose next entries have been dropped; of a log above 64 MiB there is none yet
// (the hand-over of segments is not built): such a replica waits. Install makes
// a log what a snapshot says; after a crash at any step of it the log still
// contradicts nothing this node has acknowledged.
//
// It does not drive raft (package multiraft does), or repair.
//
// Concurrency: HardStates is safe for concurrent use; a Storage belongs to the
// runner of its group.
//
// Lifetime: entries that Entries returns are shared with the memory of the
// Storage and must not be changed; they stay valid.
package raftstore
