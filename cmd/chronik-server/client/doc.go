// Package client asks running brokers over Kafka's protocol, for a command of the command line.
//
// It guarantees:
//   - a connection's deadline bounds everything that is asked over it;
//   - an error of the broker is named as Kafka names it, with what it is about;
//   - a length in a response is believed up to 256 MiB.
//
// It does not pool, pipeline or reconnect; Settled alone asks again.
//
// Concurrency: one goroutine a connection.
//
// Lifetime: what is returned is the caller's.
package client
