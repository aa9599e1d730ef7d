// Package frames reads what is in the frames of a partition's log: record batches, log starts, leader epochs.
//
// It works on bytes that may lie in mapped segments: a page that cannot be read
// is an error of the function, not the end of the process.
//
// It guarantees whole batches, and bounds by what the bytes hold. It does not
// check CRCs; what is in the log was checked before.
//
// Concurrency: functions, without state.
//
// Lifetime: what they return refers to nothing, but for Cut, which aliases.
package frames
