// Package vfs is the disk as the storage engine sees it: files that are written at positions, mapped for reading and made durable on request.
//
// It guarantees, for every implementation: a write that returned nil is visible
// to ReadAt and to every mapping of the file at once; a file's bytes are durable
// after Datasync, a directory's names (creations, renames, removals) after
// SyncDir, and nothing is durable before, except that a range which WaitOut has
// written over durable extents shares the flush of a later Datasync of any file
// of the same Device; a full disk or quota is ErrNoSpace.
//
// It does not retry a failed sync, does not cache, and does not truncate: a
// mapped file that shrinks is a crash that Go cannot catch.
//
// There are three implementations: OS is the operating system; Mem keeps files
// in memory and can lose power (Crash); Faulty wraps another one and makes
// chosen calls fail.
//
// Concurrency: all methods of FS and File may be called at the same time, with
// one exception: Close must be the last call on a File. Overlapping writes have
// no defined outcome.
//
// Lifetime: a Mapping outlives its File; its bytes are valid until Mapping.Close.
package vfs
