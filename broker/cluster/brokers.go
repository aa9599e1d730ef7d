package cluster

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"chronik/kafka/wire"
)

// Broker is a registered broker.
type Broker struct {
	ID       int32
	Host     string // advertised to clients
	Port     int32
	Rack     string   // "" none
	RaftAddr string   // host:port where the other nodes reach it; "" it has none
	Dir      [16]byte // identity of its data directory; zero: not told
	// Epoch is of its latest registration: the metadata version that made it.
	Epoch        int64
	Fenced       bool // it has lost contact
	Draining     bool // it is about to leave: nothing new is placed on it
	FeatureLevel int16
}

// Absent reports whether nothing is to be entrusted to the broker now: it is
// not in contact with the cluster, or about to leave.
func (b Broker) Absent() bool { return b.Fenced || b.Draining }

// RegisterBroker adds a broker, or registers it anew after a restart: it gets
// a new epoch, and is neither fenced nor draining.
type RegisterBroker struct {
	ID           int32
	Host         string
	Port         int32
	Rack         string
	RaftAddr     string
	Dir          [16]byte
	FeatureLevel int16
}

// Register is the command that registers b.
func Register(b Broker) *RegisterBroker {
	return &RegisterBroker{ID: b.ID, Host: b.Host, Port: b.Port, Rack: b.Rack, RaftAddr: b.RaftAddr, Dir: b.Dir, FeatureLevel: b.FeatureLevel}
}

// FenceBroker notes that a broker has lost contact. Like the next two it is
// refused (ErrBrokerEpoch) when the broker has registered anew meanwhile.
type FenceBroker struct {
	ID    int32
	Epoch int64
}

// UnfenceBroker notes that it is back.
type UnfenceBroker FenceBroker

// DrainBroker notes that it is about to leave.
type DrainBroker FenceBroker

// Errors of commands about brokers.
var (
	ErrBrokerIDTaken = errors.New("broker id is taken")
	ErrBrokerID      = errors.New("broker id is not valid")
	ErrBrokerEpoch   = errors.New("broker is not registered with that epoch")
)

func (s *State) register(c *RegisterBroker) (Result, error) {
	if c.ID < 0 {
		return Result{}, fmt.Errorf("%w: %d", ErrBrokerID, c.ID)
	}
	known, ok := s.brokers[c.ID]
	if ok && known.Dir != ([16]byte{}) && known.Dir != c.Dir {
		return Result{}, fmt.Errorf("%w: node %d is registered with another data directory, at %s; give this node an id of its own (--node-id), or start it with the directory that node %d had",
			ErrBrokerIDTaken, c.ID, known.RaftAddr, c.ID)
	}
	if len(s.brokers) == 0 {
		s.first = c.ID
	}
	epoch := int64(s.version)
	s.brokersVersion = s.version
	s.brokers[c.ID] = Broker{ID: c.ID, Host: c.Host, Port: c.Port, Rack: c.Rack, RaftAddr: c.RaftAddr, Dir: c.Dir, Epoch: epoch, FeatureLevel: c.FeatureLevel}
	return Result{First: epoch}, nil
}

func (s *State) changeBroker(id int32, epoch int64, change func(b *Broker)) error {
	b, ok := s.brokers[id]
	if !ok || b.Epoch != epoch {
		return fmt.Errorf("%w: broker %d, epoch %d", ErrBrokerEpoch, id, epoch)
	}
	change(&b)
	s.brokersVersion = s.version
	s.brokers[id] = b
	return nil
}

// Broker returns a registered broker.
func (s *State) Broker(id int32) (Broker, bool) {
	b, ok := s.brokers[id]
	return b, ok
}

// Brokers returns all registered brokers, sorted by id.
func (s *State) Brokers() []Broker {
	return slices.SortedFunc(maps.Values(s.brokers), func(a, b Broker) int { return int(a.ID) - int(b.ID) })
}

// Live returns the brokers that are not fenced, sorted by id.
func (s *State) Live() []Broker {
	return slices.DeleteFunc(s.Brokers(), func(b Broker) bool { return b.Fenced })
}

// BrokersVersion is the version at which the brokers changed last.
func (s *State) BrokersVersion() uint64 { return s.brokersVersion }

// First is the broker that registered first, which formed the cluster.
func (s *State) First() (id int32, ok bool) { return s.first, len(s.brokers) > 0 }

func (*RegisterBroker) kind() int8 { return kindRegisterBroker }
func (c *RegisterBroker) encode(w *wire.Writer) {
	w.Int32(c.ID)
	w.String(c.Host, true)
	w.Int32(c.Port)
	w.String(c.Rack, true)
	w.String(c.RaftAddr, true)
	w.UUID(wire.UUID(c.Dir))
	w.Int16(c.FeatureLevel)
}
func (c *RegisterBroker) decode(r *wire.Reader, version int8) {
	c.ID, c.Host, c.Port, c.Rack = r.Int32(), r.String(true), r.Int32(), r.String(true)
	if version >= 2 {
		c.RaftAddr, c.Dir, c.FeatureLevel = r.String(true), [16]byte(r.UUID()), r.Int16()
	}
}

func (c *FenceBroker) encode(w *wire.Writer) {
	w.Int32(c.ID)
	w.Int64(c.Epoch)
}
func (c *FenceBroker) decode(r *wire.Reader, _ int8) { c.ID, c.Epoch = r.Int32(), r.Int64() }

func (*FenceBroker) kind() int8                        { return kindFenceBroker }
func (*UnfenceBroker) kind() int8                      { return kindUnfenceBroker }
func (c *UnfenceBroker) encode(w *wire.Writer)         { (*FenceBroker)(c).encode(w) }
func (c *UnfenceBroker) decode(r *wire.Reader, v int8) { (*FenceBroker)(c).decode(r, v) }
func (*DrainBroker) kind() int8                        { return kindDrainBroker }
func (c *DrainBroker) encode(w *wire.Writer)           { (*FenceBroker)(c).encode(w) }
func (c *DrainBroker) decode(r *wire.Reader, v int8)   { (*FenceBroker)(c).decode(r, v) }
