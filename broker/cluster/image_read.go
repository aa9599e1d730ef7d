package cluster

import (
	"errors"
	"strings"

	"chronik/kafka/wire"
)

// errImage is an image whose parts contradict each other or are not in order.
var errImage = errors.New("metadata image contradicts itself")

// decode reads what encode wrote into a new state, and nothing else: what is
// not in order, stands twice, or could not come of commands fails r.
func (s *State) decode(r *wire.Reader) {
	s.clusterID = r.String(true)
	s.version, s.topology, s.nextGroupID = uint64(r.Int64()), uint64(r.Int64()), uint64(r.Int64())
	s.nextProducerID, s.brokersVersion, s.first = r.Int64(), uint64(r.Int64()), r.Int32()
	s.check(r, s.nextGroupID >= FirstGroupID && s.nextProducerID >= 0)
	s.decodeBrokers(r)
	before := ""
	for range r.ArrayLen(true, 1+16+1) {
		t := s.decodeTopic(r)
		_, twice := s.byID[t.ID]
		other := s.folded[fold(t.Name)]
		if !s.check(r, t.Name > before && !twice && other == "") {
			return
		}
		before = t.Name
		s.topics[t.Name], s.byID[t.ID], s.folded[fold(t.Name)] = t, t, t.Name
	}
	s.decodeConfigs(r)
}

// check fails r unless ok, and reports whether all has been well so far.
func (*State) check(r *wire.Reader, ok bool) bool {
	if r.Err() == nil && !ok {
		r.Fail(errImage)
	}
	return r.Err() == nil
}

func (s *State) decodeBrokers(r *wire.Reader) {
	before := int32(-1)
	for range r.ArrayLen(true, 4+1+4+1+1+16+8+1+2) {
		b := Broker{ID: r.Int32(), Host: r.String(true), Port: r.Int32(), Rack: r.String(true), RaftAddr: r.String(true), Dir: [16]byte(r.UUID()), Epoch: r.Int64()}
		flags := r.Int8()
		b.Fenced, b.Draining, b.FeatureLevel = flags&flagFenced != 0, flags&flagDraining != 0, r.Int16()
		if !s.check(r, b.ID > before && flags&^(flagFenced|flagDraining) == 0) {
			return
		}
		before = b.ID
		s.brokers[b.ID] = b
	}
	_, ok := s.brokers[s.first]
	s.check(r, ok || len(s.brokers) == 0 && s.first == 0)
}

func (s *State) decodeTopic(r *wire.Reader) *Topic {
	t := &Topic{Name: r.String(true), ID: TopicID(r.UUID())}
	n := r.ArrayLen(true, 8+1+1)
	s.check(r, n > 0)
	t.Partitions = make([]Partition, n)
	for i := range t.Partitions {
		p := &t.Partitions[i]
		p.GroupID, p.Replicas = uint64(r.Int64()), decodeIDs(r)
		_, twice := s.groups[p.GroupID]
		if !s.check(r, !twice && p.GroupID >= FirstGroupID && p.GroupID < s.nextGroupID) {
			return t
		}
		s.groups[p.GroupID] = groupOf{t.ID, int32(i)}
		switch told := r.Int8(); told {
		case 0:
		case 1:
			l := Leadership{Group: p.GroupID, Leader: r.Int32(), Epoch: r.Int32(), ISR: decodeIDs(r)}
			if !s.check(r, leads(l, p)) {
				return t
			}
			s.leaders[p.GroupID] = l
		default:
			r.Fail(errImage)
		}
	}
	return t
}

func (s *State) decodeConfigs(r *wire.Reader) {
	var before Resource
	for i := range r.ArrayLen(true, 1+1+1) {
		at := Resource{r.Int8(), r.String(true)}
		n := r.ArrayLen(true, 2)
		values, key := make(map[string]string, n), ""
		for j := range n {
			k := r.String(true)
			if !s.check(r, j == 0 || strings.Compare(k, key) > 0) {
				return
			}
			key, values[k] = k, r.String(true)
		}
		topic := at.Type != ResourceTopic || s.topics[at.Name] != nil
		if !s.check(r, topic && n > 0 && (i == 0 || compareResources(at, before) > 0)) {
			return
		}
		before, s.configs[at] = at, values
	}
}
