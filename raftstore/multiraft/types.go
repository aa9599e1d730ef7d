package multiraft

import (
	"errors"
	"log/slog"
	"time"

	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/raftstore"
	"chronik/raftstore/multiraft/peers"
	"chronik/raftstore/multiraft/raftmsg"
	"chronik/segment"
	"chronik/wal"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Errors of this package. A group that refuses to start because data is
// missing gives raftstore.ErrLostData.
var (
	// ErrStopped is a call on a host or group that has been stopped or removed.
	ErrStopped = errors.New("multiraft: stopped")
	// ErrFailed is a call on a group that an I/O error or damage has stopped.
	ErrFailed = errors.New("multiraft: group has failed")
	// ErrUnknownGroup is a group that this host does not run.
	ErrUnknownGroup = errors.New("multiraft: unknown group")
	// ErrExists is an Add of a group that is there already.
	ErrExists = errors.New("multiraft: group exists")
	// ErrBadMessage is a message from the network that no correct peer sends.
	ErrBadMessage = raftmsg.ErrBad
	// ErrOverloaded is a message dropped because too many wait; raft repeats it.
	ErrOverloaded = errors.New("multiraft: too many messages wait")
	// ErrNoLeader is a question that only a leader can answer, and there is
	// none, or it changed, or the question was lost. It may be asked again.
	ErrNoLeader = errors.New("multiraft: no leader")
	// ErrNotLeader is a call that only the leader's node can serve.
	ErrNotLeader = errors.New("multiraft: this node does not lead")
	// ErrRefused is a change that raft does not take now, or at all.
	ErrRefused = errors.New("multiraft: refused")
)

// Role is what this node is in a group.
type Role uint8

// The roles. A node that won an election is a Candidate until it may serve.
const (
	Follower Role = iota
	Candidate
	Leader
)

func (r Role) String() string { return [...]string{"follower", "candidate", "leader"}[r] }

// RoleChange is a change of role, term or leader.
type RoleChange struct {
	Role       Role
	Term       segment.Term
	Leader     uint64         // node id, 0 when not known
	NextOffset segment.Offset // of the log, at the time of the change
}

// StateMachine is what a group replicates. Its methods are called by one
// goroutine at a time, in this order for an entry: Appended, Durable (on the
// node itself), Committed. They must be quick. Of Group they may call Wake,
// Status and ReadIndex, which may be called from anywhere; the rest waits for
// the group, which waits for them.
type StateMachine interface {
	// Describe reads what a frame header says of a payload about to be
	// appended: first offset, offsets taken (0: it holds no records) and
	// greatest timestamp in ms (-1: none).
	Describe(payload []byte) (base segment.Offset, count uint32, maxTimestamp int64)
	// TakeProposal returns everything that waits, about bytesMax at most, as
	// one payload, or nil. It is asked of a leader that may serve, after a
	// Wake. The payload belongs to the host; if the leadership ends before it
	// is in the log it is dropped, after RoleChanged.
	TakeProposal(term segment.Term, bytesMax int) []byte
	// Appended hands over the frames just written, on a leader and a follower
	// alike, with the end of the local log, and tells whether they may have
	// replaced a conflicting end. They are not durable yet. Payloads are valid
	// during the call. After a full disk there may be no frame, nor when a
	// snapshot has extended the log.
	Appended(frames []segment.Entry, last segment.Index, next segment.Offset, replaced bool)
	// Durable tells up to which offset (exclusive) the local log is durable.
	Durable(next segment.Offset)
	// Committed hands over committed entries that carry a payload, in order.
	// The payloads are valid during the call only.
	Committed(entries []segment.Entry)
	// RoleChanged tells a new role. Leader is reported once this node may
	// serve as leader: the first entry of its own term is applied. The end of
	// a leadership is reported before an entry of another term is appended.
	RoleChanged(RoleChange)
	// NoRoom tells that the disk is full: what waits, and what was taken and is
	// not durable, will be written when there is room and not before; nothing
	// is taken until NoRoom(nil) says that there is.
	NoRoom(err error)
	// Failed tells, once, that an I/O error or damage has stopped the group.
	// Nothing else is called afterwards.
	Failed(err error)
}

// ProgressWatcher is a StateMachine that wants to know how far the other
// members are. It is asked after messages have been handled, and after entries
// have been committed, on the node of a leader that serves. The slice is valid
// during the call.
type ProgressWatcher interface {
	WantsProgress() bool
	Progress([]Replica)
}

// Restorer is a StateMachine that wants to know that the log it replicates has
// been replaced by one that begins behind what it has seen: a snapshot. What it
// holds is void; Appended, Durable and Committed follow, with the entries of the
// log from first on.
type Restorer interface {
	Restored(first segment.Index)
}

// Replica is another member of a group, as its leader knows it.
type Replica = peers.Replica

// Transport carries messages to other nodes. Send must not block: it queues or
// drops. The messages, and what they point to, are shared and must not be
// changed.
type Transport interface {
	Send(group uint64, msgs []*pb.Message)
}

// Options are what a host runs on. Those without a default are required.
type Options struct {
	NodeID     uint64
	HardStates *raftstore.HardStates
	Transport  Transport        // nil: there are no other nodes, and a message to one is a bug
	Clock      clock.Clock      // default clock.Real
	Logger     *slog.Logger     // default slog.Default
	Metrics    *metrics.Metrics // default: metrics nobody reads

	Shards         int           // goroutines that run groups; default GOMAXPROCS
	TickInterval   time.Duration // default 100 ms
	ElectionTicks  int           // default 10
	HeartbeatTicks int           // default 1
	// CheckpointInterval is how often the commit indexes that moved are
	// recorded; it bounds what a restart reads again. Default 5 s.
	CheckpointInterval time.Duration

	ProposalBytesMax int // of one proposal, unless a single batch is larger; default 1 MiB
	InflightBytesMax int // of a group's proposals that are not applied; default 8 MiB
	InflightSyncsMax int // appends of a group's leader that wait for the disk; default 2
	// HeldBytesMax bounds what the node holds in memory of entries that are not
	// durable yet: peers' messages with entries are dropped above it. A group's
	// inbox has bounds of its own (package inbox). Default 256 MiB.
	HeldBytesMax int
}

// GroupOptions describe a group to run.
type GroupOptions struct {
	ID  uint64
	Log *wal.Log // open; closing it after Remove or Stop is the caller's
	// Voters are node ids. They are the members of a group that has none
	// recorded yet, and, in every process, the order in which members campaign
	// when the leader's process is gone (Host.Down); members that it does not
	// name follow by their ids. It should be the same on all members.
	Voters []uint64
	// Applied is the last entry the state machine holds; entries behind it
	// are handed to Committed, from the log if need be.
	Applied segment.Index
	// SkipApplied: entries committed before the group was added are not
	// handed to Committed. Only the last of them that holds records is (without
	// its payload), so that the state machine knows the committed offset.
	SkipApplied bool
	SM          StateMachine

	// Candidate: if the group is new, this member campaigns at once, and
	// again at each tick until there is a leader or an election timeout has
	// passed: the others may open theirs a little later.
	Candidate bool
	// Learner: this node is not in Voters. It waits for the leader to make it
	// a member and send it the log.
	Learner bool
}

// Status is a group as of its latest step.
type Status struct {
	Role       Role
	Term       segment.Term
	Leader     uint64 // 0: unknown
	Commit     segment.Index
	Applied    segment.Index
	FirstIndex segment.Index
	LastIndex  segment.Index
	Voters     []uint64 // must not be changed, like the next
	Learners   []uint64
	Joint      bool  // a change of members is under way, and the majority of the former voters is needed too
	NoRoom     error // the disk is full and the group waits for room; nil: it is not
	Err        error // why the group has stopped, or nil
}

func (o *Options) setDefaults(procs int) {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Shards, procs)
	def(&o.ElectionTicks, 10)
	def(&o.HeartbeatTicks, 1)
	def(&o.ProposalBytesMax, 1<<20)
	def(&o.InflightBytesMax, 8<<20)
	def(&o.InflightSyncsMax, 2)
	def(&o.HeldBytesMax, 256<<20)
	if o.Clock == nil {
		o.Clock = clock.Real
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = metrics.Discard()
	}
	if o.TickInterval == 0 {
		o.TickInterval = 100 * time.Millisecond
	}
	if o.CheckpointInterval == 0 {
		o.CheckpointInterval = 5 * time.Second
	}
}
