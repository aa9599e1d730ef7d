// Package api is the words of the broker: what it is asked and what it answers, as plain Go values.
//
// Package broker has all of them under its own name; they stand here so that
// its parts can share them. They know neither the wire format nor Kafka's error
// codes.
//
// Concurrency, lifetime: values; where one refers to bytes, its comment says
// whose.
package api
