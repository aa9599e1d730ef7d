package group

import (
	"maps"
	"slices"
	"time"

	"chronik/broker/group/classic"
	"chronik/broker/group/effect"
)

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

	RecordBytesMax func() int  // the largest batch that the partition takes
	Full           func() bool // whether Bytes, of all Shards there are, is too much to take more
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
		RecordBytesMax:        func() int { return 1 << 20 },
		Full:                  func() bool { return false },
	}
}

type phase uint8

const (
	loading phase = iota
	active
	resigned
)

// Shard is every group of one partition of __consumer_offsets. It begins loading: Load gives it the partition's
// records, Loaded makes it answer.
type Shard struct {
	cfg    Config
	phase  phase
	env    classic.Env
	groups map[string]*group
	topics map[string]map[*group]struct{} // groups that hold offsets of a topic
	open   map[int64]*openTxn             // by producer id
	asking map[int64][]*Permit            // likewise
	timers effect.Timers
	log    effect.Log
	stats  LoadStats
	bytes  int64
}

// What is kept takes in memory beside its strings and members, rounded up; BenchmarkGroupMemory measures it.
const (
	groupBytes  = 1000
	topicBytes  = 600 // of a group's offsets
	offsetBytes = 200
)

// Bytes is about what groups, members and offsets take in memory. When that is too much (Config.Full) joins of new
// members and commits of further offsets are answered COORDINATOR_NOT_AVAILABLE; those that are there go on.
func (s *Shard) Bytes() int64 { return s.bytes }

func (s *Shard) charge(bytes int) { s.bytes += int64(bytes) }

// group is a classic group with its offsets. One that never had members is a simple group, which only holds offsets.
type group struct {
	*classic.Group
	offsets map[string]*topicOffsets
	sweep   effect.Timer // looks for expired offsets, and for the group's own end (J64)
}

// NewShard returns an empty Shard that is loading.
func NewShard(cfg Config) *Shard {
	s := &Shard{
		cfg:    cfg,
		groups: map[string]*group{},
		topics: map[string]map[*group]struct{}{},
		open:   map[int64]*openTxn{},
		asking: map[int64][]*Permit{},
	}
	s.env = classic.Env{
		InitialRebalanceDelay: cfg.InitialRebalanceDelay, MembersMax: cfg.MembersMax, NewID: cfg.NewID,
		RecordBytesMax: cfg.RecordBytesMax, Full: cfg.Full, Charge: s.charge,
		Timers: &s.timers, Log: &s.log,
		Emptied: func(now time.Time, g *classic.Group) { s.armSweep(now, s.groups[g.ID()]) },
		Idle:    func(g *classic.Group) { s.forgetIfUnused(s.groups[g.ID()]) },
	}
	return s
}

// Deadline is when Tick is next needed; false when never.
func (s *Shard) Deadline() (time.Time, bool) { return s.timers.Next() }

// Tick does what is due by now: session expiry, the ends of join and sync phases, offset retention.
func (s *Shard) Tick(now time.Time, fx *Effects) { s.timers.Tick(now, fx) }

// Appended reports the outcome of an Append: nil once its records are committed. Commits are reported in the order
// of their ids. After an error that leaves the outcome open (ErrTimeout, ErrNotEnoughReplicasAfterAppend) the call
// is made again with the final outcome. After Resign it does nothing.
func (s *Shard) Appended(now time.Time, id AppendID, err error, fx *Effects) {
	if s.phase != resigned {
		s.log.Settle(now, id, err, fx)
	}
}

// Resign ends the Shard because the broker no longer leads the partition: everything held or unsettled is answered
// NOT_COORDINATOR, as is every later call.
func (s *Shard) Resign(now time.Time, fx *Effects) {
	if s.phase == resigned {
		return
	}
	s.phase = resigned
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		s.groups[id].Resign(NotCoordinator, fx)
	}
	s.log.GiveUp(now, NotCoordinator, fx)
	s.groups, s.topics, s.open, s.asking, s.timers, s.bytes = nil, nil, nil, nil, effect.Timers{}, 0
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

func (s *Shard) newGroup(id string, now time.Time) *group {
	g := &group{Group: classic.New(&s.env, id, now), offsets: map[string]*topicOffsets{}}
	g.sweep.Fire = func(now time.Time, fx *Effects) { s.sweepGroup(now, g, fx) }
	s.groups[g.ID()] = g
	s.charge(groupBytes + len(id))
	return g
}

// forget drops a group from memory; the log has no trace of it, or a tombstone.
func (s *Shard) forget(g *group) {
	if s.groups[g.ID()] != g {
		return
	}
	g.Forget()
	s.timers.Disarm(&g.sweep)
	s.dropOpen(func(p pendingOffset) bool { return p.g == g })
	for topic, t := range g.offsets {
		s.unindexTopic(topic, g)
		s.charge(-t.weight())
		clear(t.partitions) // tombstones may be on their way for them
	}
	delete(s.groups, g.ID())
	s.charge(-groupBytes - len(g.ID()))
}

// forgetIfUnused drops a group that nobody uses and the log does not know.
func (s *Shard) forgetIfUnused(g *group) {
	if g.Unused() && !g.Recorded() && len(g.offsets) == 0 {
		s.forget(g)
	}
}
