// Package disk is the disk of one simulated node: it loses power, is slow, and breaks its promises when told to.
//
// A Disk outlives the processes that use it. Each process mounts it and works
// through a Mount, an internal/vfs file system in memory. When the process ends
// (Kill) every later call of its Mount fails; when the power goes (PowerCut) the
// disk is besides what internal/vfs.Mem.Crash leaves of it: what was synced, and
// a random part of what was not.
//
// It guarantees: a call that returned nil before Kill or PowerCut was called is
// as durable as internal/vfs says, unless Late says otherwise; no call of an old
// Mount changes what a later one sees.
//
// A sync takes the time that SetDelay says, of a testing/synctest bubble.
//
// Concurrency: a Mount may be used by many goroutines. Disk's methods are
// called by one at a time.
package disk
