package kerr

// The codes of the protocol. Their numbers never change.
const (
	UnknownServerError                     Code = -1
	None                                   Code = 0
	OffsetOutOfRange                       Code = 1
	CorruptMessage                         Code = 2
	UnknownTopicOrPartition                Code = 3
	InvalidFetchSize                       Code = 4
	LeaderNotAvailable                     Code = 5
	NotLeaderOrFollower                    Code = 6
	RequestTimedOut                        Code = 7
	BrokerNotAvailable                     Code = 8
	ReplicaNotAvailable                    Code = 9
	MessageTooLarge                        Code = 10
	StaleControllerEpoch                   Code = 11
	OffsetMetadataTooLarge                 Code = 12
	NetworkException                       Code = 13
	CoordinatorLoadInProgress              Code = 14
	CoordinatorNotAvailable                Code = 15
	NotCoordinator                         Code = 16
	InvalidTopicException                  Code = 17
	RecordListTooLarge                     Code = 18
	NotEnoughReplicas                      Code = 19
	NotEnoughReplicasAfterAppend           Code = 20
	InvalidRequiredAcks                    Code = 21
	IllegalGeneration                      Code = 22
	InconsistentGroupProtocol              Code = 23
	InvalidGroupID                         Code = 24
	UnknownMemberID                        Code = 25
	InvalidSessionTimeout                  Code = 26
	RebalanceInProgress                    Code = 27
	InvalidCommitOffsetSize                Code = 28
	TopicAuthorizationFailed               Code = 29
	GroupAuthorizationFailed               Code = 30
	ClusterAuthorizationFailed             Code = 31
	InvalidTimestamp                       Code = 32
	UnsupportedSaslMechanism               Code = 33
	IllegalSaslState                       Code = 34
	UnsupportedVersion                     Code = 35
	TopicAlreadyExists                     Code = 36
	InvalidPartitions                      Code = 37
	InvalidReplicationFactor               Code = 38
	InvalidReplicaAssignment               Code = 39
	InvalidConfig                          Code = 40
	NotController                          Code = 41
	InvalidRequest                         Code = 42
	UnsupportedForMessageFormat            Code = 43
	PolicyViolation                        Code = 44
	OutOfOrderSequenceNumber               Code = 45
	DuplicateSequenceNumber                Code = 46
	InvalidProducerEpoch                   Code = 47
	InvalidTxnState                        Code = 48
	InvalidProducerIDMapping               Code = 49
	InvalidTransactionTimeout              Code = 50
	ConcurrentTransactions                 Code = 51
	TransactionCoordinatorFenced           Code = 52
	TransactionalIDAuthorizationFailed     Code = 53
	SecurityDisabled                       Code = 54
	OperationNotAttempted                  Code = 55
	KafkaStorageError                      Code = 56
	LogDirNotFound                         Code = 57
	SaslAuthenticationFailed               Code = 58
	UnknownProducerID                      Code = 59
	ReassignmentInProgress                 Code = 60
	DelegationTokenAuthDisabled            Code = 61
	DelegationTokenNotFound                Code = 62
	DelegationTokenOwnerMismatch           Code = 63
	DelegationTokenRequestNotAllowed       Code = 64
	DelegationTokenAuthorizationFailed     Code = 65
	DelegationTokenExpired                 Code = 66
	InvalidPrincipalType                   Code = 67
	NonEmptyGroup                          Code = 68
	GroupIDNotFound                        Code = 69
	FetchSessionIDNotFound                 Code = 70
	InvalidFetchSessionEpoch               Code = 71
	ListenerNotFound                       Code = 72
	TopicDeletionDisabled                  Code = 73
	FencedLeaderEpoch                      Code = 74
	UnknownLeaderEpoch                     Code = 75
	UnsupportedCompressionType             Code = 76
	StaleBrokerEpoch                       Code = 77
	OffsetNotAvailable                     Code = 78
	MemberIDRequired                       Code = 79
	PreferredLeaderNotAvailable            Code = 80
	GroupMaxSizeReached                    Code = 81
	FencedInstanceID                       Code = 82
	EligibleLeadersNotAvailable            Code = 83
	ElectionNotNeeded                      Code = 84
	NoReassignmentInProgress               Code = 85
	GroupSubscribedToTopic                 Code = 86
	InvalidRecord                          Code = 87
	UnstableOffsetCommit                   Code = 88
	ThrottlingQuotaExceeded                Code = 89
	ProducerFenced                         Code = 90
	ResourceNotFound                       Code = 91
	DuplicateResource                      Code = 92
	UnacceptableCredential                 Code = 93
	InconsistentVoterSet                   Code = 94
	InvalidUpdateVersion                   Code = 95
	FeatureUpdateFailed                    Code = 96
	PrincipalDeserializationFailure        Code = 97
	SnapshotNotFound                       Code = 98
	PositionOutOfRange                     Code = 99
	UnknownTopicID                         Code = 100
	DuplicateBrokerRegistration            Code = 101
	BrokerIDNotRegistered                  Code = 102
	InconsistentTopicID                    Code = 103
	InconsistentClusterID                  Code = 104
	TransactionalIDNotFound                Code = 105
	FetchSessionTopicIDError               Code = 106
	IneligibleReplica                      Code = 107
	NewLeaderElected                       Code = 108
	OffsetMovedToTieredStorage             Code = 109
	FencedMemberEpoch                      Code = 110
	UnreleasedInstanceID                   Code = 111
	UnsupportedAssignor                    Code = 112
	StaleMemberEpoch                       Code = 113
	MismatchedEndpointType                 Code = 114
	UnsupportedEndpointType                Code = 115
	UnknownControllerID                    Code = 116
	UnknownSubscriptionID                  Code = 117
	TelemetryTooLarge                      Code = 118
	InvalidRegistration                    Code = 119
	TransactionAbortable                   Code = 120
	InvalidRecordState                     Code = 121
	ShareSessionNotFound                   Code = 122
	InvalidShareSessionEpoch               Code = 123
	FencedStateEpoch                       Code = 124
	InvalidVoterKey                        Code = 125
	DuplicateVoter                         Code = 126
	VoterNotFound                          Code = 127
	InvalidRegularExpression               Code = 128
	RebootstrapRequired                    Code = 129
	StreamsInvalidTopology                 Code = 130
	StreamsInvalidTopologyEpoch            Code = 131
	StreamsTopologyFenced                  Code = 132
	ShareSessionLimitReached               Code = 133
	GroupDeletionFailed                    Code = 134
	StreamsTopologyDescriptionUpdateFailed Code = 135
	ControllerIDNotRegistered              Code = 136
)

// table holds what is known of each code, at its number plus one.
var table = [...]entry{
	UnknownServerError + 1:                     {"UNKNOWN_SERVER_ERROR", final, "unexpected error on the server"},
	None + 1:                                   {"NONE", final, "no error"},
	OffsetOutOfRange + 1:                       {"OFFSET_OUT_OF_RANGE", final, "offset is outside of the range of offsets held by the server"},
	CorruptMessage + 1:                         {"CORRUPT_MESSAGE", retriable, "record data fails its checksum, has an invalid size, or a null key where the topic is compacted"},
	UnknownTopicOrPartition + 1:                {"UNKNOWN_TOPIC_OR_PARTITION", retriable, "server does not host this topic or partition"},
	InvalidFetchSize + 1:                       {"INVALID_FETCH_SIZE", final, "requested fetch size is invalid"},
	LeaderNotAvailable + 1:                     {"LEADER_NOT_AVAILABLE", retriable, "no leader for this partition at the moment"},
	NotLeaderOrFollower + 1:                    {"NOT_LEADER_OR_FOLLOWER", retriable, "this broker is not the leader or a follower of the partition"},
	RequestTimedOut + 1:                        {"REQUEST_TIMED_OUT", retriable, "request timed out"},
	BrokerNotAvailable + 1:                     {"BROKER_NOT_AVAILABLE", final, "broker is not available"},
	ReplicaNotAvailable + 1:                    {"REPLICA_NOT_AVAILABLE", retriable, "replica is not available for the partition"},
	MessageTooLarge + 1:                        {"MESSAGE_TOO_LARGE", final, "record batch is larger than the server accepts"},
	StaleControllerEpoch + 1:                   {"STALE_CONTROLLER_EPOCH", final, "controller moved to another broker"},
	OffsetMetadataTooLarge + 1:                 {"OFFSET_METADATA_TOO_LARGE", final, "metadata of the offset commit is too large"},
	NetworkException + 1:                       {"NETWORK_EXCEPTION", retriable, "connection broke before a response was received"},
	CoordinatorLoadInProgress + 1:              {"COORDINATOR_LOAD_IN_PROGRESS", retriable, "coordinator is loading and cannot take requests yet"},
	CoordinatorNotAvailable + 1:                {"COORDINATOR_NOT_AVAILABLE", retriable, "coordinator is not available"},
	NotCoordinator + 1:                         {"NOT_COORDINATOR", retriable, "this broker is not the coordinator"},
	InvalidTopicException + 1:                  {"INVALID_TOPIC_EXCEPTION", final, "topic is not valid for this operation"},
	RecordListTooLarge + 1:                     {"RECORD_LIST_TOO_LARGE", final, "record batch is larger than a segment"},
	NotEnoughReplicas + 1:                      {"NOT_ENOUGH_REPLICAS", retriable, "fewer in-sync replicas than required"},
	NotEnoughReplicasAfterAppend + 1:           {"NOT_ENOUGH_REPLICAS_AFTER_APPEND", retriable, "written, but to fewer in-sync replicas than required"},
	InvalidRequiredAcks + 1:                    {"INVALID_REQUIRED_ACKS", final, "acks must be -1, 0 or 1"},
	IllegalGeneration + 1:                      {"ILLEGAL_GENERATION", final, "generation of the group is not the current one"},
	InconsistentGroupProtocol + 1:              {"INCONSISTENT_GROUP_PROTOCOL", final, "group protocol type or protocols do not match those of the group"},
	InvalidGroupID + 1:                         {"INVALID_GROUP_ID", final, "group id is invalid"},
	UnknownMemberID + 1:                        {"UNKNOWN_MEMBER_ID", final, "member is not known to the coordinator"},
	InvalidSessionTimeout + 1:                  {"INVALID_SESSION_TIMEOUT", final, "session timeout is outside of the range the broker allows"},
	RebalanceInProgress + 1:                    {"REBALANCE_IN_PROGRESS", final, "group is rebalancing, rejoin is needed"},
	InvalidCommitOffsetSize + 1:                {"INVALID_COMMIT_OFFSET_SIZE", final, "offset commit is too large"},
	TopicAuthorizationFailed + 1:               {"TOPIC_AUTHORIZATION_FAILED", final, "not authorized for this topic"},
	GroupAuthorizationFailed + 1:               {"GROUP_AUTHORIZATION_FAILED", final, "not authorized for this group"},
	ClusterAuthorizationFailed + 1:             {"CLUSTER_AUTHORIZATION_FAILED", final, "not authorized for the cluster"},
	InvalidTimestamp + 1:                       {"INVALID_TIMESTAMP", final, "record timestamp is out of range or not allowed"},
	UnsupportedSaslMechanism + 1:               {"UNSUPPORTED_SASL_MECHANISM", final, "SASL mechanism is not enabled"},
	IllegalSaslState + 1:                       {"ILLEGAL_SASL_STATE", final, "request is not valid in this state of SASL authentication"},
	UnsupportedVersion + 1:                     {"UNSUPPORTED_VERSION", final, "version of the API is not supported"},
	TopicAlreadyExists + 1:                     {"TOPIC_ALREADY_EXISTS", final, "topic exists already"},
	InvalidPartitions + 1:                      {"INVALID_PARTITIONS", final, "number of partitions is invalid"},
	InvalidReplicationFactor + 1:               {"INVALID_REPLICATION_FACTOR", final, "replication factor is invalid"},
	InvalidReplicaAssignment + 1:               {"INVALID_REPLICA_ASSIGNMENT", final, "replica assignment is invalid"},
	InvalidConfig + 1:                          {"INVALID_CONFIG", final, "configuration is invalid"},
	NotController + 1:                          {"NOT_CONTROLLER", retriable, "this broker is not the controller"},
	InvalidRequest + 1:                         {"INVALID_REQUEST", final, "request is malformed or contradicts itself"},
	UnsupportedForMessageFormat + 1:            {"UNSUPPORTED_FOR_MESSAGE_FORMAT", final, "record format on the broker does not support the request"},
	PolicyViolation + 1:                        {"POLICY_VIOLATION", final, "refused by a policy"},
	OutOfOrderSequenceNumber + 1:               {"OUT_OF_ORDER_SEQUENCE_NUMBER", final, "sequence number is out of order"},
	DuplicateSequenceNumber + 1:                {"DUPLICATE_SEQUENCE_NUMBER", final, "sequence number was used before"},
	InvalidProducerEpoch + 1:                   {"INVALID_PRODUCER_EPOCH", final, "producer tried to write with an old epoch"},
	InvalidTxnState + 1:                        {"INVALID_TXN_STATE", final, "transactional operation is not valid in this state of the transaction"},
	InvalidProducerIDMapping + 1:               {"INVALID_PRODUCER_ID_MAPPING", final, "producer id does not belong to this transactional id"},
	InvalidTransactionTimeout + 1:              {"INVALID_TRANSACTION_TIMEOUT", final, "transaction timeout is outside of the range the broker allows"},
	ConcurrentTransactions + 1:                 {"CONCURRENT_TRANSACTIONS", retriable, "another transaction of this producer is still being completed"},
	TransactionCoordinatorFenced + 1:           {"TRANSACTION_COORDINATOR_FENCED", final, "coordinator of the transaction is not the current one"},
	TransactionalIDAuthorizationFailed + 1:     {"TRANSACTIONAL_ID_AUTHORIZATION_FAILED", final, "not authorized for this transactional id"},
	SecurityDisabled + 1:                       {"SECURITY_DISABLED", final, "security features are disabled"},
	OperationNotAttempted + 1:                  {"OPERATION_NOT_ATTEMPTED", final, "operation was not attempted because another one failed"},
	KafkaStorageError + 1:                      {"KAFKA_STORAGE_ERROR", retriable, "storage error on the server"},
	LogDirNotFound + 1:                         {"LOG_DIR_NOT_FOUND", final, "log directory was not found"},
	SaslAuthenticationFailed + 1:               {"SASL_AUTHENTICATION_FAILED", final, "SASL authentication failed"},
	UnknownProducerID + 1:                      {"UNKNOWN_PRODUCER_ID", final, "no state is held for this producer id"},
	ReassignmentInProgress + 1:                 {"REASSIGNMENT_IN_PROGRESS", final, "a reassignment of the partition is in progress"},
	DelegationTokenAuthDisabled + 1:            {"DELEGATION_TOKEN_AUTH_DISABLED", final, "delegation tokens are not enabled"},
	DelegationTokenNotFound + 1:                {"DELEGATION_TOKEN_NOT_FOUND", final, "delegation token was not found"},
	DelegationTokenOwnerMismatch + 1:           {"DELEGATION_TOKEN_OWNER_MISMATCH", final, "delegation token belongs to somebody else"},
	DelegationTokenRequestNotAllowed + 1:       {"DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", final, "delegation tokens are not allowed on this connection"},
	DelegationTokenAuthorizationFailed + 1:     {"DELEGATION_TOKEN_AUTHORIZATION_FAILED", final, "not authorized for this delegation token"},
	DelegationTokenExpired + 1:                 {"DELEGATION_TOKEN_EXPIRED", final, "delegation token has expired"},
	InvalidPrincipalType + 1:                   {"INVALID_PRINCIPAL_TYPE", final, "principal type is not supported"},
	NonEmptyGroup + 1:                          {"NON_EMPTY_GROUP", final, "group is not empty"},
	GroupIDNotFound + 1:                        {"GROUP_ID_NOT_FOUND", final, "group id was not found"},
	FetchSessionIDNotFound + 1:                 {"FETCH_SESSION_ID_NOT_FOUND", retriable, "fetch session was not found"},
	InvalidFetchSessionEpoch + 1:               {"INVALID_FETCH_SESSION_EPOCH", retriable, "fetch session epoch is invalid"},
	ListenerNotFound + 1:                       {"LISTENER_NOT_FOUND", retriable, "leader has no endpoint on this listener"},
	TopicDeletionDisabled + 1:                  {"TOPIC_DELETION_DISABLED", final, "deletion of topics is disabled"},
	FencedLeaderEpoch + 1:                      {"FENCED_LEADER_EPOCH", retriable, "leader epoch of the request is older than the broker's"},
	UnknownLeaderEpoch + 1:                     {"UNKNOWN_LEADER_EPOCH", retriable, "leader epoch of the request is newer than the broker's"},
	UnsupportedCompressionType + 1:             {"UNSUPPORTED_COMPRESSION_TYPE", final, "compression type is not supported"},
	StaleBrokerEpoch + 1:                       {"STALE_BROKER_EPOCH", final, "broker epoch is old"},
	OffsetNotAvailable + 1:                     {"OFFSET_NOT_AVAILABLE", retriable, "high watermark of the new leader has not caught up yet"},
	MemberIDRequired + 1:                       {"MEMBER_ID_REQUIRED", final, "member needs a member id, rejoin with the one given"},
	PreferredLeaderNotAvailable + 1:            {"PREFERRED_LEADER_NOT_AVAILABLE", retriable, "preferred leader is not available"},
	GroupMaxSizeReached + 1:                    {"GROUP_MAX_SIZE_REACHED", final, "group has its maximum size"},
	FencedInstanceID + 1:                       {"FENCED_INSTANCE_ID", final, "instance id is used by another member"},
	EligibleLeadersNotAvailable + 1:            {"ELIGIBLE_LEADERS_NOT_AVAILABLE", retriable, "no eligible leader is available"},
	ElectionNotNeeded + 1:                      {"ELECTION_NOT_NEEDED", retriable, "leader election is not needed"},
	NoReassignmentInProgress + 1:               {"NO_REASSIGNMENT_IN_PROGRESS", final, "no reassignment is in progress"},
	GroupSubscribedToTopic + 1:                 {"GROUP_SUBSCRIBED_TO_TOPIC", final, "group is subscribed to the topic"},
	InvalidRecord + 1:                          {"INVALID_RECORD", final, "record failed validation on the broker"},
	UnstableOffsetCommit + 1:                   {"UNSTABLE_OFFSET_COMMIT", retriable, "there are pending offset commits of a transaction"},
	ThrottlingQuotaExceeded + 1:                {"THROTTLING_QUOTA_EXCEEDED", retriable, "quota was exceeded"},
	ProducerFenced + 1:                         {"PRODUCER_FENCED", final, "a newer producer took the transactional id"},
	ResourceNotFound + 1:                       {"RESOURCE_NOT_FOUND", final, "resource was not found"},
	DuplicateResource + 1:                      {"DUPLICATE_RESOURCE", final, "resource is named twice"},
	UnacceptableCredential + 1:                 {"UNACCEPTABLE_CREDENTIAL", final, "credential does not meet the requirements"},
	InconsistentVoterSet + 1:                   {"INCONSISTENT_VOTER_SET", final, "voter sets differ"},
	InvalidUpdateVersion + 1:                   {"INVALID_UPDATE_VERSION", final, "feature version of the update is invalid"},
	FeatureUpdateFailed + 1:                    {"FEATURE_UPDATE_FAILED", final, "features could not be updated"},
	PrincipalDeserializationFailure + 1:        {"PRINCIPAL_DESERIALIZATION_FAILURE", final, "principal could not be deserialized"},
	SnapshotNotFound + 1:                       {"SNAPSHOT_NOT_FOUND", final, "snapshot was not found"},
	PositionOutOfRange + 1:                     {"POSITION_OUT_OF_RANGE", final, "position is outside of the snapshot"},
	UnknownTopicID + 1:                         {"UNKNOWN_TOPIC_ID", retriable, "server does not host this topic id"},
	DuplicateBrokerRegistration + 1:            {"DUPLICATE_BROKER_REGISTRATION", final, "broker id is in use"},
	BrokerIDNotRegistered + 1:                  {"BROKER_ID_NOT_REGISTERED", final, "broker id is not registered"},
	InconsistentTopicID + 1:                    {"INCONSISTENT_TOPIC_ID", retriable, "topic id does not match the one in the log"},
	InconsistentClusterID + 1:                  {"INCONSISTENT_CLUSTER_ID", final, "cluster id does not match"},
	TransactionalIDNotFound + 1:                {"TRANSACTIONAL_ID_NOT_FOUND", final, "transactional id was not found"},
	FetchSessionTopicIDError + 1:               {"FETCH_SESSION_TOPIC_ID_ERROR", retriable, "topic ids of the fetch session are inconsistent"},
	IneligibleReplica + 1:                      {"INELIGIBLE_REPLICA", final, "replica is not eligible to join the in-sync set"},
	NewLeaderElected + 1:                       {"NEW_LEADER_ELECTED", final, "partition leadership changed as a result"},
	OffsetMovedToTieredStorage + 1:             {"OFFSET_MOVED_TO_TIERED_STORAGE", final, "offset was moved to tiered storage"},
	FencedMemberEpoch + 1:                      {"FENCED_MEMBER_EPOCH", final, "member epoch is fenced, rejoin is needed"},
	UnreleasedInstanceID + 1:                   {"UNRELEASED_INSTANCE_ID", final, "instance id is still used by another member"},
	UnsupportedAssignor + 1:                    {"UNSUPPORTED_ASSIGNOR", final, "assignor is not supported"},
	StaleMemberEpoch + 1:                       {"STALE_MEMBER_EPOCH", final, "member epoch is not the current one"},
	MismatchedEndpointType + 1:                 {"MISMATCHED_ENDPOINT_TYPE", final, "request was sent to the wrong kind of endpoint"},
	UnsupportedEndpointType + 1:                {"UNSUPPORTED_ENDPOINT_TYPE", final, "endpoint type is unknown"},
	UnknownControllerID + 1:                    {"UNKNOWN_CONTROLLER_ID", final, "controller id is unknown"},
	UnknownSubscriptionID + 1:                  {"UNKNOWN_SUBSCRIPTION_ID", final, "telemetry subscription is not the current one"},
	TelemetryTooLarge + 1:                      {"TELEMETRY_TOO_LARGE", final, "telemetry is larger than the broker accepts"},
	InvalidRegistration + 1:                    {"INVALID_REGISTRATION", final, "broker registration is invalid"},
	TransactionAbortable + 1:                   {"TRANSACTION_ABORTABLE", final, "transaction must be aborted"},
	InvalidRecordState + 1:                     {"INVALID_RECORD_STATE", final, "record is not in a state that allows the operation"},
	ShareSessionNotFound + 1:                   {"SHARE_SESSION_NOT_FOUND", retriable, "share session was not found"},
	InvalidShareSessionEpoch + 1:               {"INVALID_SHARE_SESSION_EPOCH", retriable, "share session epoch is invalid"},
	FencedStateEpoch + 1:                       {"FENCED_STATE_EPOCH", final, "state epoch is fenced"},
	InvalidVoterKey + 1:                        {"INVALID_VOTER_KEY", final, "voter key does not match"},
	DuplicateVoter + 1:                         {"DUPLICATE_VOTER", final, "voter is in the set already"},
	VoterNotFound + 1:                          {"VOTER_NOT_FOUND", final, "voter was not found"},
	InvalidRegularExpression + 1:               {"INVALID_REGULAR_EXPRESSION", final, "regular expression is invalid"},
	RebootstrapRequired + 1:                    {"REBOOTSTRAP_REQUIRED", final, "client must bootstrap again"},
	StreamsInvalidTopology + 1:                 {"STREAMS_INVALID_TOPOLOGY", final, "topology is invalid"},
	StreamsInvalidTopologyEpoch + 1:            {"STREAMS_INVALID_TOPOLOGY_EPOCH", final, "topology epoch is invalid"},
	StreamsTopologyFenced + 1:                  {"STREAMS_TOPOLOGY_FENCED", final, "topology is fenced"},
	ShareSessionLimitReached + 1:               {"SHARE_SESSION_LIMIT_REACHED", retriable, "limit of share sessions is reached"},
	GroupDeletionFailed + 1:                    {"GROUP_DELETION_FAILED", final, "group could not be deleted"},
	StreamsTopologyDescriptionUpdateFailed + 1: {"STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED", final, "topology description could not be updated"},
	ControllerIDNotRegistered + 1:              {"CONTROLLER_ID_NOT_REGISTERED", final, "controller id is not registered"},
}
