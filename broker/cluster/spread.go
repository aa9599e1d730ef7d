package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Spread places count new partitions with factor replicas each (A3), for a
// topic that has some already or none.
//
// Brokers that are fenced or about to leave get replicas only when the others
// do not suffice, and lead none: such a replica is opened when its broker is
// back. Less than a majority of live replicas is refused, for they could elect
// nobody.
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
		return nil, fmt.Errorf("%w: %d with %d brokers", ErrReplicationFactor, factor, len(sp.at))
	case sp.present < majority(int(factor)):
		return nil, fmt.Errorf("%w: %d, of which %d must be live to elect a leader, with %d live brokers; %s",
			ErrReplicationFactor, factor, majority(int(factor)), sp.present, s.absence(slices.Sorted(maps.Keys(s.brokers))))
	case count < 1:
		return nil, fmt.Errorf("%w: %d", ErrPartitionCount, count)
	}
	parts := make([][]*holder, count)
	for i := range parts {
		parts[i] = sp.choose(int(factor))
		sp.lead(parts[i])
	}
	for sp.even(parts) {
	}
	replicas := make([][]int32, count)
	for i, p := range parts {
		for _, h := range p {
			replicas[i] = append(replicas[i], h.id)
		}
	}
	return replicas, nil
}

// spreader is what placing looks at.
type spreader struct {
	at      []*holder // by id
	present int       // how many of them are not absent
	taken   int       // replicas of the partition being placed that have their brokers
}

// rack is a rack, or a broker that is in none.
type rack struct {
	size  int // brokers
	holds int // replicas of the topic
	taken int // of the partition being placed
}

// holder is a broker and what it holds, of the topic and of all.
type holder struct {
	id                     int32
	absent                 bool // fenced, or about to leave
	rack                   *rack
	leads, holds           int
	leadsOfAll, holdsOfAll int
	beside                 map[int32]int // by broker: new partitions that both hold
	chosen                 bool          // for the partition being placed
	met                    int           // beside of those that are
}

func (s *State) newSpreader(have []Partition) *spreader {
	sp, racks := &spreader{}, map[string]*rack{}
	byID := map[int32]*holder{}
	for _, b := range s.Brokers() {
		r := racks[b.Rack]
		if r == nil || b.Rack == "" {
			r = &rack{}
			racks[b.Rack] = r
		}
		h := &holder{id: b.ID, absent: b.Absent(), rack: r, beside: map[int32]int{}}
		if !h.absent {
			r.size++
			sp.present++
		}
		sp.at, byID[b.ID] = append(sp.at, h), h
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
		count(p, func(h *holder, leads int) {
			h.holds, h.leads = h.holds+1, h.leads+leads
			if !h.absent {
				h.rack.holds++
			}
		})
	}
	return sp
}

// choose chooses the brokers of the next partition: of other racks than the
// ones before it if there are any, and then those that hold least. Among equals
// those that were together least, so that the load of a broker that fails goes
// to many.
func (sp *spreader) choose(factor int) (chosen []*holder) {
	sp.taken = 0
	for _, h := range sp.at {
		h.chosen, h.met, h.rack.taken = false, 0, 0
	}
	for len(chosen) < factor {
		next := slices.MinFunc(sp.at, sp.compare)
		for _, h := range chosen {
			h.beside[next.id]++
			next.beside[h.id]++
		}
		next.chosen = true
		next.holds++
		next.holdsOfAll++
		next.rack.holds++
		next.rack.taken++
		sp.taken++
		for _, h := range sp.at {
			h.met += h.beside[next.id]
		}
		chosen = append(chosen, next)
	}
	return chosen
}

func (sp *spreader) compare(a, b *holder) int {
	for _, last := range [][2]bool{{a.chosen, b.chosen}, {a.absent, b.absent}} {
		switch {
		case last[0] && !last[1]:
			return 1
		case last[1] && !last[0]:
			return -1
		}
	}
	leads, leadsOfAll := a.leads-b.leads, a.leadsOfAll-b.leadsOfAll // one that leads little, beside one that leads much
	if sp.taken > 0 {
		leads, leadsOfAll = -leads, -leadsOfAll
	}
	return cmp.Or(a.rack.taken-b.rack.taken, a.rack.holds*b.rack.size-b.rack.holds*a.rack.size,
		a.holds-b.holds, leads, a.holdsOfAll-b.holdsOfAll, leadsOfAll, a.met-b.met, cmp.Compare(a.id, b.id))
}

// lead puts the one that leads least first, of those that are not absent:
// choose has these before the others.
func (sp *spreader) lead(p []*holder) {
	first := 0
	for i, h := range p {
		if !h.absent && cmp.Or(h.leads-p[first].leads, h.leadsOfAll-p[first].leadsOfAll) < 0 {
			first = i
		}
	}
	p[0], p[first] = p[first], p[0]
	p[0].leads++
	p[0].leadsOfAll++
}

// even moves leadership from one that leads two more than another (or one, and
// two more of all topics), by way of partitions that lie between them, and
// reports whether there was something to move. The replicas being even, that
// ends with leaders that are.
func (sp *spreader) even(parts [][]*holder) bool {
	type step struct {
		from *holder
		part []*holder
	}
	led := map[*holder][][]*holder{}
	for _, p := range parts {
		led[p[0]] = append(led[p[0]], p)
	}
	for _, most := range sp.at {
		came := map[*holder]step{most: {}}
		for queue := []*holder{most}; len(queue) > 0; queue = queue[1:] {
			at := queue[0]
			if at.leads+2 <= most.leads || at.leads < most.leads && at.leadsOfAll+2 <= most.leadsOfAll {
				for h := at; h != most; h = came[h].from {
					p := came[h].part
					i := slices.Index(p, h)
					p[0], p[i] = p[i], p[0]
				}
				most.leads, most.leadsOfAll = most.leads-1, most.leadsOfAll-1
				at.leads, at.leadsOfAll = at.leads+1, at.leadsOfAll+1
				return true
			}
			for _, p := range led[at] {
				for _, h := range p[1:] {
					if _, seen := came[h]; !seen && !h.absent {
						came[h] = step{at, p}
						queue = append(queue, h)
					}
				}
			}
		}
	}
	return false
}
