// Package mapping keeps the mappings of a node's files few, and their pages in memory before they are touched.
//
// A Set is one of a node. It guarantees: no more mappings that can be taken
// away than its limit, except while all of them are being read; and bytes that
// File.Need was asked for have been in memory since the last Tick but one, so
// that touching them is no wait for the disk in a page fault, which would hold
// up every goroutine of that thread's processor. Within a tick the second
// question about the same 128 KiB costs about a nanosecond.
//
// It does not keep pages in memory: the kernel may take them at any time. With
// a Tick a second it takes those that were not touched for long first.
//
// Concurrency: all methods may be called at the same time, but nothing of a
// File after its Close.
//
// Lifetime: File.Bytes are valid until Close. Who may close is the owner's
// affair: it is asked (drop) before a mapping is taken away.
package mapping
