// Package handler answers Kafka requests: one file an API key, decoded, handed to the broker, and put into Kafka's words.
//
// The table in table.go names every API that is served, with its versions;
// dispatch and the ApiVersions reply derive from it, so nothing is advertised
// that does not work. A handler decodes a request, calls the broker through
// the narrow interface that its file declares, and fills the response. Rules
// of the business live in broker; error codes in errcode.
//
// It guarantees that bytes which are not a request this broker serves are
// refused with an error, which closes the connection (G2); that bytes behind a
// well-parsed request are ignored (G2); and that no error becomes code 0, but
// for the substitutions that errcode lists.
//
// It does not know sockets, frames or the order of responses: kafka/server
// does, and calls a [Session] a connection. Neither package imports the other;
// package node joins them.
//
// Concurrency: a Handler is safe for concurrent use and takes no lock of its
// own. A Session belongs to one connection; Serve is not called twice at once,
// but the function it returns for a Produce may run beside the next Produce.
//
// Lifetime of bytes: a request's strings alias its frame, which the caller
// keeps until Serve, or the function that Serve returned, has returned. A Fetch
// response refers to mapped segments until the caller calls release.
package handler
