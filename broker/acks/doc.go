// Package acks waits for what becomes of the appends of one request, many partitions at once, until a timeout.
//
// It guarantees that each append is told one fate, and that Done closes when
// all have been.
//
// It does not append, nor decide when an append is acknowledged.
//
// Concurrency: all methods are safe for concurrent use. The function that is
// told of fates is called with a lock held, and with the partition's: it must
// be quick and call nothing of either.
package acks
