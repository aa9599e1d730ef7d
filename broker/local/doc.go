// Package local holds the partitions of this node: it opens, finds and deletes them as the metadata says.
//
// Guarantees: a partition is found only once it is open; one that could not be
// opened answers with the reason, and is not tried again until the process
// restarts, for its files want a look first (but for one that found no room on
// the disk). Files are removed only for topics that the given metadata knows
// to be deleted.
//
// It does not decide what is to be here, nor follow the metadata by itself:
// the broker calls Reconcile.
//
// Concurrency: Reconcile and RemoveOrphans are called by one goroutine at a
// time; everything else at any time, from any goroutine.
package local
