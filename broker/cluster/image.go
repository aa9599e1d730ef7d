package cluster

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chronik/kafka/wire"
)

// Image is the whole state as a command: a log may begin at one. It stands
// alone in its entry, and takes one offset of the metadata log, Ordinal, so
// that the log can be told to begin there.
//
// Applied where it was proposed it changes nothing; a state that lacks some of
// the commands before becomes the image's.
type Image struct {
	Ordinal int64
	State   *State // must not be changed
}

// ErrStaleImage is an Image behind commands that it does not contain.
var ErrStaleImage = errors.New("metadata image is older than the metadata")

// Image is a copy of the state as of now, with that ordinal.
func (s *State) Image(ordinal int64) *Image { return &Image{Ordinal: ordinal, State: s.clone()} }

// ImageOrdinal returns the ordinal of the image that an entry's payload is;
// false when it is something else. It looks at the beginning only.
func ImageOrdinal(payload []byte) (ordinal int64, ok bool) {
	r := wire.NewReader(payload)
	r.Uvarint()
	version, kind := r.Int8(), r.Int8()
	r.Int32()
	r.Int64()
	ordinal = r.Int64()
	ok = r.Err() == nil && version >= 2 && kind == kindImage && ordinal >= 0
	return ordinal, ok
}

// adopt is an image's Apply.
func (s *State) adopt(c *Image) error {
	version := s.version // counts this command
	switch {
	case c.State.version+1 < version:
		return fmt.Errorf("%w: version %d, the metadata is at %d", ErrStaleImage, c.State.version, version-1)
	case c.State.version+1 > version:
		*s = *c.State.clone()
		s.version++
	}
	return nil
}

// clone copies what Apply changes; topics, configs and replica lists are
// replaced, never changed, and stay shared.
func (s *State) clone() *State {
	c := *s
	c.brokers, c.topics, c.byID, c.folded = maps.Clone(s.brokers), maps.Clone(s.topics), maps.Clone(s.byID), maps.Clone(s.folded)
	c.configs, c.groups, c.leaders = maps.Clone(s.configs), maps.Clone(s.groups), maps.Clone(s.leaders)
	return &c
}

// Equal reports whether two states are the same.
func (s *State) Equal(o *State) bool { return bytes.Equal(s.bytes(), o.bytes()) }

// Of reports whether the image that an entry's payload is, made by this
// release, is of s.
func (s *State) Of(payload []byte) bool { return bytes.HasSuffix(payload, s.bytes()) }

func (s *State) bytes() []byte {
	var w wire.Writer
	s.encode(&w)
	return w.Bytes()
}

func (*Image) kind() int8 { return kindImage }
func (c *Image) encode(w *wire.Writer) {
	w.Int64(c.Ordinal)
	c.State.encode(w)
}
func (c *Image) decode(r *wire.Reader, _ int8) {
	c.Ordinal, c.State = r.Int64(), New()
	c.State.decode(r)
	if r.Err() == nil && c.Ordinal < 0 {
		r.Fail(errImage)
	}
}

// encode writes the state with everything in order: equal states have equal
// bytes.
//
//	cluster id     compact string
//	version        int64
//	topology       int64
//	next group id  int64
//	next producer  int64
//	brokers as of  int64
//	first broker   int32
//	brokers        array, by id: id int32, host, port int32, rack, raft address, dir uuid,
//	               epoch int64, flags int8 (1 fenced, 2 draining), feature level int16
//	topics         array, by name: name, id uuid, partitions: array of group int64,
//	               replicas, and, if the leader told: int8 1, leader int32, epoch int32, ISR; else int8 0
//	configs        array, by type and name: type int8, name, entries by key: key, value
func (s *State) encode(w *wire.Writer) {
	w.String(s.clusterID, true)
	w.Int64(int64(s.version))
	w.Int64(int64(s.topology))
	w.Int64(int64(s.nextGroupID))
	w.Int64(s.nextProducerID)
	w.Int64(int64(s.brokersVersion))
	w.Int32(s.first)
	brokers := s.Brokers()
	w.ArrayLen(len(brokers), true)
	for i := range brokers {
		brokers[i].encode(w)
	}
	topics := s.Topics()
	w.ArrayLen(len(topics), true)
	for _, t := range topics {
		s.encodeTopic(w, t)
	}
	w.ArrayLen(len(s.configs), true)
	for _, r := range slices.SortedFunc(maps.Keys(s.configs), compareResources) {
		w.Int8(r.Type)
		w.String(r.Name, true)
		encodeMap(w, s.configs[r])
	}
}

func compareResources(a, b Resource) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), strings.Compare(a.Name, b.Name))
}

func (b *Broker) encode(w *wire.Writer) {
	w.Int32(b.ID)
	w.String(b.Host, true)
	w.Int32(b.Port)
	w.String(b.Rack, true)
	w.String(b.RaftAddr, true)
	w.UUID(wire.UUID(b.Dir))
	w.Int64(b.Epoch)
	var flags int8
	if b.Fenced {
		flags |= flagFenced
	}
	if b.Draining {
		flags |= flagDraining
	}
	w.Int8(flags)
	w.Int16(b.FeatureLevel)
}

const (
	flagFenced   int8 = 1
	flagDraining int8 = 2
)

func (s *State) encodeTopic(w *wire.Writer, t *Topic) {
	w.String(t.Name, true)
	w.UUID(wire.UUID(t.ID))
	w.ArrayLen(len(t.Partitions), true)
	for _, p := range t.Partitions {
		w.Int64(int64(p.GroupID))
		encodeIDs(w, p.Replicas)
		l, ok := s.leaders[p.GroupID]
		if !ok {
			w.Int8(0)
			continue
		}
		w.Int8(1)
		w.Int32(l.Leader)
		w.Int32(l.Epoch)
		encodeIDs(w, l.ISR)
	}
}
