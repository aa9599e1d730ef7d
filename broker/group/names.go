package group

import (
	"chronik/broker/group/classic"
	"chronik/broker/group/effect"
)

// The words of package effect, which a caller of a Shard needs.
type (
	Error    = effect.Error
	Token    = effect.Token
	AppendID = effect.AppendID
	Effects  = effect.Effects
	Reply    = effect.Reply
	Append   = effect.Append
	Record   = effect.Record
	Txn      = effect.Txn
	Marker   = effect.Marker
)

// The outcomes of calls.
const (
	None                         = effect.None
	CoordinatorLoadInProgress    = effect.CoordinatorLoadInProgress
	CoordinatorNotAvailable      = effect.CoordinatorNotAvailable
	NotCoordinator               = effect.NotCoordinator
	InvalidGroupID               = effect.InvalidGroupID
	UnknownMemberID              = effect.UnknownMemberID
	FencedInstanceID             = effect.FencedInstanceID
	IllegalGeneration            = effect.IllegalGeneration
	InconsistentGroupProtocol    = effect.InconsistentGroupProtocol
	InvalidSessionTimeout        = effect.InvalidSessionTimeout
	RebalanceInProgress          = effect.RebalanceInProgress
	MemberIDRequired             = effect.MemberIDRequired
	GroupMaxSizeReached          = effect.GroupMaxSizeReached
	GroupIDNotFound              = effect.GroupIDNotFound
	NonEmptyGroup                = effect.NonEmptyGroup
	GroupSubscribedToTopic       = effect.GroupSubscribedToTopic
	OffsetMetadataTooLarge       = effect.OffsetMetadataTooLarge
	InvalidRequest               = effect.InvalidRequest
	InvalidProducerIDMapping     = effect.InvalidProducerIDMapping
	InvalidProducerEpoch         = effect.InvalidProducerEpoch
	ProducerFenced               = effect.ProducerFenced
	ConcurrentTransactions       = effect.ConcurrentTransactions
	InvalidTxnState              = effect.InvalidTxnState
	TransactionalIDNotFound      = effect.TransactionalIDNotFound
	InvalidTransactionTimeout    = effect.InvalidTransactionTimeout
	TransactionAbortable         = effect.TransactionAbortable
	UnstableOffsetCommit         = effect.UnstableOffsetCommit
	TransactionCoordinatorFenced = effect.TransactionCoordinatorFenced
	UnknownServerError           = effect.UnknownServerError
	ErrorCount                   = effect.ErrorCount
)

// The outcomes of an append that a host reports to Appended; see package effect.
var (
	ErrNotLeader                    = effect.ErrNotLeader
	ErrStorage                      = effect.ErrStorage
	ErrUnknownPartition             = effect.ErrUnknownPartition
	ErrNotEnoughReplicas            = effect.ErrNotEnoughReplicas
	ErrNotEnoughReplicasAfterAppend = effect.ErrNotEnoughReplicasAfterAppend
	ErrTimeout                      = effect.ErrTimeout
	ErrTooLarge                     = effect.ErrTooLarge
)

// Requests and responses of members; see package classic.
type (
	State            = classic.State
	Protocol         = classic.Protocol
	JoinRequest      = classic.JoinRequest
	JoinResponse     = classic.JoinResponse
	JoinMember       = classic.JoinMember
	SyncRequest      = classic.SyncRequest
	SyncResponse     = classic.SyncResponse
	Assignment       = classic.Assignment
	HeartbeatRequest = classic.HeartbeatRequest
	LeaveRequest     = classic.LeaveRequest
	LeaveResponse    = classic.LeaveResponse
	LeaveResult      = classic.LeaveResult
	MemberIdentity   = classic.MemberIdentity
	Description      = classic.Description
	DescribedMember  = classic.DescribedMember
)

// The states of a classic group.
const (
	Empty               = classic.Empty
	PreparingRebalance  = classic.PreparingRebalance
	CompletingRebalance = classic.CompletingRebalance
	Stable              = classic.Stable
	Dead                = classic.Dead
)
