package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"chronik/broker/cluster"
	"chronik/broker/config"
	"chronik/broker/partition"
	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/internal/vfs"
	"chronik/raftstore/multiraft"
	"chronik/wal"
)

// Errors of Lookup.
var (
	ErrUnknown   = errors.New("the topic or partition is not known here")
	ErrUnknownID = errors.New("the topic id is not known here")
	ErrElsewhere = errors.New("no replica of the partition is on this node")
	ErrOpening   = errors.New("the partition is being opened")
	ErrFailed    = errors.New("the partition could not be opened")
	ErrClosed    = errors.New("the node is closing")
)

// Options say what partitions run on.
type Options struct {
	NodeID  int32
	Dir     string // holds one directory for each partition
	FS      vfs.FS
	Syncer  *wal.Syncer
	Maps    *wal.Maps
	Raft    *multiraft.Host
	Clock   clock.Clock
	Logger  *slog.Logger
	Metrics *metrics.Metrics
	NewRand func() *rand.Rand

	// Resolve is the effective config of a topic with these overrides.
	Resolve func(topic string, overrides map[string]string) *config.TopicConfig
	// Role is told of gains and losses of leadership of the partition that is
	// placed at, on a shard of the raft host: it must not block.
	Role func(t *Topic, index int32, at cluster.Partition, p *partition.Partition, leading bool, epoch int32)
	// Verify is partition.Options.Verify; nil: nobody is asked.
	Verify func(ctx context.Context, transactionalID string, producerID int64, epoch int16, topic string, partition int32) error
	// Deleted is told of a topic whose partitions are gone.
	Deleted func(topic string)
}

// Topic is a topic as this node runs it.
type Topic struct {
	Name string
	ID   cluster.TopicID

	conf   atomic.Pointer[config.TopicConfig]
	info   *cluster.Topic
	parts  []*partition.Partition // by partition; nil where there is none
	failed []error                // by partition; why there is none
}

// Config is the topic's effective config. The value is never changed.
func (t *Topic) Config() *config.TopicConfig { return t.conf.Load() }

// Replica is one partition of a topic, as far as it is on this node.
type Replica struct {
	Topic     *Topic
	Index     int32
	Partition *partition.Partition // nil: Err says why
	Err       error
}

// Set is the partitions of a node.
type Set struct {
	opt Options

	mu         sync.RWMutex
	topics     map[string]*Topic
	byID       map[cluster.TopicID]*Topic
	reconciled uint64        // metadata version whose partitions are open
	topology   uint64        // of that version
	progress   chan struct{} // closed and replaced when reconciled moves
}

// New returns an empty set.
func New(o Options) *Set {
	return &Set{opt: o, topics: map[string]*Topic{}, byID: map[cluster.TopicID]*Topic{}, progress: make(chan struct{})}
}

// Close closes every partition. Those who wait in Await go on waiting: their
// contexts end.
func (s *Set) Close() error {
	var errs []error
	for _, r := range s.Replicas() {
		if r.Partition != nil {
			errs = append(errs, r.Partition.Close())
		}
	}
	s.mu.Lock()
	s.topics, s.byID = map[string]*Topic{}, map[cluster.TopicID]*Topic{}
	s.mu.Unlock()
	return errors.Join(errs...)
}

// Lookup finds a partition of this node, by the topic's id when byID.
func (s *Set) Lookup(name string, id cluster.TopicID, byID bool, index int32) (*Topic, *partition.Partition, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, unknown := s.topics[name], ErrUnknown
	if byID {
		t, unknown = s.byID[id], ErrUnknownID
	}
	if t == nil {
		return nil, nil, unknown
	}
	if index < 0 || int(index) >= len(t.parts) {
		return nil, nil, ErrUnknown
	}
	if p := t.parts[index]; p != nil {
		return t, p, nil
	}
	return t, nil, t.failed[index]
}

// Topic finds a topic by name; nil when it is not known here.
func (s *Set) Topic(name string) *Topic {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.topics[name]
}

// Replicas lists the partitions of the named topics, of all when none is
// named, the ones that are elsewhere too, in no order.
func (s *Set) Replicas(names ...string) (out []Replica) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	add := func(t *Topic) {
		for i, p := range t.parts {
			out = append(out, Replica{t, int32(i), p, t.failed[i]})
		}
	}
	if len(names) == 0 {
		for _, t := range s.topics {
			add(t)
		}
	}
	for _, name := range names {
		if t := s.topics[name]; t != nil {
			add(t)
		}
	}
	return out
}

// Progress is closed when another metadata version has been looked at.
func (s *Set) Progress() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.progress
}

// Await waits until the partitions of a metadata version are open.
func (s *Set) Await(ctx context.Context, version uint64) error {
	for {
		s.mu.RLock()
		reached, progress := s.reconciled >= version, s.progress
		s.mu.RUnlock()
		if reached {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return fmt.Errorf("partitions of metadata version %d: %w", version, ctx.Err())
		}
	}
}
