// Package producers is the sequence table of a partition: what it remembers of idempotent producers, and its checkpoints.
//
// A producer numbers its batches. The table knows the last five of each of the
// producers that wrote last, 10,000 at most, and so tells a batch that was sent
// again, one that follows, and one that has left out another (KIP-98). Which
// producers it knows follows from the log alone: whoever reads the same batches
// in the same order, leader or follower, before a restart or after it, has
// the same table.
//
// A leader notes batches before they are in the log. Those may be lost; a
// checkpoint as of an offset has none from there on, even if they have pushed
// others out of the table.
//
// It does not read the log: package partition does.
//
// Concurrency: none; the partition's lock guards its table.
//
// Lifetime: nothing given to it is kept.
package producers
