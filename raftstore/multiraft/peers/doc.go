// Package peers keeps what the leader of a raft group knows of the other members: how far they are, and when they were last heard of and caught up.
//
// CaughtUp is what Kafka calls lastCaughtUpTimeMs: a member that holds, now,
// everything that the leader held a tick ago counts as caught up at the time it
// was last heard of. So a busy leader, whose members are always a little behind,
// has them in sync as long as they keep up.
//
// It reads no clock and knows nothing of raft: package multiraft tells it.
//
// Concurrency: none; a table belongs to the runner of its group.
package peers
