package reference

import "chronik/kafka/msg"

// notes say what is not plain from the versions of a served API.
var notes = map[int16]string{
	msg.KeyProduce: "0 to 2 are advertised and refused: librdkafka compresses only where it sees Produce 0 (KAFKA-18659). " +
		"A transactional batch of 12 or more is answered with UNSUPPORTED_VERSION (35): clients use these versions for transactions only where transaction.version 2 is finalized",
	msg.KeyFindCoordinator:    "of groups and of transactions; asked for another kind of coordinator it answers with an error",
	msg.KeyApiVersions:        "above 4 it is answered with UNSUPPORTED_VERSION (35) in the form of version 0, which names the versions to choose from",
	msg.KeyInitProducerId:     "6 is unstable in Kafka",
	msg.KeyAddPartitionsToTxn: "4 and 5 are for brokers, which here ask each other in another way",
	msg.KeyEndTxn:             transactionVersion,
	msg.KeyTxnOffsetCommit:    transactionVersion,
	msg.KeyDeleteGroups:       "3 adds an error message",
}

// Reasons that several APIs share.
const (
	transactionVersion = "5 and more are for transaction.version 2, which is not finalized: clients use the versions below"
	noACLs             = "ACLs are not built: every client may do everything"
	noTokens           = "delegation tokens are not built: there is no authentication"
	noSASL             = "SASL is not built: listeners are plaintext"
	noSCRAM            = "SCRAM credentials are not built: there is no authentication"
	noQuotas           = "client quotas are not built"
	noMoves            = "not built: a partition keeps the replicas it was created with"
	noShares           = "share groups (KIP-932) are not built"
	noStreams          = "streams groups (KIP-1071) are not built"
	noNewGroups        = "consumer groups of KIP-848 are not built; clients fall back to classic groups"
	noTelemetry        = "client metrics (KIP-714) are not collected"
	ofController       = "between Kafka's brokers and KRaft controllers: metadata goes through Chronik's own Raft groups"
	ofZooKeeper        = "between brokers and a ZooKeeper controller; Kafka 4 removed it"
)

// refused says why each API that the codec knows and kafka/handler's table lacks
// is not served.
var refused = map[int16]string{
	msg.KeyLeaderAndIsr:       ofZooKeeper,
	msg.KeyStopReplica:        ofZooKeeper,
	msg.KeyUpdateMetadata:     ofZooKeeper,
	msg.KeyControlledShutdown: ofZooKeeper,

	msg.KeySaslHandshake:    noSASL,
	msg.KeySaslAuthenticate: noSASL,

	msg.KeyDescribeAcls: noACLs,
	msg.KeyCreateAcls:   noACLs,
	msg.KeyDeleteAcls:   noACLs,

	msg.KeyCreateDelegationToken:        noTokens,
	msg.KeyRenewDelegationToken:         noTokens,
	msg.KeyExpireDelegationToken:        noTokens,
	msg.KeyDescribeDelegationToken:      noTokens,
	msg.KeyDescribeUserScramCredentials: noSCRAM,
	msg.KeyAlterUserScramCredentials:    noSCRAM,
	msg.KeyDescribeClientQuotas:         noQuotas,
	msg.KeyAlterClientQuotas:            noQuotas,

	msg.KeyAlterReplicaLogDirs:         "a node has one log directory",
	msg.KeyAlterPartitionReassignments: noMoves,
	msg.KeyListPartitionReassignments:  noMoves,

	msg.KeyListConfigResources: "not built; before Kafka 4.1 it listed client metrics alone",
	msg.KeyUpdateFeatures:      "no feature is finalized, so there is none to change",
	msg.KeyDescribeQuorum:      "describes KRaft's quorum, which Chronik has not",

	msg.KeyConsumerGroupHeartbeat:    noNewGroups,
	msg.KeyConsumerGroupDescribe:     noNewGroups,
	msg.KeyGetTelemetrySubscriptions: noTelemetry,
	msg.KeyPushTelemetry:             noTelemetry,

	msg.KeyVote:                   ofController,
	msg.KeyBeginQuorumEpoch:       ofController,
	msg.KeyEndQuorumEpoch:         ofController,
	msg.KeyAlterPartition:         ofController,
	msg.KeyEnvelope:               ofController,
	msg.KeyFetchSnapshot:          ofController,
	msg.KeyBrokerRegistration:     ofController,
	msg.KeyBrokerHeartbeat:        ofController,
	msg.KeyUnregisterBroker:       ofController,
	msg.KeyAllocateProducerIds:    ofController,
	msg.KeyControllerRegistration: ofController,
	msg.KeyAssignReplicasToDirs:   ofController,
	msg.KeyAddRaftVoter:           ofController,
	msg.KeyRemoveRaftVoter:        ofController,
	msg.KeyUpdateRaftVoter:        ofController,
	msg.KeyUnregisterController:   ofController,

	msg.KeyShareGroupHeartbeat:        noShares,
	msg.KeyShareGroupDescribe:         noShares,
	msg.KeyShareFetch:                 noShares,
	msg.KeyShareAcknowledge:           noShares,
	msg.KeyInitializeShareGroupState:  noShares,
	msg.KeyReadShareGroupState:        noShares,
	msg.KeyWriteShareGroupState:       noShares,
	msg.KeyDeleteShareGroupState:      noShares,
	msg.KeyReadShareGroupStateSummary: noShares,
	msg.KeyDescribeShareGroupOffsets:  noShares,
	msg.KeyAlterShareGroupOffsets:     noShares,
	msg.KeyDeleteShareGroupOffsets:    noShares,

	msg.KeyStreamsGroupHeartbeat:                 noStreams,
	msg.KeyStreamsGroupDescribe:                  noStreams,
	msg.KeyStreamsGroupTopologyDescriptionUpdate: noStreams,
}
