// Package coordinator runs the state machines of coordinators over the partitions of their topic, and that of groups over __consumer_offsets.
//
// A Runner has one State for each partition this node leads. When leadership begins it replays the partition
// into the State, in the background; until then calls are answered COORDINATOR_LOAD_IN_PROGRESS. When it ends
// everything held is answered NOT_COORDINATOR. In between, the Runner turns a State's effects into appends with acks
// all, their outcomes and the clock into calls of the State, and replies into return values. A Host is the Runner of
// groups (broker/group), with a method for each of their calls; that of transactions is broker/transactions'.
//
// Guarantees: the records of a State reach the log in the order in which it emitted them, and only while the
// partition is led in the epoch that the State was loaded in. A call is answered, or its context ends.
//
// Groups, members and offsets of all partitions take 512 MiB at most; then no more are taken, and what is there goes on.
//
// The log of a partition does not grow for ever: from time to time the Runner appends the whole state again and moves
// the log start to it.
//
// It does not decide anything about what it runs, nor which node leads a partition.
//
// Concurrency: every method is safe for concurrent use. A State runs under one lock, which is never held while
// waiting for the disk. RoleChanged and Partition's acknowledgements come with locks of others held: both leave a
// note and return.
//
// Lifetime of bytes: requests may be reused once a call has returned; metadata and assignments in responses are
// shared and must not be written to.
package coordinator
