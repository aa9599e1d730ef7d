package group

import (
	"maps"
	"slices"
	"strings"
	"time"

	"chronik/broker/group/classic"
	"chronik/broker/group/effect"
	"chronik/broker/group/record"
)

// tombstonesMax bounds the records of one cleaning append.
const tombstonesMax = 1000

// cleanRetry is when a cleaning append that failed is tried again.
const cleanRetry = 10 * time.Second

// emitTombstones removes offsets from the log and, once that is committed, from memory. The commits under way for
// them were emitted earlier, so they are removed as well.
func (s *Shard) emitTombstones(fx *Effects, g *group, doomed []slot, answer func(Error, *Effects)) AppendID {
	records := make([]Record, len(doomed))
	for i, at := range doomed {
		records[i] = Record{Key: record.OffsetKey(g.ID(), at.topic.name, at.partition)}
	}
	p := effect.Pending{
		Dropped: func(now time.Time, _ *Effects) { s.sweepBy(now.Add(cleanRetry), g) },
	}
	if answer != nil {
		p.Answer = func(_ time.Time, err Error, fx *Effects) { answer(err, fx) }
	}
	var id AppendID
	p.Applied = func(time.Time, *Effects) {
		for _, at := range doomed {
			if at.entry.deletedBefore <= id {
				at.entry.present, at.entry.deletedBefore = false, 0
			}
			s.dropPending(at.entry)
			s.prune(g, at)
		}
		s.forgetIfUnused(g)
	}
	id = s.log.Emit(fx, records, p)
	return id
}

// TopicDeleted drops the offsets of a topic from every group (O15). They do not show any more from now on, whatever
// becomes of the appends; a failed one is repeated.
func (s *Shard) TopicDeleted(now time.Time, topic string, fx *Effects) {
	if s.phase != active {
		return // while loading the host does not know either: it compares Topics with what exists after Loaded
	}
	groups := slices.Collect(maps.Keys(s.topics[topic]))
	slices.SortFunc(groups, func(a, b *group) int { return strings.Compare(a.ID(), b.ID()) })
	for _, g := range groups {
		s.dropTopic(g, g.offsets[topic].sorted(), fx)
	}
}

// dropTopic hides the entries and emits their tombstones.
func (s *Shard) dropTopic(g *group, doomed []slot, fx *Effects) {
	for part := range slices.Chunk(doomed, tombstonesMax) {
		id := s.emitTombstones(fx, g, part, nil)
		for _, at := range part {
			at.entry.present, at.entry.deletedBefore = false, id
			s.dropPending(at.entry)
		}
	}
}

// Topics is the names of all topics with offsets, sorted. A host calls it after Loaded and reports with TopicDeleted
// those that are gone. The work is proportional to the number of topics.
func (s *Shard) Topics() []string { return slices.Sorted(maps.Keys(s.topics)) }

// armSweep makes sure a group is looked at when something of it may have to go (J64): with members after the check
// interval, without them when the first offset expires. A group that will be looked at anyway is left alone: what
// is committed later expires later, unless it brings its own retention (see sweepBy).
func (s *Shard) armSweep(now time.Time, g *group) {
	if g.sweep.Armed() {
		return
	}
	at := now.Add(s.cfg.OffsetsRetentionCheck)
	if g.State() == Empty {
		if first, ok := s.firstExpiry(g); ok && first.After(at) {
			at = first
		}
	}
	s.timers.Arm(&g.sweep, at)
}

// sweepBy makes sure a group is looked at not later than at.
func (s *Shard) sweepBy(at time.Time, g *group) {
	if !g.sweep.Armed() || at.Before(g.sweep.At()) {
		s.timers.Arm(&g.sweep, at)
	}
}

func (s *Shard) firstExpiry(g *group) (time.Time, bool) {
	var first time.Time
	for _, t := range g.offsets {
		for _, e := range t.partitions {
			if at := s.expiry(g, e); e.present && (first.IsZero() || at.Before(first)) {
				first = at
			}
		}
	}
	return first, !first.IsZero()
}

// expiry is when an offset of a group goes that does not use it: its own time if it has one, else the retention
// after the commit, or after the group became empty if that is later.
//
// Kafka counts from the group's becoming empty even for offsets committed since; then what an administrator sets
// for a group that has long been idle goes at once. Here it is kept for the retention.
func (s *Shard) expiry(g *group, e *offsetEntry) time.Time {
	if e.ExpireMs >= 0 {
		return time.UnixMilli(e.ExpireMs)
	}
	base := time.UnixMilli(e.CommitMs)
	if g.State() == Empty && g.ProtocolType() != "" && g.StateSince().After(base) {
		base = g.StateSince()
	}
	return base.Add(s.cfg.OffsetsRetention)
}

// expires tells whether an offset has to go now (J64).
func (s *Shard) expires(now time.Time, g *group, at slot) bool {
	e := at.entry
	if !e.present || e.commits > 0 || e.txns > 0 {
		return false
	}
	idle := g.State() == Empty ||
		g.State() == Stable && g.ProtocolType() == classic.ConsumerProtocolType && !g.SubscribedTo(at.topic.name)
	return idle && !now.Before(s.expiry(g, e))
}

// sweepGroup removes expired offsets, repeats the tombstones of deleted topics that failed, and ends a group
// that has neither members nor offsets.
func (s *Shard) sweepGroup(now time.Time, g *group, fx *Effects) {
	if g.State() == Dead {
		return
	}
	var expired, deleted []slot
	kept := 0
	for _, at := range g.sortedOffsets() {
		switch {
		case at.entry.deletedBefore > 0:
			// A commit under way is of the topic made anew: a tombstone emitted now would remove it.
			if !s.log.Open(at.entry.deletedBefore) && at.entry.commits == 0 && at.entry.txns == 0 {
				deleted = append(deleted, at)
			} else {
				s.sweepBy(now.Add(cleanRetry), g)
			}
			kept++
		case len(expired) < tombstonesMax && s.expires(now, g, at):
			expired = append(expired, at)
		default:
			kept++
		}
	}
	s.dropTopic(g, deleted, fx)
	switch {
	case g.Unused() && kept == 0:
		s.endGroup(fx, g, nil)
		return
	case len(expired) > 0:
		s.emitTombstones(fx, g, expired, nil)
		if len(expired) == tombstonesMax {
			s.sweepBy(now.Add(cleanRetry), g) // there are more
		}
	}
	s.armSweep(now, g)
}

// endGroup removes an Empty group with everything it holds. It is Dead while the tombstones are on their way.
func (s *Shard) endGroup(fx *Effects, g *group, answer func(Error, *Effects)) {
	var records []Record
	for _, at := range g.sortedOffsets() {
		records = append(records, Record{Key: record.OffsetKey(g.ID(), at.topic.name, at.partition)})
	}
	if g.Recorded() {
		records = append(records, Record{Key: record.GroupKey(g.ID())})
	}
	if len(records) == 0 {
		s.forget(g)
		if answer != nil {
			answer(None, fx)
		}
		return
	}
	g.Bury()
	p := effect.Pending{
		Applied: func(time.Time, *Effects) { s.forget(g) },
		Dropped: func(now time.Time, _ *Effects) {
			g.Revive()
			s.sweepBy(now.Add(cleanRetry), g)
		},
	}
	if answer != nil {
		p.Answer = func(_ time.Time, err Error, fx *Effects) { answer(err, fx) }
	}
	s.log.Emit(fx, records, p)
}
