package cluster

import (
	"fmt"
	"slices"

	"chronik/kafka/wire"
)

// Leadership is who leads a partition and who is in sync, as its leader told.
type Leadership struct {
	Group  uint64 // the partition's raft group
	Leader int32
	Epoch  int32   // leader epoch
	ISR    []int32 // brokers in sync, the leader among them; must not be changed
}

// SetLeadership is what a leader of partitions tells of them. It is refused
// (ErrBrokerEpoch) from a broker that is fenced or has registered anew since.
// Items that are older than what is known, or not about a partition with these
// replicas, are passed over.
type SetLeadership struct {
	Node        int32
	BrokerEpoch int64
	Items       []Leadership
}

func (s *State) setLeadership(c *SetLeadership) error {
	if b, ok := s.brokers[c.Node]; !ok || b.Epoch != c.BrokerEpoch || b.Fenced {
		return fmt.Errorf("%w: broker %d, epoch %d", ErrBrokerEpoch, c.Node, c.BrokerEpoch)
	}
	for _, l := range c.Items {
		if known, ok := s.leaders[l.Group]; ok && (l.Epoch < known.Epoch || l.Epoch == known.Epoch && l.Leader != known.Leader) {
			continue
		}
		if s.mayLead(l) {
			l.ISR = slices.Clone(l.ISR)
			s.leaders[l.Group] = l
		}
	}
	return nil
}

// mayLead reports whether l is about replicas of a partition there is.
func (s *State) mayLead(l Leadership) bool {
	_, p, ok := s.Group(l.Group)
	return ok && leads(l, p)
}

// leads reports whether l can be of a partition with p's replicas.
func leads(l Leadership, p *Partition) bool {
	if l.Epoch < 0 || !slices.Contains(l.ISR, l.Leader) {
		return false
	}
	for i, id := range l.ISR {
		if !slices.Contains(p.Replicas, id) || slices.Contains(l.ISR[:i], id) {
			return false
		}
	}
	return true
}

// Leadership is what is known of the leader of a partition, by its raft group;
// false when none has told.
func (s *State) Leadership(group uint64) (Leadership, bool) {
	l, ok := s.leaders[group]
	return l, ok
}

// Group returns the topic and the partition whose raft group it is.
func (s *State) Group(id uint64) (*Topic, *Partition, bool) {
	g, ok := s.groups[id]
	if !ok {
		return nil, nil, false
	}
	t := s.byID[g.topic]
	return t, &t.Partitions[g.partition], true
}

func (*SetLeadership) kind() int8 { return kindSetLeadership }
func (c *SetLeadership) encode(w *wire.Writer) {
	w.Int32(c.Node)
	w.Int64(c.BrokerEpoch)
	w.ArrayLen(len(c.Items), true)
	for _, l := range c.Items {
		l.encode(w)
	}
}
func (c *SetLeadership) decode(r *wire.Reader, _ int8) {
	c.Node, c.BrokerEpoch = r.Int32(), r.Int64()
	c.Items = make([]Leadership, r.ArrayLen(true, leadershipBytesMin))
	for i := range c.Items {
		c.Items[i].decode(r)
	}
}

const leadershipBytesMin = 8 + 4 + 4 + 1

func (l *Leadership) encode(w *wire.Writer) {
	w.Int64(int64(l.Group))
	w.Int32(l.Leader)
	w.Int32(l.Epoch)
	encodeIDs(w, l.ISR)
}

func (l *Leadership) decode(r *wire.Reader) {
	l.Group, l.Leader, l.Epoch, l.ISR = uint64(r.Int64()), r.Int32(), r.Int32(), decodeIDs(r)
}
