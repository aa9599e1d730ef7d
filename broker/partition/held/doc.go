// Package held knows how far the replicas of a partition have its log, in offsets.
//
// A raft group tells of other replicas how many entries they have confirmed;
// marks tell at which offset the log ended behind some of those entries. There
// are 1,024 marks at most; between two of them a replica counts as at the lower
// one.
//
// Concurrency: none; the partition's lock guards it.
//
// Lifetime: nothing given to it is kept.
package held
