// Package wire reads and writes what nodes send each other: hellos, frames of raft messages, calls and answers.
//
// FORMAT.md in the directory above has the byte tables.
//
// It guarantees:
//   - a message that is written and read is the same, absent fields included;
//   - reading arbitrary bytes neither panics nor allocates much more than what
//     has arrived: a length is believed up to a few MiB, and beyond that the
//     buffer grows with the bytes.
//
// It does no I/O of its own and knows no connections.
//
// Concurrency: a Writer or MessageReader is for one goroutine at a time.
//
// Lifetime: bodies, and the byte slices of messages and calls read from them,
// are parts of the buffer that ReadFrame has allocated for that frame.
package wire
