// Package compat proves that real Kafka clients work against the real binary.
//
// Eight clients (kcat, franz-go, sarama, kafka-go, the Apache Java client, kafka-python, confluent-kafka, kafkajs)
// produce with each codec, idempotent and not; each of them consumes what each of them produced, and every key, value,
// header, timestamp and the order in each partition are compared; groups of two share a topic and resume from their
// commits; admin calls go through each client's own admin API. Foreign clients run as driver programs (java/, python/,
// node/) that take one JSON command a line on stdin and answer one a line on stdout; the suite installs them itself
// into test/.cache. A client that cannot be installed is a failure, never a skip. Four of them read, transform and write in
// transactions.
package compat
