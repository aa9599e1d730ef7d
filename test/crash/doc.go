// Package crash proves that SIGKILL of the real binary loses nothing that was acknowledged.
//
// Producers (idempotent and not, acks=all and acks=1), a consumer group and a committer without a group run through all
// rounds; each round kills the process in the middle of their traffic, restarts it on the same directory and checks.
// Every record carries its producer, its sequence number in the partition and a checksum, and every acknowledgement is
// kept with its offset, so the log can be compared with what was promised: nothing missing, nothing changed, order
// kept, no duplicate from an idempotent producer, offsets dense; committed offsets and topics are there as acknowledged.
//
// What SIGKILL leaves is what the page cache holds; losing power is simulated below the product's file system, not here.
//
//	CHRONIK_CRASH_ROUNDS  rounds (20)
//	CHRONIK_CRASH_SEED    seed of the moments of the kills and of the records (random; a failure prints it)
package crash
