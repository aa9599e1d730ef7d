// Package admin answers HTTP on the metrics port: /health, /ready and /metrics.
//
// What it guarantees: it answers while the data path is stuck. Nothing here
// waits for a lock of the broker: /health asks nobody, /ready gives the node a
// bounded time and then says that it does not answer, and the metrics that it
// writes are made that way too. A response is complete before its first byte
// is sent, so that a scrape is never half a page with status 200.
//
// What it does not do: it knows nothing of Kafka or raft, and it has no
// authentication; the port belongs behind the same wall as the broker's own.
//
// Concurrency: requests are served concurrently; the functions in Options are
// called from many goroutines.
package admin
