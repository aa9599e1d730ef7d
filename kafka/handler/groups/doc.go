// Package groups answers the Kafka requests of consumer groups: members, their offsets, and what is to be told of them.
//
// It is a part of kafka/handler, which has the table of APIs, decodes a request and
// encodes the response; here is what comes between, one file an API key.
//
// It guarantees that each error of a group gets its code, and that a request is
// answered in the order and with the names that it came with.
//
// The rules of groups are broker/group's, their host is broker/coordinator.
//
// Concurrency: a Call is one request's, and used by one goroutine.
//
// Lifetime: requests alias their frame until the response is encoded.
package groups
