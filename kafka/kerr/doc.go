// Package kerr names the error codes of the Kafka protocol.
//
// It guarantees that every code of Kafka 4.3 and of the 4.4 branch has its number, its
// name, whether a client may try again, and a message for logs and for the responses that
// carry one. It does not decide when a code is sent: kafka/handler does.
//
// Everything here is constant and safe for concurrent use; strings live forever.
package kerr
