package broker

import "errors"

// Sentinel errors of this package, named after Kafka's. kafka/handler maps
// them to codes; a wrapped message becomes the response's error message.
var (
	ErrUnknownTopicOrPartition      = errors.New("this server does not host this topic-partition")
	ErrUnknownTopicID               = errors.New("this server does not host this topic id")
	ErrInvalidTopic                 = errors.New("the topic name is not valid")
	ErrTopicExists                  = errors.New("topic with this name already exists")
	ErrInvalidPartitions            = errors.New("number of partitions is invalid")
	ErrInvalidReplicationFactor     = errors.New("replication factor is invalid")
	ErrInvalidReplicaAssignment     = errors.New("replica assignment is invalid")
	ErrInvalidRequest               = errors.New("the request is malformed or contradicts itself")
	ErrInvalidConfig                = errors.New("configuration is invalid")
	ErrPolicyViolation              = errors.New("request parameters do not satisfy the configured policy")
	ErrTopicDeletionDisabled        = errors.New("topic deletion is disabled")
	ErrInvalidRequiredAcks          = errors.New("produce request specified an invalid value for required acks")
	ErrNotLeader                    = errors.New("this broker is not the leader of the partition")
	ErrLeaderNotAvailable           = errors.New("there is no leader for this topic-partition")
	ErrNotEnoughReplicas            = errors.New("messages are rejected since there are fewer in-sync replicas than required")
	ErrNotEnoughReplicasAfterAppend = errors.New("messages are written to the log, but to fewer in-sync replicas than required")
	ErrRequestTimedOut              = errors.New("the request timed out")
	ErrOffsetOutOfRange             = errors.New("the requested offset is not within the range of offsets maintained by the server")
	ErrOffsetNotAvailable           = errors.New("the leader high watermark has not caught up from a recent leader election")
	ErrFencedLeaderEpoch            = errors.New("the leader epoch in the request is older than the epoch on the broker")
	ErrUnknownLeaderEpoch           = errors.New("the leader epoch in the request is newer than the epoch on the broker")
	ErrStorage                      = errors.New("disk error when trying to access log file on the disk")
	ErrOutOfOrderSequence           = errors.New("the broker received an out of order sequence number")
	ErrInvalidProducerEpoch         = errors.New("producer attempted to produce with an old epoch")
	ErrUnsupportedVersion           = errors.New("the version of the API is not supported for this request")
	ErrTransactionalIDMissing       = errors.New("a transactional batch needs a transactional id")
	ErrTransactionsNotBuilt         = errors.New("transactions are not supported by this broker")
	ErrCoordinatorNotAvailable      = errors.New("the coordinator is not available")
	ErrUnsupportedEndpointType      = errors.New("endpoint type is not supported")
	ErrMismatchedEndpointType       = errors.New("the request was sent to an endpoint of the wrong type")
	ErrShuttingDown                 = errors.New("the broker is shutting down")
)
