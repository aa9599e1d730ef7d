// Package partition is the Kafka reading of one partition's log: offsets, high watermark, producer sequences, leader epochs and timestamps.
//
// The log underneath is the partition's raft log (wal); a raft group
// (raftstore/multiraft) decides what is in it. A Partition is that group's
// state machine on one replica: a leader hands the group record batches to
// propose, and every replica learns what has been written, made durable and
// committed.
//
//	append -> pending -> proposed -> written -> durable -> committed = high watermark
//
// Invariants of a leader, checked after every transition in test builds (see
// valid):
//
//	LogStart <= HighWatermark <= Written <= End
//	Durable <= Written
//
// Guarantees: an acks=all append is acknowledged once its batch is committed
// in the term it was accepted in, and min.insync.replicas in-sync replicas have
// it durable; an acks=1 append once it is durable here; every accepted append
// is told its fate exactly once, and at once when the leadership ends. While
// fewer replicas are in sync than min.insync.replicas, acks=all is refused
// before anything is appended. Which are in sync SetISR tells; at the beginning
// of a term, before it does, a majority is: so many have confirmed the entry
// that the term begins with.
//
// A producer's batch is in the log at most once, as KIP-98 says, over restarts
// and changes of leader too: each replica knows the window of five batches a
// producer from the frames that it writes, and after a restart from the
// checkpoint in its newest sealed segment and the batches behind it; what is
// replaced at the end of a log is forgotten. That holds for the 10,000
// producers that wrote last, which take 3 MB at most: one that as many others
// wrote after is forgotten, as one that was idle for
// producer.id.expiration.ms is, and may come back with any sequence. Which ones
// are known follows from the log, so that a restart or another leader changes
// nothing.
//
// Transactions are in the log as KIP-98 says, and what is known of them follows
// from the log alone, on every replica (package txns). A reader of committed
// records ends at the last stable offset, the first record of the oldest
// transaction whose marker is not committed, and is told which of what it got
// was aborted. Where Options.Verify is set no transaction begins that its
// coordinator did not confirm in this leadership, since the last marker of the
// producer. WriteMarker ends one; its epochs fence older producers and older
// coordinators from then on. A transaction that nobody ends holds committed
// readers back for ever, but not retention and DeleteRecords: the log start
// moves the last stable offset.
//
// A replica that does not lead serves reads that allow it, up to where it knows
// the log to be committed: its high watermark, which never goes back while the
// process lives. A read of what it cannot know is ErrOffsetNotAvailable, and so is
// one of committed records while it makes what it knows of transactions anew, or
// has just been started and knows less to be committed than its newest checkpoint
// has.
//
// A log start that DeleteRecords sets is an entry of the log: a majority has it
// before DeleteRecords returns, every replica learns of it, and none comes back
// with what is before it. Retention is each replica's own. Neither drops what
// another replica lacks that a leader has heard of within ten minutes (Retain).
//
// While the disk is full appends and DeleteRecords are refused, those that wait
// are told so, and reads go on; it ends by itself.
//
// It does not validate records (kafka/batch does), speak Kafka's error codes,
// decide which replicas are in sync, or create and delete partitions.
//
// Concurrency: all methods are safe for concurrent use. The group's callbacks
// run on a scheduler shard; they take the partition's lock briefly and never
// do I/O under it, but for the table of producers when a leadership begins
// before it is made anew. Other goroutines are the partition's own; Close waits
// for them.
//
// Bytes: Append copies the batch. Read's records alias mapped segments until
// Result.Release.
package partition
