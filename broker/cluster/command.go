package cluster

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chronik/kafka/wire"
)

// Command is one change of the metadata.
type Command interface {
	kind() int8
	encode(w *wire.Writer)
	decode(r *wire.Reader, version int8)
}

// SetClusterID names the cluster, once.
type SetClusterID struct{ ID string }

// CreateTopic creates a topic with one partition for each list of replicas.
type CreateTopic struct {
	Name     string
	ID       TopicID
	Replicas [][]int32
	Configs  map[string]string
}

// DeleteTopic deletes a topic and its config.
type DeleteTopic struct{ ID TopicID }

// AddPartitions adds partitions to a topic that has From of them.
type AddPartitions struct {
	ID       TopicID
	From     int32
	Replicas [][]int32
}

// SetConfig replaces the overrides of a resource; empty removes them.
type SetConfig struct {
	Resource Resource
	Values   map[string]string
}

// AllocateProducerIDs reserves a block of producer ids (T1).
type AllocateProducerIDs struct{ Count int32 }

// The kinds on disk. Never reuse one.
const (
	kindSetClusterID        int8 = 1
	kindRegisterBroker      int8 = 2
	kindCreateTopic         int8 = 3
	kindDeleteTopic         int8 = 4
	kindAddPartitions       int8 = 5
	kindSetConfig           int8 = 6
	kindAllocateProducerIDs int8 = 7
	kindFenceBroker         int8 = 8
	kindUnfenceBroker       int8 = 9
	kindDrainBroker         int8 = 10
	kindSetLeadership       int8 = 11
	kindImage               int8 = 12
)

func newCommand(kind int8) Command {
	switch kind {
	case kindSetClusterID:
		return new(SetClusterID)
	case kindRegisterBroker:
		return new(RegisterBroker)
	case kindCreateTopic:
		return new(CreateTopic)
	case kindDeleteTopic:
		return new(DeleteTopic)
	case kindAddPartitions:
		return new(AddPartitions)
	case kindSetConfig:
		return new(SetConfig)
	case kindAllocateProducerIDs:
		return new(AllocateProducerIDs)
	case kindFenceBroker:
		return new(FenceBroker)
	case kindUnfenceBroker:
		return new(UnfenceBroker)
	case kindDrainBroker:
		return new(DrainBroker)
	case kindSetLeadership:
		return new(SetLeadership)
	case kindImage:
		return new(Image)
	}
	return nil
}

// Errors of decoding.
var (
	ErrMalformed    = errors.New("metadata command is malformed")
	ErrNewerVersion = errors.New("metadata command was made by a newer release")
)

// formatVersion is the version of every command's encoding. A release that
// changes one raises it and goes on reading the older ones.
//
//	1  the first
//	2  RegisterBroker names the data directory, the raft address and the
//	   feature level; FenceBroker to Image are new
const formatVersion int8 = 2

// Proposed is a command with the mark of who proposed it, so that the
// proposer recognises it when it is committed.
type Proposed struct {
	Node    int32
	Seq     uint64
	Command Command
}

// Append encodes p at the end of b: version, kind, node, sequence and the
// command's fields, with its length in front.
func (p Proposed) Append(b []byte) []byte {
	var body wire.Writer
	body.Int8(formatVersion)
	body.Int8(p.Command.kind())
	body.Int32(p.Node)
	body.Int64(int64(p.Seq))
	p.Command.encode(&body)
	w := wire.NewWriter(nil)
	w.Uvarint(uint32(body.Len()))
	return append(append(b, w.Bytes()...), body.Bytes()...)
}

// Decode reads one command from the front of b and returns the rest. The
// command owns its memory.
func Decode(b []byte) (p Proposed, rest []byte, err error) {
	r := wire.NewReader(b)
	n := int(r.Uvarint())
	if r.Err() != nil || n > r.Len() {
		return Proposed{}, nil, fmt.Errorf("%w: length", ErrMalformed)
	}
	rest = r.Rest()[n:]
	// A copy, since strings alias what they are read from.
	r = wire.NewReader(slices.Clone(b[len(b)-len(rest)-n : len(b)-len(rest)]))
	version, kind := r.Int8(), r.Int8()
	if r.Err() != nil {
		return Proposed{}, nil, fmt.Errorf("%w: %w", ErrMalformed, r.Err())
	}
	c := newCommand(kind)
	if version < 1 {
		return Proposed{}, nil, fmt.Errorf("%w: version %d", ErrMalformed, version)
	}
	if version > formatVersion || c == nil {
		return Proposed{}, nil, fmt.Errorf("%w: version %d, kind %d", ErrNewerVersion, version, kind)
	}
	p = Proposed{Node: r.Int32(), Seq: uint64(r.Int64()), Command: c}
	c.decode(&r, version)
	if err := r.Done(); err != nil {
		return Proposed{}, nil, fmt.Errorf("%w: kind %d: %w", ErrMalformed, kind, err)
	}
	return p, rest, nil
}

func (*SetClusterID) kind() int8                      { return kindSetClusterID }
func (c *SetClusterID) encode(w *wire.Writer)         { w.String(c.ID, true) }
func (c *SetClusterID) decode(r *wire.Reader, _ int8) { c.ID = r.String(true) }

func (*CreateTopic) kind() int8 { return kindCreateTopic }
func (c *CreateTopic) encode(w *wire.Writer) {
	w.String(c.Name, true)
	w.UUID(wire.UUID(c.ID))
	encodeReplicas(w, c.Replicas)
	encodeMap(w, c.Configs)
}
func (c *CreateTopic) decode(r *wire.Reader, _ int8) {
	c.Name, c.ID = r.String(true), TopicID(r.UUID())
	c.Replicas, c.Configs = decodeReplicas(r), decodeMap(r)
}

func (*DeleteTopic) kind() int8                      { return kindDeleteTopic }
func (c *DeleteTopic) encode(w *wire.Writer)         { w.UUID(wire.UUID(c.ID)) }
func (c *DeleteTopic) decode(r *wire.Reader, _ int8) { c.ID = TopicID(r.UUID()) }

func (*AddPartitions) kind() int8 { return kindAddPartitions }
func (c *AddPartitions) encode(w *wire.Writer) {
	w.UUID(wire.UUID(c.ID))
	w.Int32(c.From)
	encodeReplicas(w, c.Replicas)
}
func (c *AddPartitions) decode(r *wire.Reader, _ int8) {
	c.ID, c.From = TopicID(r.UUID()), r.Int32()
	c.Replicas = decodeReplicas(r)
}

func (*SetConfig) kind() int8 { return kindSetConfig }
func (c *SetConfig) encode(w *wire.Writer) {
	w.Int8(c.Resource.Type)
	w.String(c.Resource.Name, true)
	encodeMap(w, c.Values)
}
func (c *SetConfig) decode(r *wire.Reader, _ int8) {
	c.Resource = Resource{r.Int8(), r.String(true)}
	c.Values = decodeMap(r)
}

func (*AllocateProducerIDs) kind() int8                      { return kindAllocateProducerIDs }
func (c *AllocateProducerIDs) encode(w *wire.Writer)         { w.Int32(c.Count) }
func (c *AllocateProducerIDs) decode(r *wire.Reader, _ int8) { c.Count = r.Int32() }

func encodeReplicas(w *wire.Writer, replicas [][]int32) {
	w.ArrayLen(len(replicas), true)
	for _, ids := range replicas {
		encodeIDs(w, ids)
	}
}

func decodeReplicas(r *wire.Reader) [][]int32 {
	out := make([][]int32, r.ArrayLen(true, 1))
	for i := range out {
		out[i] = decodeIDs(r)
	}
	return out
}

func encodeIDs(w *wire.Writer, ids []int32) {
	w.ArrayLen(len(ids), true)
	for _, id := range ids {
		w.Int32(id)
	}
}

func decodeIDs(r *wire.Reader) []int32 {
	ids := make([]int32, r.ArrayLen(true, 4))
	for i := range ids {
		ids[i] = r.Int32()
	}
	return ids
}

// encodeMap writes the entries in order of their keys: equal maps have equal
// bytes.
func encodeMap(w *wire.Writer, m map[string]string) {
	w.ArrayLen(len(m), true)
	for _, k := range slices.SortedFunc(maps.Keys(m), strings.Compare) {
		w.String(k, true)
		w.String(m[k], true)
	}
}

func decodeMap(r *wire.Reader) map[string]string {
	n := r.ArrayLen(true, 2)
	m := make(map[string]string, n)
	for range n {
		k := r.String(true)
		m[k] = r.String(true)
	}
	return m
}
