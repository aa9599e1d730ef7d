package broker

import "chronik/broker/api"

// What the broker is asked and answers; see package api.
type (
	Assignment       = api.Assignment
	ConfigChange     = api.ConfigChange
	ConfigResource   = api.ConfigResource
	ConfigValue      = api.ConfigValue
	CreatedTopic     = api.CreatedTopic
	DeletedTopic     = api.DeletedTopic
	DescribedConfig  = api.DescribedConfig
	EpochEnd         = api.EpochEnd
	FetchPartition   = api.FetchPartition
	FetchRequest     = api.FetchRequest
	LeaderEpoch      = api.LeaderEpoch
	ListOffset       = api.ListOffset
	LogDir           = api.LogDir
	LogDirPartition  = api.LogDirPartition
	MetadataRequest  = api.MetadataRequest
	NewPartitions    = api.NewPartitions
	NewTopic         = api.NewTopic
	Node             = api.Node
	OffsetAt         = api.OffsetAt
	PartitionInfo    = api.PartitionInfo
	ProducePartition = api.ProducePartition
	ProduceRequest   = api.ProduceRequest
	TopicInfo        = api.TopicInfo
	TopicPartition   = api.TopicPartition
	TopicRef         = api.TopicRef
	TxnMarker        = api.TxnMarker
)

// Special timestamps of ListOffsets.
const (
	TimestampLatest                = api.TimestampLatest
	TimestampEarliest              = api.TimestampEarliest
	TimestampMax                   = api.TimestampMax
	TimestampEarliestLocal         = api.TimestampEarliestLocal
	TimestampLatestTiered          = api.TimestampLatestTiered
	TimestampEarliestPendingUpload = api.TimestampEarliestPendingUpload
)

// DefaultTimeout is used where a request states none.
const DefaultTimeout = api.DefaultTimeout
