// Package bench measures a whole node over loopback, with the raw device beside it in the same run.
//
// Storage benchmarks stand beside the code they measure (segment, wal); those
// here start a node in a temporary directory and talk Kafka to it.
package bench
