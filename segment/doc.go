// Package segment is one file of hashed frames, appended with pwritev and read through a mapping.
//
// A frame carries one append group: a fixed header and then whole Kafka record
// batches back to back (or a raft membership change, or nothing). Frames of a
// segment have consecutive raft indexes, so frame number i has index
// BaseIndex+i; a table of 16 bytes a frame finds a frame by index in one step
// and by offset or timestamp by binary search. FORMAT.md is the on-disk format
// and the recovery procedure.
//
// It guarantees:
//   - bytes of a frame never change after it was published, while anybody reads
//     the file: a cut suffix is left behind, never overwritten. Recycle is only
//     for files that Retire says nobody reads;
//   - nothing is read that its xxh64 does not cover: frames that this process
//     did not write are verified before they are first returned;
//   - a torn tail is told from corruption: frames that some later frame proves
//     to have been durable are never cut;
//   - a failed sync, write-out or flush of the device poisons the segment: no
//     later append or sync succeeds;
//   - the room for a frame is allocated, written and inside of the file before
//     the frame is published, so a full disk is an error of Append and never a
//     fault under the mapping.
//
// It does not know which segments belong to a log: that is package wal.
//
// Concurrency: an Active has one writer (Append, Seal, Close); Sync, Extend and
// the steps of a group sync may run beside it, and any number of readers, which
// take no lock.
//
// Lifetime: payloads that Frame returns alias the mapping and are valid while
// the caller holds a reference (Acquire, Release).
package segment
