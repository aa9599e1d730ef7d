package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"chronik/broker/group/record"
)

// LoadStats counts what Load was given.
type LoadStats struct {
	Records   int // all of them
	Skipped   int // of a key type that is not ours: written by a newer release, or by KIP-848 groups
	Malformed int // ours, but not decodable
}

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
			s.prune(g, at)
			s.forgetIfUnused(g)
		}
		return nil
	}
	o, err := record.DecodeOffset(value)
	if err != nil {
		return fmt.Errorf("offset of group %q, %s-%d: %w", k.Group, k.Topic, k.Partition, err)
	}
	o.Metadata = strings.Clone(o.Metadata)
	if g == nil {
		g = s.newGroup(k.Group, time.Time{})
	}
	if g.offsets[k.Topic] == nil {
		k.Topic = strings.Clone(k.Topic)
	}
	*s.slotFor(g, k.Topic, k.Partition).entry = offsetEntry{Offset: o, present: true}
	return nil
}

// loadGroup replaces what is known of a group but its offsets.
func (s *Shard) loadGroup(id string, value []byte) error {
	v := record.Group{StateMs: -1}
	if value != nil {
		var err error
		if v, err = record.DecodeGroup(value); err != nil {
			return fmt.Errorf("group %q: %w", id, err)
		}
	}
	g := s.groups[id]
	switch {
	case g == nil && value == nil:
		return nil
	case g == nil:
		g = s.newGroup(id, time.Time{})
	}
	clear(g.members)
	clear(g.instances)
	clear(g.supported)
	g.recorded = value != nil
	g.generation, g.state = v.Generation, Empty
	g.protocolType, g.protocol, g.leader = strings.Clone(v.ProtocolType), "", ""
	g.stateSince = time.Time{}
	if v.StateMs >= 0 {
		g.stateSince = time.UnixMilli(v.StateMs)
	}
	g.topics, g.topicsKnown = nil, false
	if len(v.Members) > 0 {
		s.loadMembers(g, &v)
	}
	s.forgetIfUnused(g)
	return nil
}

// loadMembers restores a Stable generation.
func (s *Shard) loadMembers(g *group, v *record.Group) {
	g.state, g.protocol = Stable, strings.Clone(v.Protocol)
	for i := range v.Members {
		mv := &v.Members[i]
		m := &member{
			id: strings.Clone(mv.MemberID), instanceID: strings.Clone(mv.InstanceID),
			clientID: strings.Clone(mv.ClientID), clientHost: strings.Clone(mv.ClientHost),
			rebalanceTimeout: time.Duration(mv.RebalanceTimeoutMs) * time.Millisecond,
			sessionTimeout:   time.Duration(mv.SessionTimeoutMs) * time.Millisecond,
			protocols:        cloneProtocols([]Protocol{{Name: g.protocol, Metadata: mv.Subscription}}),
			assignment:       append([]byte{}, mv.Assignment...),
		}
		s.add(g, m, g.protocolType)
	}
	if leader := g.members[v.Leader]; leader != nil {
		g.leader = leader.id
	} else {
		g.leader = g.sorted()[0].id
	}
	g.subscribe()
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
		if g.stateSince.IsZero() {
			g.stateSince = now
		}
		for _, m := range g.sorted() {
			s.touch(now, m)
		}
		s.armSweep(now, g)
		if len(g.members) > s.cfg.MembersMax {
			s.rebalance(now, g, fx)
		}
	}
}
