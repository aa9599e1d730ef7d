// Package network is the network of a simulated cluster: links that lose, delay, reorder, repeat and are cut.
//
// An Endpoint is one process on it: it sends raft messages (it is a
// multiraft.Transport), and calls others as broker/metadata.Peers wants. Links
// are directed and have an ID at both ends, so that they can be cut one way.
//
// It guarantees: nothing is delivered to or from a process that has ended, nor
// over a link that is cut at the time; a call is sent again when it is lost, as
// TCP does, and ends with an error when that does not help for seconds; without Reorder, what one end sends to
// another arrives in that order; receivers share no memory with senders.
//
// It runs on the time of a testing/synctest bubble. What happens is decided by
// the Rand it is given and by the order in which it is called.
//
// Concurrency: all methods are safe for concurrent use.
package network
