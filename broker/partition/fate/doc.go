// Package fate is what becomes of the appends to a partition: who waits for one, until when, and what he is told.
//
// A Queue holds those who wait in the order of their offsets, and tells each
// once: all below an offset that has been reached, or all there are when there
// is nothing left to wait for.
//
// Concurrency: none; the partition's lock guards its queues.
//
// Lifetime: a Queue forgets who has been told.
package fate
