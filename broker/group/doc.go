// Package group decides what classic consumer groups and committed offsets do, as a pure state machine.
//
// A [Shard] is every group of one partition of __consumer_offsets. It does no
// I/O, starts no goroutine and reads no clock: time is an argument, member ids
// come from Config.NewID, and what must happen outside is appended to an
// [Effects] that the caller passes in:
//
//   - Reply answers the call that brought the Token, at once or later (a join
//     waits for the others, a sync for the leader, a commit for the log).
//   - Append asks the host to write records to the partition, in the order of
//     their ids, and to call Appended with the outcome.
//   - Deadline says when Tick has something to do.
//
// Offsets of a transaction show with its marker, or never (KIP-98, KIP-447):
// they are appended in the name of their producer, and the marker is appended
// here too, so that both are in the order in which they are decided.
//
// What it guarantees. Every token is answered exactly once: [Shard.Resign]
// answers whatever is still held. A committed offset is acknowledged, and
// visible to FetchOffsets, only after its record is committed. The records
// emitted, replayed through Load, give the same durable state: offsets, and the
// groups as of their last record. Work a call does is bounded by the group it
// names; timers are a heap, so ten thousand idle groups cost nothing.
//
// What clients make it remember is bounded: a member brings at most what a
// batch of the partition holds, a group grows to the members whose generation
// fits into one (GROUP_MAX_SIZE_REACHED), and when the memory of all Shards is
// used up (Config.Full) nothing is added (COORDINATOR_NOT_AVAILABLE). A group
// that is only a member id that was handed out goes with it.
//
// Members and generations are package classic's, the words for effects package
// effect's; offsets, loading, expiry and the ways in are here.
//
// What it does not do. It knows no request versions and no error codes: the
// request fields say what the client can take (RequireKnownMemberID,
// SkipAssignment) and [Error] has a name for each of Kafka's codes; the
// substitutions for old versions (GROUP_ID_NOT_FOUND for old commits, say) are
// the handler's. Authorization and the existence of topics are checked before
// it is called; whether an offset's transaction is known to its coordinator is
// what AskPermit has the host ask for. KIP-848 groups are not built; their
// records are skipped on load and counted.
//
// Concurrency. A Shard is for one goroutine at a time; its host holds a lock
// over a call and over handing its Appends to the partition, so that the log
// has them in the order of their ids.
//
// Lifetime of bytes. Requests may alias network buffers: whatever a Shard keeps
// it copies before it returns. Replies and records are the caller's, but the
// metadata and assignment bytes inside replies are shared and must not be
// written to.
//
// The states and the rule ids in comments (J15, O4) follow Kafka's group
// protocol (KIP-62, KIP-345, KIP-394, KIP-559, KIP-814).
package group
