package group

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Token names a call that a Reply will answer. The caller chooses it; it must be unique among the unanswered ones.
type Token uint64

// AppendID names an Append. Ids ascend in the order in which the records must reach the log.
type AppendID uint64

// Effects is what a call wants done outside. Calls append to it and never read it; Reset makes it usable again.
type Effects struct {
	Replies []Reply
	Appends []Append
}

// Reset empties fx and keeps its memory.
func (fx *Effects) Reset() {
	clear(fx.Replies)
	clear(fx.Appends)
	fx.Replies, fx.Appends = fx.Replies[:0], fx.Appends[:0]
}

// Reply answers the call that brought Token. Response is a JoinResponse, SyncResponse, LeaveResponse,
// CommitOffsetsResponse, DeleteOffsetsResponse or DeleteResponse, as the call was.
type Reply struct {
	Token    Token
	Response any
}

// Append asks for Records to be written to the partition as one batch, durable on a quorum, and for Appended.
type Append struct {
	ID      AppendID
	Records []Record
}

// Record is one record of __consumer_offsets. A nil Value is a tombstone. The bytes belong to the receiver.
type Record struct{ Key, Value []byte }

// Config holds the limits of groups. NewShard does not fill in defaults: a zero limit is a limit of zero.
type Config struct {
	InitialRebalanceDelay time.Duration // group.initial.rebalance.delay.ms
	SessionTimeoutMin     time.Duration // group.min.session.timeout.ms
	SessionTimeoutMax     time.Duration // group.max.session.timeout.ms
	MembersMax            int           // group.max.size
	OffsetMetadataMax     int           // offset.metadata.max.bytes, counted as Kafka does: UTF-16 units
	OffsetsRetention      time.Duration // offsets.retention.minutes
	OffsetsRetentionCheck time.Duration // offsets.retention.check.interval.ms
	NewID                 func() string // a fresh UUID for a member id
}

// DefaultConfig is Kafka's defaults around the given source of ids.
func DefaultConfig(newID func() string) Config {
	return Config{
		InitialRebalanceDelay: 3 * time.Second,
		SessionTimeoutMin:     6 * time.Second,
		SessionTimeoutMax:     30 * time.Minute,
		MembersMax:            1<<31 - 1,
		OffsetMetadataMax:     4096,
		OffsetsRetention:      7 * 24 * time.Hour,
		OffsetsRetentionCheck: 10 * time.Minute,
		NewID:                 newID,
	}
}

type phase uint8

const (
	loading phase = iota
	active
	resigned
)

// Shard is every group of one partition of __consumer_offsets. It begins loading: Load gives it the partition's
// records, Loaded makes it answer. Invariants, checked by the tests after each step:
//
//  1. A group's generation never falls while the Shard lives.
//  2. A member waits in join only in PreparingRebalance (or for the append of a static replacement), in sync
//     only in CompletingRebalance.
//  3. In Stable every member has the bytes the leader of that generation gave it.
//  4. Each entry of `appends` has been emitted and not yet been settled by Appended.
type Shard struct {
	cfg    Config
	phase  phase
	groups map[string]*group
	topics map[string]map[*group]struct{} // groups that hold offsets of a topic
	timers timers

	nextAppend AppendID
	appends    map[AppendID]*pendingAppend
	stats      LoadStats
}

// pendingAppend is what becomes of an emitted Append. A nil function means nothing to do.
//
//	committed                      -> applied, then answer(None)
//	failed                         -> dropped, then answer(error)
//	in doubt, then one of the two  -> answer(error) first, then applied or dropped
type pendingAppend struct {
	applied  func(now time.Time, fx *Effects)
	dropped  func(now time.Time, fx *Effects)
	answer   func(now time.Time, err Error, fx *Effects)
	answered bool
}

// NewShard returns an empty Shard that is loading.
func NewShard(cfg Config) *Shard {
	return &Shard{
		cfg:        cfg,
		groups:     map[string]*group{},
		topics:     map[string]map[*group]struct{}{},
		appends:    map[AppendID]*pendingAppend{},
		nextAppend: 1,
	}
}

// Deadline is when Tick is next needed; false when never.
func (s *Shard) Deadline() (time.Time, bool) {
	if len(s.timers.heap) == 0 {
		return time.Time{}, false
	}
	return s.timers.heap[0].at, true
}

// Tick does what is due by now: session expiry, the ends of join and sync phases, offset retention.
func (s *Shard) Tick(now time.Time, fx *Effects) {
	for t := s.timers.due(now); t != nil; t = s.timers.due(now) {
		t.fire(now, fx)
	}
}

// Appended reports the outcome of an Append: nil once its records are committed. Commits are reported in the order
// of their ids. After an error that leaves the outcome open (ErrTimeout, ErrNotEnoughReplicasAfterAppend) the call
// is made again with the final outcome. After Resign it does nothing.
func (s *Shard) Appended(now time.Time, id AppendID, err error, fx *Effects) {
	if s.phase == resigned {
		return
	}
	p := s.appends[id]
	if p == nil {
		panic(fmt.Sprintf("BUG: group: outcome of append %d, which is not outstanding", id))
	}
	if !inDoubt(err) {
		delete(s.appends, id)
		if err == nil && p.applied != nil {
			p.applied(now, fx)
		} else if err != nil && p.dropped != nil {
			p.dropped(now, fx)
		}
	}
	if !p.answered && p.answer != nil {
		p.answer(now, appendError(err), fx)
	}
	p.answered = true
}

// Resign ends the Shard because the broker no longer leads the partition: everything held or unsettled is answered
// NOT_COORDINATOR, as is every later call.
func (s *Shard) Resign(now time.Time, fx *Effects) {
	if s.phase == resigned {
		return
	}
	s.phase = resigned
	for _, id := range slices.Sorted(maps.Keys(s.appends)) {
		if p := s.appends[id]; !p.answered && p.answer != nil {
			p.answer(now, NotCoordinator, fx)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[id]
		for _, m := range g.sorted() {
			g.answerJoin(m, joinFailed(m.id, NotCoordinator), fx)
			g.answerSync(m, SyncResponse{Err: NotCoordinator}, fx)
		}
	}
	s.groups, s.topics, s.appends, s.timers = nil, nil, nil, timers{}
}

// ready is the first check of every call (J1).
func (s *Shard) ready() Error {
	switch s.phase {
	case loading:
		return CoordinatorLoadInProgress
	case resigned:
		return NotCoordinator
	}
	return None
}

// readyFor is ready plus the rule that a group id is not empty.
func (s *Shard) readyFor(groupID string) Error {
	if e := s.ready(); e != None {
		return e
	}
	if groupID == "" {
		return InvalidGroupID
	}
	return None
}

// emit asks for records to be appended and remembers what follows from the outcome.
func (s *Shard) emit(fx *Effects, records []Record, p pendingAppend) AppendID {
	id := s.nextAppend
	s.nextAppend++
	s.appends[id] = &p
	fx.Appends = append(fx.Appends, Append{ID: id, Records: records})
	return id
}

func (fx *Effects) reply(tok Token, response any) {
	fx.Replies = append(fx.Replies, Reply{Token: tok, Response: response})
}
