// Package frame is the encoding of one entry of a log: a header, a payload, and a hash over both.
//
// segment/FORMAT.md has the bytes. It guarantees that Verify accepts nothing
// that its hash does not cover, believes a version only under a good hash, and a
// length only as far as there are bytes; and that Write allocates nothing.
//
// It does not know files or segments beyond the position it is told to write at.
//
// Concurrency: all functions may be called from anywhere.
//
// Lifetime: payloads that ParseHeader and Verify find alias the bytes given.
package frame
