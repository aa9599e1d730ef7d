// Package metrics holds every series that a node exports, as typed fields of one struct.
//
// What it guarantees: a series that stands in /metrics is one that something
// sets. Counters and histograms are fields; whoever does the work holds the
// field and calls it, without names or maps on the way. What is a state rather
// than an event (partitions, groups, connections) is not stored here at all: a
// Source is asked for it when somebody scrapes, so it cannot go stale.
// A scrape answers even while the Source is stuck: the sampled series are then
// absent and chronik_metrics_source_stuck is 1.
//
// What it does not do: it knows nothing of Kafka, of sockets or of files; it
// listens on no port (package admin does).
//
// Concurrency: everything here may be called from any goroutine. A call on the
// hot path is one or two atomic additions and allocates nothing.
//
// # Who sets what
//
//	Kafka.API(name).Observe, .Fail           kafka/handler, once a request and once an error code
//	Kafka.BytesIn, BytesOut                  kafka/server, once a frame read or written
//	Kafka.ConnectionsOpened, ConnectionClosed, ConnectionRejected
//	                                         kafka/server
//	Kafka.MemoryWaited                       kafka/server, when a connection has to wait for request memory
//	Kafka.FrameRejected                      kafka/handler, when a frame is refused before it is decoded
//	Kafka.RecordsProduced, BytesProduced, BytesFetched
//	                                         kafka/handler or broker
//	Storage.FramesAppended                   raftstore/multiraft, once an append to a log
//	Storage.Flush                            node, told by the wal's Syncer once a round
//	Storage.FlushFailed, CorruptRange        raftstore/multiraft, when a group fails for such an error
//	Storage.Recovered                        broker/partition, once a log opened
//	Raft.ElectionWon, ElectionLost           raftstore/multiraft
//	Raft.Committed                           raftstore/multiraft, once a batch of committed entries
//	Raft.CommitLatency                       raftstore/multiraft, once a proposal: proposed until committed
//	Raft.LogCompactions                      broker/partition, once the start of a log has moved
//	Raft.RPC(kind, node).Sent, .Failed, .Answered
//	                                         raftstore/link for raft's messages; node for requests
//	Raft.AppendEntriesSent, AppendEntriesReceived, AppendEntriesRejected
//	                                         raftstore/link
//	Raft.MessageRefused                      raftstore/multiraft
//	Raft.SnapshotCreated, SnapshotApplied, SnapshotTransferred, ConfigChanged
//	                                         raftstore/multiraft
//	Metrics.SetSource                        node: partitions, groups, connections, memory in flight
//	Metrics.Ready                            node: how long the start took
package metrics
