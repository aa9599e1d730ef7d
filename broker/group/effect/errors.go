package effect

import "errors"

// Error is the outcome of a call or of one item of it, named after Kafka's error of the same name.
// The zero value is success. Error implements error, so a host can return it; None must not be returned as one.
type Error uint8

const (
	None Error = iota
	CoordinatorLoadInProgress
	CoordinatorNotAvailable
	NotCoordinator
	InvalidGroupID
	UnknownMemberID
	FencedInstanceID
	IllegalGeneration
	InconsistentGroupProtocol
	InvalidSessionTimeout
	RebalanceInProgress
	MemberIDRequired
	GroupMaxSizeReached
	GroupIDNotFound
	NonEmptyGroup
	GroupSubscribedToTopic
	OffsetMetadataTooLarge
	InvalidRequest
	InvalidProducerIDMapping
	InvalidProducerEpoch
	ProducerFenced
	ConcurrentTransactions
	InvalidTxnState
	InvalidTransactionTimeout
	TransactionalIDNotFound
	TransactionAbortable
	UnstableOffsetCommit
	TransactionCoordinatorFenced
	UnknownServerError

	// ErrorCount is the number of values, so that a table from Error to code can be checked to be complete.
	ErrorCount
)

var errorNames = [ErrorCount]string{
	None:                         "NONE",
	CoordinatorLoadInProgress:    "COORDINATOR_LOAD_IN_PROGRESS",
	CoordinatorNotAvailable:      "COORDINATOR_NOT_AVAILABLE",
	NotCoordinator:               "NOT_COORDINATOR",
	InvalidGroupID:               "INVALID_GROUP_ID",
	UnknownMemberID:              "UNKNOWN_MEMBER_ID",
	FencedInstanceID:             "FENCED_INSTANCE_ID",
	IllegalGeneration:            "ILLEGAL_GENERATION",
	InconsistentGroupProtocol:    "INCONSISTENT_GROUP_PROTOCOL",
	InvalidSessionTimeout:        "INVALID_SESSION_TIMEOUT",
	RebalanceInProgress:          "REBALANCE_IN_PROGRESS",
	MemberIDRequired:             "MEMBER_ID_REQUIRED",
	GroupMaxSizeReached:          "GROUP_MAX_SIZE_REACHED",
	GroupIDNotFound:              "GROUP_ID_NOT_FOUND",
	NonEmptyGroup:                "NON_EMPTY_GROUP",
	GroupSubscribedToTopic:       "GROUP_SUBSCRIBED_TO_TOPIC",
	OffsetMetadataTooLarge:       "OFFSET_METADATA_TOO_LARGE",
	InvalidRequest:               "INVALID_REQUEST",
	InvalidProducerIDMapping:     "INVALID_PRODUCER_ID_MAPPING",
	InvalidProducerEpoch:         "INVALID_PRODUCER_EPOCH",
	ProducerFenced:               "PRODUCER_FENCED",
	ConcurrentTransactions:       "CONCURRENT_TRANSACTIONS",
	InvalidTxnState:              "INVALID_TXN_STATE",
	InvalidTransactionTimeout:    "INVALID_TRANSACTION_TIMEOUT",
	TransactionalIDNotFound:      "TRANSACTIONAL_ID_NOT_FOUND",
	TransactionAbortable:         "TRANSACTION_ABORTABLE",
	UnstableOffsetCommit:         "UNSTABLE_OFFSET_COMMIT",
	TransactionCoordinatorFenced: "TRANSACTION_COORDINATOR_FENCED",
	UnknownServerError:           "UNKNOWN_SERVER_ERROR",
}

// Error gives Kafka's name of the error.
func (e Error) Error() string {
	if e < ErrorCount {
		return errorNames[e]
	}
	return "UNKNOWN_SERVER_ERROR"
}

// String gives Kafka's name of the error.
func (e Error) String() string { return e.Error() }

// The outcomes of an append that a host can report (wrapped or not). Any other error counts as
// unforeseen and is answered UNKNOWN_SERVER_ERROR.
//
// ErrTimeout and ErrNotEnoughReplicasAfterAppend leave it open whether the records will be committed: the host
// must report once more for the same id when it knows, or give up when it stops leading.
var (
	ErrNotLeader                    = errors.New("group: not the leader of the partition")
	ErrStorage                      = errors.New("group: storage failed")
	ErrUnknownPartition             = errors.New("group: the partition does not exist")
	ErrNotEnoughReplicas            = errors.New("group: not enough replicas")
	ErrNotEnoughReplicasAfterAppend = errors.New("group: appended, but not enough replicas")
	ErrTimeout                      = errors.New("group: append timed out")
	ErrTooLarge                     = errors.New("group: records too large")
	ErrInvalidProducerEpoch         = errors.New("group: the producer of a transaction is fenced")
	ErrFencedCoordinator            = errors.New("group: a marker of a transaction coordinator that another one has taken over from")
)

// fromAppend is Kafka's map from the error of an append to the error of the call that needed it.
func fromAppend(err error) Error {
	switch {
	case err == nil:
		return None
	case errors.Is(err, ErrNotLeader), errors.Is(err, ErrStorage):
		return NotCoordinator
	case errors.Is(err, ErrUnknownPartition), errors.Is(err, ErrNotEnoughReplicas),
		errors.Is(err, ErrNotEnoughReplicasAfterAppend), errors.Is(err, ErrTimeout):
		return CoordinatorNotAvailable
	case errors.Is(err, ErrInvalidProducerEpoch):
		return InvalidProducerEpoch
	case errors.Is(err, ErrFencedCoordinator):
		return TransactionCoordinatorFenced
	default: // ErrTooLarge among them
		return UnknownServerError
	}
}

// inDoubt tells whether the records of a failed append may still be committed.
func inDoubt(err error) bool {
	return errors.Is(err, ErrTimeout) || errors.Is(err, ErrNotEnoughReplicasAfterAppend)
}
