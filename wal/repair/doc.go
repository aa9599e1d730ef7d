// Package repair makes a copy of a damaged log that can be opened, and says what is lost in it.
//
// Repair reads a log as wal/inspect does, writes a directory that did not
// exist, and verifies it before it answers.
//
// It guarantees:
//   - the source is opened for reading only and nothing in it changes;
//   - without being told, nothing is lost but a torn tail. What can be made of
//     the frames again is: a manifest, a segment's header, its table;
//   - anything else is refused, with the position of the damage and with what
//     would be lost by giving up what stands behind it, or before it;
//   - the copy's indexes follow each other without a hole, as raft needs them: a
//     log is cut at its end or at its front, never in the middle;
//   - a copy is verified clean, or removed.
//
// It does not mend a frame whose hash is wrong, nor know what other replicas
// have: with those, their log is the better repair.
//
// Concurrency: every call stands alone.
//
// Lifetime: what is returned is the caller's.
package repair
