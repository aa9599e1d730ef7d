package errcode

import (
	"errors"
	"math"

	"chronik/broker"
	"chronik/broker/config"
	"chronik/broker/fetchsession"
	"chronik/broker/group"
	"chronik/broker/transaction"
	"chronik/kafka/batch"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// codes is the one place where errors become Kafka's codes. The first row that
// errors.Is holds for counts.
var codes = []struct {
	err  error
	code kerr.Code
}{
	{broker.ErrUnknownTopicOrPartition, kerr.UnknownTopicOrPartition},
	{broker.ErrUnknownTopicID, kerr.UnknownTopicID},
	{broker.ErrInvalidTopic, kerr.InvalidTopicException},
	{broker.ErrTopicExists, kerr.TopicAlreadyExists},
	{broker.ErrInvalidPartitions, kerr.InvalidPartitions},
	{broker.ErrInvalidReplicationFactor, kerr.InvalidReplicationFactor},
	{broker.ErrInvalidReplicaAssignment, kerr.InvalidReplicaAssignment},
	{broker.ErrInvalidRequest, kerr.InvalidRequest},
	{broker.ErrInvalidConfig, kerr.InvalidConfig},
	{broker.ErrPolicyViolation, kerr.PolicyViolation},
	{broker.ErrTopicDeletionDisabled, kerr.TopicDeletionDisabled},
	{broker.ErrInvalidRequiredAcks, kerr.InvalidRequiredAcks},
	{broker.ErrNotLeader, kerr.NotLeaderOrFollower},
	{broker.ErrLeaderNotAvailable, kerr.LeaderNotAvailable},
	{broker.ErrNotEnoughReplicas, kerr.NotEnoughReplicas},
	{broker.ErrNotEnoughReplicasAfterAppend, kerr.NotEnoughReplicasAfterAppend},
	{broker.ErrRequestTimedOut, kerr.RequestTimedOut},
	{broker.ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
	{broker.ErrOffsetNotAvailable, kerr.OffsetNotAvailable},
	{broker.ErrFencedLeaderEpoch, kerr.FencedLeaderEpoch},
	{broker.ErrUnknownLeaderEpoch, kerr.UnknownLeaderEpoch},
	{broker.ErrStorage, kerr.KafkaStorageError},
	{broker.ErrOutOfOrderSequence, kerr.OutOfOrderSequenceNumber},
	{broker.ErrInvalidProducerEpoch, kerr.InvalidProducerEpoch},
	{broker.ErrUnsupportedVersion, kerr.UnsupportedVersion},
	{transaction.ErrPattern, kerr.InvalidRegularExpression},
	{broker.ErrInvalidTxnState, kerr.InvalidTxnState},
	{broker.ErrTransactionAbortable, kerr.TransactionAbortable},
	{broker.ErrInvalidProducerIDMapping, kerr.InvalidProducerIDMapping},
	{broker.ErrTransactionCoordinatorFenced, kerr.TransactionCoordinatorFenced},
	{broker.ErrTransactionalIDMissing, kerr.TransactionalIDAuthorizationFailed},
	{broker.ErrCoordinatorNotAvailable, kerr.CoordinatorNotAvailable},
	{broker.ErrUnsupportedEndpointType, kerr.UnsupportedEndpointType},
	{broker.ErrMismatchedEndpointType, kerr.MismatchedEndpointType},
	{broker.ErrElectionNotNeeded, kerr.ElectionNotNeeded},
	{broker.ErrPreferredLeaderNotAvailable, kerr.PreferredLeaderNotAvailable},
	{broker.ErrEligibleLeadersNotAvailable, kerr.EligibleLeadersNotAvailable},
	{broker.ErrShuttingDown, kerr.NotLeaderOrFollower}, // retriable everywhere; makes the client look for another broker
	{fetchsession.ErrNotFound, kerr.FetchSessionIDNotFound},
	{fetchsession.ErrInvalidEpoch, kerr.InvalidFetchSessionEpoch},
	{fetchsession.ErrTopicID, kerr.FetchSessionTopicIDError},
}

// groupCodes gives the code of every group.Error: the one of the same name.
var groupCodes = func() (out [group.ErrorCount]kerr.Code) {
	byName := make(map[string]kerr.Code)
	for c := kerr.UnknownServerError; c <= kerr.ControllerIDNotRegistered; c++ {
		byName[c.Name()] = c
	}
	for e := range out {
		out[e] = byName[group.Error(e).Error()]
	}
	return out
}()

// substitutions are the codes that clients of versions below `below` are told
// instead: they do not know the newer ones.
var substitutions = []struct {
	key   int16
	below int16
	from  kerr.Code
	to    kerr.Code
}{
	// The broker stops: what makes each client look for another one.
	{msg.KeyFindCoordinator, math.MaxInt16, kerr.NotLeaderOrFollower, kerr.CoordinatorNotAvailable},
	{msg.KeyInitProducerId, math.MaxInt16, kerr.NotLeaderOrFollower, kerr.CoordinatorNotAvailable},
	{msg.KeyInitProducerId, 4, kerr.ProducerFenced, kerr.InvalidProducerEpoch}, // T7
	{msg.KeyAddPartitionsToTxn, 2, kerr.ProducerFenced, kerr.InvalidProducerEpoch},
	{msg.KeyAddOffsetsToTxn, 2, kerr.ProducerFenced, kerr.InvalidProducerEpoch},
	{msg.KeyEndTxn, 2, kerr.ProducerFenced, kerr.InvalidProducerEpoch},
	{msg.KeyTxnOffsetCommit, 4, kerr.TransactionAbortable, kerr.InvalidTxnState}, // T23
	{msg.KeyTxnOffsetCommit, 2, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable},
	{msg.KeyFetch, 6, kerr.KafkaStorageError, kerr.NotLeaderOrFollower},
	{msg.KeyProduce, 11, kerr.TransactionAbortable, kerr.InvalidTxnState}, // T40
	{msg.KeyProduce, 4, kerr.KafkaStorageError, kerr.NotLeaderOrFollower},
	{msg.KeyListOffsets, 5, kerr.OffsetNotAvailable, kerr.LeaderNotAvailable},
	{msg.KeyDeleteTopics, 3, kerr.TopicDeletionDisabled, kerr.InvalidRequest},
	{msg.KeyDescribeGroups, 6, kerr.GroupIDNotFound, kerr.None}, // the state says Dead (J60)
	{msg.KeyOffsetCommit, 9, kerr.GroupIDNotFound, kerr.IllegalGeneration},
	{msg.KeyDescribeCluster, 1, kerr.UnsupportedEndpointType, kerr.InvalidRequest},
	{msg.KeyDescribeCluster, 1, kerr.MismatchedEndpointType, kerr.InvalidRequest},
}

// Of is the code of err, whatever the version: None of nil, UnknownServerError
// of an error that nobody foresaw.
func Of(err error) kerr.Code {
	if err == nil {
		return kerr.None
	}
	var ge group.Error
	if errors.As(err, &ge) && ge < group.ErrorCount {
		return groupCodes[ge]
	}
	var be *batch.Error
	if errors.As(err, &be) {
		return kerr.Code(be.Kind)
	}
	var ce *config.Error
	if errors.As(err, &ce) {
		return kerr.Code(ce.Kind)
	}
	for _, m := range codes {
		if errors.Is(err, m.err) {
			return m.code
		}
	}
	return kerr.UnknownServerError
}

// For is the code that a client of this version of an API is told for err: Of,
// or what stands for it in versions that do not know it.
func For(err error, key, version int16) kerr.Code {
	code := Of(err)
	for _, s := range substitutions {
		if s.key == key && s.from == code && version < s.below {
			return s.to
		}
	}
	return code
}

// messageBytesMax bounds an error message in a response.
const messageBytesMax = 1000

// Message is the text that goes with err; null when there is no error.
func Message(err error) wire.NullString {
	if err == nil {
		return wire.NullString{}
	}
	text := err.Error()
	return wire.Str(text[:min(len(text), messageBytesMax)])
}
