// Package handover encodes a whole log, as it goes to a replica whose next entries the leader has dropped.
//
// It is what a raft snapshot carries as long as a log is small (BytesMax): where
// the log begins, and its frames up to an index that is applied. FORMAT.md in
// raftstore has the bytes.
//
// It guarantees that what Decode returns can be appended to a log that begins
// where it says: indexes follow each other, terms and offsets do not go back, and
// the last entry is the one the snapshot names. Nothing is allocated for more
// frames than the bytes can hold. Whether payloads make sense is for the state
// machine.
//
// Concurrency: it has no state.
//
// Lifetime: payloads that Decode returns alias its argument.
package handover
