// Package crashtest loses power or fails a call at every step of a workload on a disk in memory, and compares what is left with a model.
//
// A Workload is a store beside its model. Campaign.Crash runs it from many
// seeds and, before every call that changes the disk, takes the image that a
// power cut would leave (vfs.Mem.Crash). Each image is opened and compared; of
// some, every step of that recovery loses power again; and what a recovery has
// shown once must be shown by whoever loses power after it. Campaign.Fail runs
// the same workload once for every call it makes, with that call failing, and
// then does the same from there on, and ends the process without a word.
//
// It guarantees that many runs have hit each kind of operation, or the test fails, and
// that a failure names its seed and the command that runs it again.
//
// It does not order goroutines: a workload that wants its images to be the same
// each time waits for what it started before a step returns.
//
// Concurrency: a Disk may be used by many goroutines. Workloads are driven by
// one; Now may be called from any.
package crashtest
