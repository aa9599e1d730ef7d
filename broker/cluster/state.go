package cluster

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// TopicID names a topic for ever; a recreated topic has another one (KIP-516).
type TopicID [16]byte

// Kafka's resource types that can carry configuration.
const (
	ResourceTopic  int8 = 2
	ResourceBroker int8 = 4
	ResourceGroup  int8 = 32
)

// Resource names what a set of config overrides belongs to.
type Resource struct {
	Type int8
	Name string // topic name, broker id in decimal or "" for all brokers, group id
}

// Topic is a topic and where its partitions live. It is never changed.
type Topic struct {
	Name       string
	ID         TopicID
	Partitions []Partition // by index
}

// Partition is one partition's placement.
type Partition struct {
	GroupID  uint64  // its raft group; never used twice
	Replicas []int32 // broker ids, preferred leader first
}

// Errors of commands. A command that fails changes nothing.
var (
	ErrTopicExists   = errors.New("topic exists")
	ErrTopicCollides = errors.New("topic name collides with another one's when '.' and '_' are taken as equal")
	ErrUnknownTopic  = errors.New("no such topic")
	ErrPartitions    = errors.New("partition count does not grow as the command expects")
	ErrClusterID     = errors.New("cluster id is set already")
	ErrTopicID       = errors.New("topic id is taken")
	ErrProducerIDs   = errors.New("there are no more producer ids")
)

// State is the cluster's metadata.
type State struct {
	clusterID      string
	brokers        map[int32]Broker
	topics         map[string]*Topic
	byID           map[TopicID]*Topic
	folded         map[string]string // name with '.' as '_' -> name
	configs        map[Resource]map[string]string
	nextGroupID    uint64
	version        uint64
	nextProducerID int64
	topology       uint64
	brokersVersion uint64
	first          int32 // the broker that registered first; 0 none
	groups         map[uint64]groupOf
	leaders        map[uint64]Leadership // by raft group; no entry: never told
}

// groupOf is the partition that a raft group is.
type groupOf struct {
	topic     TopicID
	partition int32
}

// FirstGroupID is the raft group id of the first partition; lower ones are
// reserved for groups of the system, of which the metadata group is one.
const FirstGroupID = 16

// MetadataGroupID is the raft group of the metadata itself.
const MetadataGroupID = 1

// New returns the state before any command.
func New() *State {
	return &State{
		brokers: map[int32]Broker{}, topics: map[string]*Topic{}, byID: map[TopicID]*Topic{}, folded: map[string]string{},
		configs: map[Resource]map[string]string{}, nextGroupID: FirstGroupID,
		groups: map[uint64]groupOf{}, leaders: map[uint64]Leadership{},
	}
}

// ClusterID is the id given by SetClusterID, "" before.
func (s *State) ClusterID() string { return s.clusterID }

// Topic returns the topic of that name, or nil.
func (s *State) Topic(name string) *Topic { return s.topics[name] }

// TopicByID returns the topic with that id, or nil.
func (s *State) TopicByID(id TopicID) *Topic { return s.byID[id] }

// Topics returns all topics, sorted by name.
func (s *State) Topics() []*Topic {
	return slices.SortedFunc(maps.Values(s.topics), func(a, b *Topic) int { return strings.Compare(a.Name, b.Name) })
}

// Version counts the commands applied, failed ones too.
func (s *State) Version() uint64 { return s.version }

// Topology counts the commands that changed topics, replicas or configs. Who
// leads, and which brokers are there, does not move it.
func (s *State) Topology() uint64 { return s.topology }

// HadTopics reports whether there has ever been a topic.
func (s *State) HadTopics() bool { return s.nextGroupID > FirstGroupID }

// Config returns the overrides of a resource. The map must not be changed; it
// is replaced, not changed, by later commands.
func (s *State) Config(r Resource) map[string]string { return s.configs[r] }

// Collides returns the existing topic whose name equals name when '.' and
// '_' are taken as equal, "" when there is none (A1).
func (s *State) Collides(name string) string { return s.folded[fold(name)] }

func fold(name string) string { return strings.ReplaceAll(name, ".", "_") }

// Result is what a command that succeeded produced.
type Result struct {
	Topic *Topic // CreateTopic, AddPartitions, DeleteTopic (as it was)
	First int64  // AllocateProducerIDs: the first id of the block. RegisterBroker: the broker's epoch
}

// Apply carries out a command. One that fails changes nothing but Version.
func (s *State) Apply(c Command) (Result, error) {
	s.version++
	switch c := c.(type) {
	case *SetClusterID:
		if s.clusterID != "" && s.clusterID != c.ID {
			return Result{}, fmt.Errorf("%w: %s", ErrClusterID, s.clusterID)
		}
		s.clusterID = c.ID
	case *CreateTopic:
		return s.createTopic(c)
	case *DeleteTopic:
		return s.deleteTopic(c)
	case *AddPartitions:
		return s.addPartitions(c)
	case *SetConfig:
		if c.Resource.Type == ResourceTopic && s.topics[c.Resource.Name] == nil {
			return Result{}, fmt.Errorf("%w: %s", ErrUnknownTopic, c.Resource.Name)
		}
		s.setConfig(c.Resource, c.Values)
	case *AllocateProducerIDs:
		return s.allocateProducerIDs(c)
	case *RegisterBroker:
		return s.register(c)
	case *FenceBroker:
		return Result{}, s.changeBroker(c.ID, c.Epoch, func(b *Broker) { b.Fenced = true })
	case *UnfenceBroker:
		return Result{}, s.changeBroker(c.ID, c.Epoch, func(b *Broker) { b.Fenced = false })
	case *DrainBroker:
		return Result{}, s.changeBroker(c.ID, c.Epoch, func(b *Broker) { b.Draining = true })
	case *SetLeadership:
		return Result{}, s.setLeadership(c)
	case *Image:
		return Result{}, s.adopt(c)
	default:
		panic(fmt.Sprintf("BUG: command %T is not applied", c))
	}
	return Result{}, nil
}

func (s *State) allocateProducerIDs(c *AllocateProducerIDs) (Result, error) {
	if c.Count < 0 || s.nextProducerID > math.MaxInt64-int64(c.Count) {
		return Result{}, fmt.Errorf("%w: %d more", ErrProducerIDs, c.Count)
	}
	first := s.nextProducerID
	s.nextProducerID += int64(c.Count)
	return Result{First: first}, nil
}

func (s *State) setConfig(r Resource, values map[string]string) {
	s.topology++
	if len(values) == 0 {
		delete(s.configs, r)
		return
	}
	s.configs[r] = maps.Clone(values)
}

func (s *State) createTopic(c *CreateTopic) (Result, error) {
	if c.Name == "" || len(c.Replicas) == 0 {
		return Result{}, fmt.Errorf("%w: a new topic has a name and partitions", ErrPartitions)
	}
	if s.topics[c.Name] != nil {
		return Result{}, fmt.Errorf("%w: %s", ErrTopicExists, c.Name)
	}
	if other := s.Collides(c.Name); other != "" {
		return Result{}, fmt.Errorf("%w: %s and %s", ErrTopicCollides, c.Name, other)
	}
	if s.byID[c.ID] != nil {
		return Result{}, fmt.Errorf("%w: %x", ErrTopicID, c.ID)
	}
	t := &Topic{Name: c.Name, ID: c.ID, Partitions: s.place(c.ID, 0, c.Replicas)}
	s.topics[t.Name], s.byID[t.ID], s.folded[fold(t.Name)] = t, t, t.Name
	s.setConfig(Resource{ResourceTopic, t.Name}, c.Configs)
	return Result{Topic: t}, nil
}

// place gives each new partition, from the given one on, its raft group.
func (s *State) place(id TopicID, from int, replicas [][]int32) []Partition {
	out := make([]Partition, len(replicas))
	for i, r := range replicas {
		out[i] = Partition{GroupID: s.nextGroupID, Replicas: slices.Clone(r)}
		s.groups[s.nextGroupID] = groupOf{id, int32(from + i)}
		s.nextGroupID++
	}
	return out
}

func (s *State) deleteTopic(c *DeleteTopic) (Result, error) {
	t := s.byID[c.ID]
	if t == nil {
		return Result{}, fmt.Errorf("%w: id %x", ErrUnknownTopic, c.ID)
	}
	delete(s.topics, t.Name)
	delete(s.byID, t.ID)
	delete(s.folded, fold(t.Name))
	for _, p := range t.Partitions {
		delete(s.groups, p.GroupID)
		delete(s.leaders, p.GroupID)
	}
	s.setConfig(Resource{ResourceTopic, t.Name}, nil)
	return Result{Topic: t}, nil
}

func (s *State) addPartitions(c *AddPartitions) (Result, error) {
	t := s.byID[c.ID]
	if t == nil {
		return Result{}, fmt.Errorf("%w: id %x", ErrUnknownTopic, c.ID)
	}
	have := len(t.Partitions)
	if int(c.From) != have || len(c.Replicas) == 0 {
		return Result{}, fmt.Errorf("%w: %s has %d, expected %d and %d more", ErrPartitions, t.Name, have, c.From, len(c.Replicas))
	}
	grown := &Topic{Name: t.Name, ID: t.ID, Partitions: slices.Concat(t.Partitions, s.place(t.ID, have, c.Replicas))}
	s.topics[t.Name], s.byID[t.ID] = grown, grown
	s.topology++
	return Result{Topic: grown}, nil
}
