// Package broker is what a Kafka broker does, told in Go: topics, produce, fetch, offsets and group coordination over partitions.
//
// It joins the cluster's metadata (broker/cluster), the partitions
// (broker/partition) and the group coordinators (broker/group). Requests come
// in as plain Go values and leave as Go values and sentinel errors: the wire
// format and Kafka's error codes belong to kafka/handler.
//
// Guarantees: an acknowledged produce is durable as docs/durability.md says; effects of
// one caller's calls happen in the order of the calls; nothing is mapped to
// success that failed.
//
// Concurrency: every method of Broker is safe for concurrent use. Methods
// that wait take a context and return early when it ends.
//
// Bytes: the records a caller passes to Produce are copied before Produce
// returns. The records a fetch returns alias mapped segments and are valid
// until FetchResult.Release.
package broker
