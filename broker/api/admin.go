package api

import (
	"time"

	"chronik/broker/cluster"
	"chronik/broker/config"
)

// Node is a broker as clients see it.
type Node struct {
	ID   int32
	Host string
	Port int32
	Rack string // "" none
	// Fenced is a broker that has lost contact with the cluster.
	Fenced bool
}

// TopicInfo describes a topic (M).
type TopicInfo struct {
	Name       string
	ID         [16]byte
	Internal   bool
	Err        error // e.g. ErrUnknownTopicOrPartition; then the rest is empty
	Partitions []PartitionInfo
}

// PartitionInfo describes one partition of a topic.
type PartitionInfo struct {
	Partition int32
	Err       error // ErrLeaderNotAvailable
	Leader    LeaderEpoch
	Replicas  []int32
	ISR       []int32
	Offline   []int32
}

// MetadataRequest names topics by name or id; All asks for every topic.
type MetadataRequest struct {
	All        bool
	Topics     []TopicRef
	AutoCreate bool // the client allows it; the broker's setting decides as well
}

// TopicRef names a topic by name, or by id when ByID.
type TopicRef struct {
	Name string
	ID   [16]byte
	ByID bool
}

// NewTopic asks for a topic to be created (A1..A6).
type NewTopic struct {
	Name              string
	Partitions        int32 // -1 default
	ReplicationFactor int16 // -1 default
	Assignments       []Assignment
	Configs           []ConfigValue
}

// Assignment places one partition on brokers.
type Assignment = cluster.Assignment

// ConfigValue is one setting; Null when the request carried a null value.
type ConfigValue struct {
	Name  string
	Value string
	Null  bool
}

// CreatedTopic is what CreateTopics did for one topic.
type CreatedTopic struct {
	Name              string
	Err               error
	ID                [16]byte
	Partitions        int32
	ReplicationFactor int16
	Configs           []config.Entry // all effective, sorted by name
}

// NewPartitions asks for more partitions of a topic (A10).
type NewPartitions struct {
	Topic       string
	Count       int32     // total after the change
	Assignments [][]int32 // nil: the broker places them
}

// DeletedTopic is what DeleteTopics did for one topic.
type DeletedTopic struct {
	Name string // "" when unknown
	ID   [16]byte
	Err  error
}

// ConfigResource names what a config belongs to, with Kafka's type codes.
type ConfigResource struct {
	Type int8 // 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group
	Name string
}

// DescribedConfig is the effective configuration of one resource (CF1..CF4).
type DescribedConfig struct {
	Resource ConfigResource
	Err      error
	Entries  []config.Entry
}

// ConfigChange changes the overrides of one resource: by operations
// (IncrementalAlterConfigs), or by replacing the whole set (AlterConfigs).
type ConfigChange struct {
	Resource ConfigResource
	Ops      []config.Op // incremental
	Replace  bool
	Values   []ConfigValue // when Replace
}

// LogDir is one data directory (R4).
type LogDir struct {
	Err         error
	Path        string
	Partitions  []LogDirPartition
	TotalBytes  int64 // -1 unknown
	UsableBytes int64 // -1 unknown
}

// LogDirPartition is the space one replica takes.
type LogDirPartition struct {
	TopicPartition
	Bytes     int64
	OffsetLag int64
}

// DefaultTimeout is used where a request states none.
const DefaultTimeout = 30 * time.Second
