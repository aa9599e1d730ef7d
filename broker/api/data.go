package api

import (
	"time"

	"chronik/broker/partition"
	"chronik/kafka/batch"
)

// TopicPartition names one partition: by name, or by id when the name is
// empty (Fetch 13+, Produce 13+). The broker fills in the other one.
type TopicPartition struct {
	Topic     string
	TopicID   [16]byte
	Partition int32
}

// ProduceRequest is one Produce call.
type ProduceRequest struct {
	Version         int16 // of the Kafka request: P1
	Acks            int16 // 0, 1 or -1
	Timeout         time.Duration
	ClientID        string
	TransactionalID string // "" when null
	Partitions      []ProducePartition
}

// ProducePartition is the records for one partition, and what became of them.
type ProducePartition struct {
	TopicPartition
	ByID    bool   // TopicID names the topic
	Records []byte // as on the wire; nil when null

	// Results; valid once Produce.Done is closed.
	Err           error
	RecordErrors  []batch.RecordError
	BaseOffset    int64 // -1 on error
	LogAppendTime int64 // ms; -1 unless message.timestamp.type=LogAppendTime
	LogStart      int64 // -1 on error
}

// FetchRequest is one Fetch call.
type FetchRequest struct {
	ReplicaID  int32 // -1 a consumer, -2 debugging
	MaxWait    time.Duration
	MinBytes   int32
	MaxBytes   int32
	Committed  bool // isolation level read_committed
	ClientRack string
	// ReplicaRead is a consumer's request that a replica that does not lead may
	// answer, or name in its stead: from version 11 on.
	ReplicaRead bool
	Partitions  []FetchPartition
}

// FetchPartition asks for the records of one partition, and holds them.
type FetchPartition struct {
	TopicPartition
	ByID               bool
	CurrentLeaderEpoch int32 // -1 not checked
	FetchOffset        int64
	LastFetchedEpoch   int32 // -1 none
	MaxBytes           int32

	// Results.
	Err              error
	HighWatermark    int64               // -1 when unknown
	LastStableOffset int64               // -1 when unknown
	Aborted          []partition.Aborted // when Committed: what concerns the records, by first offset (F9)
	LogStart         int64
	Diverging        *EpochEnd // F12
	Records          [][]byte  // whole batches; alias mapped segments until Release
	Size             int       // bytes in Records
	PreferredReplica int32     // KIP-392: the replica to ask instead, -1 none
}

// TxnMarker ends a producer's transaction in partitions (T50).
type TxnMarker struct {
	partition.Marker
	Partitions []TopicPartition
}

// EpochEnd is a leader epoch and the offset at which it ends.
type EpochEnd struct {
	Epoch     int32
	EndOffset int64
}

// LeaderEpoch is who leads a partition, and since which epoch.
type LeaderEpoch struct {
	ID    int32 // -1 none
	Epoch int32
}

// Special timestamps of ListOffsets.
const (
	TimestampLatest                = -1
	TimestampEarliest              = -2
	TimestampMax                   = -3
	TimestampEarliestLocal         = -4
	TimestampLatestTiered          = -5
	TimestampEarliestPendingUpload = -6
)

// ListOffset asks for one offset of one partition (L1..L5). The handler has
// already refused timestamps that the version does not know (L6).
type ListOffset struct {
	TopicPartition
	ReplicaID          int32
	Committed          bool
	CurrentLeaderEpoch int32
	Timestamp          int64
}

// OffsetAt is the answer to a ListOffset; all -1 when there is none.
type OffsetAt struct {
	Offset      int64
	Timestamp   int64
	LeaderEpoch int32
}
