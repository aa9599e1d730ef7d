// Package wal is an ordered run of segments: one durable log, read by raft index and by Kafka offset.
//
// It guarantees:
//   - what Sync has reported durable is there after a crash, whole and in
//     order; what was not is whole or absent, never half;
//   - TruncateFrom and SetStart are durable on return, and atomic: a crash
//     leaves the log as before or as after;
//   - corruption is an error that says where, never a shorter log; the file is
//     left as it was found;
//   - after a failed write or sync the log takes no more appends (ErrPoisoned);
//     reads go on. A full disk (vfs.ErrNoSpace) is not such a failure: appends
//     and syncs fail, and work again when there is room;
//   - Append waits for no sync, but for the end of the roll before when the next
//     one is due already.
//
// Logs that have a Syncer in common become durable together (package flush).
//
// It does not interpret payloads, does not know what is committed, and keeps no
// copy of them in memory. FORMAT.md has the manifest and the recovery.
//
// Concurrency: all methods may be called from anywhere. Append and TruncateFrom
// exclude each other; Roll and SetStart make appends wait for a moment, not for
// their syncs; readers take no lock.
//
// Lifetime: Entries copies payloads, they belong to the caller. Read,
// FindTimestamp and LastMaxTimestamp return payloads that alias a mapping until
// the Ref they come with is released, once.
package wal
