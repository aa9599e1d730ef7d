// Package partition is the Kafka reading of one partition's log: offsets, high watermark, producer sequences, leader epochs and timestamps.
//
// The log underneath is the partition's raft log (wal); a raft group
// (raftstore/multiraft) decides what is in it. A Partition is that group's
// state machine: it hands the group record batches to propose, and learns
// what has been written, made durable and committed.
//
//	append -> pending -> proposed -> written -> durable -> committed = high watermark
//
// Invariants, checked after every transition in test builds (see valid):
//
//	LogStart <= HighWatermark <= Written <= End
//	Durable <= Written
//
// Guarantees: an acks=all append is acknowledged once its batch is committed
// in the term it was accepted in, an acks=1 append once it is durable here;
// every accepted append is told its fate exactly once. A producer's batch is
// in the log at most once, as KIP-98 says, over restarts too: the window of
// five batches a producer is rebuilt from the checkpoint in the newest sealed
// segment and the batches behind it. That holds for the 10,000 producers that
// wrote last, which take 3 MB at most: one that as many others wrote after is
// forgotten, as one that was idle for producer.id.expiration.ms is, and may
// come back with any sequence. Which ones are known follows from the log, so
// that a restart changes nothing.
//
// While the disk is full appends are refused, those that wait are told so, and
// reads go on; it ends by itself.
//
// It does not validate records (kafka/batch does), speak Kafka's error codes,
// or create and delete partitions.
//
// Concurrency: all methods are safe for concurrent use. The group's callbacks
// run on a scheduler shard; they take the partition's lock briefly and never
// do I/O under it.
//
// Bytes: Append copies the batch. Read's records alias mapped segments until
// Result.Release.
package partition
