// Package transactions answers the Kafka requests of transactional producers, and those that ask what transactions there are.
//
// It is a part of kafka/handler, which has the table of APIs, decodes a request
// and encodes the response; here is what comes between, one file an API key.
//
// It guarantees that each error gets its code, and that a request is answered
// in the order and with the names that it came with.
//
// The rules of transactions are broker/transaction's, their host is
// broker/transactions; offsets in a transaction are broker/group's.
//
// Concurrency: a Call is one request's, and used by one goroutine.
//
// Lifetime: requests alias their frame until the response is encoded.
package transactions
