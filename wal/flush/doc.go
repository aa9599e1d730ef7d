// Package flush makes the logs of a node durable together: it writes all of them out and then flushes the device once.
//
// A round begins when somebody waits and none is under way; who comes meanwhile
// is in the next one. Within a round every member whose dirty bytes lie in
// extents that are durable is written to the device, all at the same time; then
// one flush of the device, asked of a file that has nothing of its own to write,
// makes all of them durable. The other members are synced each by itself, several
// at a time.
//
// It guarantees: a member is told that it is durable only after a flush of its
// device, or a sync of its own, that began after its bytes were written out and
// succeeded. A write-out or sync that fails is the failure of that member alone.
// A flush that fails is the failure of every member that relied on it, and none
// of these is flushed again: what the device lost is not known. The file it was
// asked of is not used again either.
//
// It does not know what a member is, and does not poison: members do.
//
// Concurrency: a Syncer's methods may be called from anywhere. A member's Begin
// and End are called by one goroutine at a time, its other methods between the
// two.
package flush
