// Package dirs names the directories of partitions, and removes those of partitions that are gone.
//
// It guarantees that a directory's name tells the partition's raft group, which
// is never used again, so that the log of a deleted topic is not taken for
// that of the next one of its name; and that what is removed is forgotten by
// the hard states too.
//
// It does not open logs: package partition does.
//
// Concurrency: the functions are safe for concurrent use on different
// directories.
//
// Lifetime: nothing given to it is kept.
package dirs
