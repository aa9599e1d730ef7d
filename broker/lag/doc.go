// Package lag tells how the groups that this node coordinates are, and how far behind on the partitions that they read.
//
// The end of a partition comes from the replica on this node, and of one that
// has none here from its leader. Leaders are asked in the background, one call
// a node for all its partitions, and at most every few seconds however often
// Groups is called; only what has never been told is waited for, briefly. What
// no leader has told for a minute is left out.
//
// It keeps no account of its own: lag is the high watermark less the committed
// offset, both as they are known at the call.
//
// Concurrency: all methods are safe for concurrent use.
package lag
