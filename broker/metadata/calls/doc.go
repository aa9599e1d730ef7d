// Package calls is what members of the metadata ask of each other, and how a node asks to join.
//
// It holds the calls and answers as bytes, the codes by which errors travel, the
// memory of commands a leader has admitted, and Join. Members answer
// (broker/metadata).
//
// Every call and answer begins with a version. Strings own their memory. What
// does not decode is an error; nothing panics on bytes from the network.
//
// Concurrency: Admissions belong to one goroutine at a time; the rest is
// functions and values.
package calls
