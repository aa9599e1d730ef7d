// Package manifest is the file that says which segments make up a log and where the log starts.
//
// wal/FORMAT.md has its bytes. It guarantees that what Parse accepts has a good
// hash and segments that follow each other, and that what Encode writes, Parse
// accepts. It does not read segments and does not replace the file: package wal
// does.
//
// Concurrency: a Manifest has none of its own; the functions stand alone.
//
// Lifetime: what Parse returns holds nothing of what it was given.
package manifest
