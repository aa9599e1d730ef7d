package cluster

import (
	"cmp"
	"fmt"
	"slices"
)

// Spread places count new partitions with factor replicas each on live brokers
// that are not about to leave (A3), for a topic that has some already or none.
//
// The replicas of a partition are in different racks as far as there are
// racks. Within the topic each broker leads (is the first replica of) as many
// partitions as another, or one more; and so with replicas, unless racks of
// different size forbid it. What is equal within the topic is decided by what
// the brokers hold of all topics: many small topics are spread evenly too.
func (s *State) Spread(count int32, factor int16, have []Partition) ([][]int32, error) {
	sp := s.newSpreader(have)
	switch {
	case factor < 1 || int(factor) > len(sp.at):
		return nil, fmt.Errorf("%w: %d with %d brokers that can take replicas", ErrReplicationFactor, factor, len(sp.at))
	case count < 1:
		return nil, fmt.Errorf("%w: %d", ErrPartitionCount, count)
	}
	replicas := make([][]int32, count)
	for i := range replicas {
		replicas[i] = sp.place(int(factor))
	}
	return replicas, nil
}

// spreader is what placing looks at.
type spreader struct {
	at    []*holder // by id
	taken map[string]int
}

// holder is a broker and what it holds, of the topic and of all.
type holder struct {
	id                     int32
	rack                   string
	leads, holds           int
	leadsOfAll, holdsOfAll int
	beside                 map[int32]int // by leader: partitions of the topic that it holds as another replica
	chosen                 bool
}

func (s *State) newSpreader(have []Partition) *spreader {
	sp := &spreader{taken: map[string]int{}}
	byID := map[int32]*holder{}
	for _, b := range s.Live() {
		if !b.Draining {
			h := &holder{id: b.ID, rack: b.Rack, beside: map[int32]int{}}
			sp.at, byID[b.ID] = append(sp.at, h), h
		}
	}
	count := func(p Partition, each func(h *holder, leads int)) {
		for i, id := range p.Replicas {
			if h := byID[id]; h != nil {
				leads := 0
				if i == 0 {
					leads = 1
				}
				each(h, leads)
			}
		}
	}
	for _, t := range s.topics {
		for _, p := range t.Partitions {
			count(p, func(h *holder, leads int) { h.holdsOfAll, h.leadsOfAll = h.holdsOfAll+1, h.leadsOfAll+leads })
		}
	}
	for _, p := range have {
		count(p, func(h *holder, leads int) { h.holds, h.leads = h.holds+1, h.leads+leads })
	}
	return sp
}

// place chooses the brokers of the next partition.
func (sp *spreader) place(factor int) []int32 {
	clear(sp.taken)
	for _, h := range sp.at {
		h.chosen = false
	}
	first := slices.MinFunc(sp.at, func(a, b *holder) int {
		return cmp.Or(a.leads-b.leads, a.holds-b.holds, a.leadsOfAll-b.leadsOfAll, a.holdsOfAll-b.holdsOfAll, int(a.id-b.id))
	})
	first.leads++
	first.leadsOfAll++
	ids := []int32{sp.take(first)}
	for len(ids) < factor {
		next := slices.MinFunc(sp.at, func(a, b *holder) int { return sp.compare(a, b, first.id) })
		next.beside[first.id]++
		ids = append(ids, sp.take(next))
	}
	return ids
}

// compare orders brokers by how well they suit as another replica of a
// partition that first leads: those that lead least hold least otherwise, so
// that what they will lead finds room; and a leader's partitions have different
// brokers beside it, so that when it fails its load goes to many.
func (sp *spreader) compare(a, b *holder, first int32) int {
	if a.chosen != b.chosen {
		if a.chosen {
			return 1
		}
		return -1
	}
	rack := func(h *holder) int {
		if h.rack == "" {
			return 0
		}
		return sp.taken[h.rack]
	}
	return cmp.Or(rack(a)-rack(b), a.holds-b.holds, a.beside[first]-b.beside[first], b.leads-a.leads,
		a.holdsOfAll-b.holdsOfAll, int(a.id-b.id))
}

func (sp *spreader) take(h *holder) int32 {
	h.chosen = true
	h.holds++
	h.holdsOfAll++
	sp.taken[h.rack]++
	return h.id
}
