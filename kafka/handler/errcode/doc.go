// Package errcode turns the broker's errors into Kafka's error codes, for the version of the client that is told.
//
// It guarantees that no error becomes code 0, but for the substitutions of its
// table, and that what is answered in place of a newer code is the one that
// Kafka answers.
//
// It does not count, log or fill responses: kafka/handler does.
//
// Concurrency: its tables are read-only.
package errcode
