package group

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"chronik/broker/group/effect"
	"chronik/broker/group/record"
)

// LoadStats counts what Load was given; those that are skipped were written by a newer release, or by KIP-848 groups.
type LoadStats = effect.LoadStats

// LoadStats tells what Load has counted.
func (s *Shard) LoadStats() LoadStats { return s.stats }

// Load replays one record of the partition; value nil is a tombstone. Records come in the order of the log, without
// control records. A record that does not decode is an error that wraps record.ErrMalformed and changes nothing: the
// host reports it and goes on.
func (s *Shard) Load(key, value []byte) error {
	if s.phase != loading {
		panic("BUG: group: Load after Loaded")
	}
	s.stats.Records++
	err := s.load(key, value)
	if err != nil {
		s.stats.Malformed++
	}
	return err
}

func (s *Shard) load(key, value []byte) error {
	k, err := record.DecodeKey(key)
	switch {
	case err != nil:
		return err
	case k.Kind == record.KindOffset:
		return s.loadOffset(k, value)
	case k.Kind == record.KindGroup:
		return s.loadGroup(k.Group, value)
	}
	s.stats.Skipped++
	return nil
}

func (s *Shard) loadOffset(k record.Key, value []byte) error {
	g := s.groups[k.Group]
	if value == nil {
		if g != nil && g.offsets[k.Topic] != nil && g.offsets[k.Topic].partitions[k.Partition] != nil {
			at := s.slotFor(g, k.Topic, k.Partition)
			at.entry.present = false
			s.dropPending(at.entry)
			s.prune(g, at)
			s.forgetIfUnused(g)
		}
		return nil
	}
	o, err := record.DecodeOffset(value)
	if err != nil {
		return fmt.Errorf("offset of group %q, %s-%d: %w", k.Group, k.Topic, k.Partition, err)
	}
	_, at, o := s.loadedSlot(k, o)
	s.charge(at.entry.set(0, o))
	return nil
}

// loadedSlot is the place of an offset that is being loaded, with its group, and the offset as it may be kept.
func (s *Shard) loadedSlot(k record.Key, o record.Offset) (*group, slot, record.Offset) {
	o.Metadata = strings.Clone(o.Metadata)
	g := s.groups[k.Group]
	if g == nil {
		g = s.newGroup(k.Group, time.Time{})
	}
	if g.offsets[k.Topic] == nil {
		k.Topic = strings.Clone(k.Topic)
	}
	return g, s.slotFor(g, k.Topic, k.Partition), o
}

// loadGroup replaces what is known of a group but its offsets.
func (s *Shard) loadGroup(id string, value []byte) error {
	var v *record.Group
	if value != nil {
		decoded, err := record.DecodeGroup(value)
		if err != nil {
			return fmt.Errorf("group %q: %w", id, err)
		}
		v = &decoded
	}
	g := s.groups[id]
	switch {
	case g == nil && value == nil:
		return nil
	case g == nil:
		g = s.newGroup(id, time.Time{})
	}
	g.Restore(v)
	s.forgetIfUnused(g)
	return nil
}

// Loaded ends the loading: calls are answered from now on. The members of restored groups have one session timeout
// to be heard of; groups over the size limit rebalance.
func (s *Shard) Loaded(now time.Time, fx *Effects) {
	if s.phase != loading {
		panic("BUG: group: Loaded twice")
	}
	s.phase = active
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[id]
		g.Loaded(now, fx)
		s.armSweep(now, g)
	}
}

// Quiet reports whether every append has its final outcome, so that memory and log say the same.
func (s *Shard) Quiet() bool { return s.log.Quiet() }

// Snapshot gives records that say what all records so far say together: a host may append them and drop what is
// before. The Shard must be quiet and must not be called during the iteration.
func (s *Shard) Snapshot() iter.Seq[Record] {
	if !s.Quiet() {
		panic("BUG: group: snapshot with appends under way")
	}
	return func(yield func(Record) bool) {
		for _, id := range slices.Sorted(maps.Keys(s.groups)) {
			g := s.groups[id]
			for _, at := range g.sortedOffsets() {
				e := at.entry
				if e.present && !yield(Record{Key: record.OffsetKey(id, at.topic.name, at.partition), Value: e.Encode()}) {
					return
				}
			}
			if g.Recorded() && !yield(g.Snapshot()) {
				return
			}
		}
	}
}
