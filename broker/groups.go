package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"chronik/broker/cluster"
	"chronik/broker/coordinator"
	"chronik/broker/group"
	"chronik/internal/metrics"
)

func (b *Broker) newCoordinator() *coordinator.Host {
	return coordinator.New(coordinator.Options{
		Clock: b.opt.Clock, Logger: b.opt.Logger, Config: b.groupConfig,
		Partitions:    b.offsetsPartitions,
		BatchBytesMax: b.offsetsBatchBytesMax,
		TopicExists: func(name string) bool {
			_, ok := b.TopicID(name)
			return ok
		},
		Current: func(ctx context.Context) error { return b.meta.Await(ctx) },
	})
}

func (b *Broker) groupConfig() group.Config {
	c := b.conf.Load()
	return group.Config{
		InitialRebalanceDelay: c.GroupInitialRebalanceDelay,
		SessionTimeoutMin:     c.GroupSessionTimeoutMin,
		SessionTimeoutMax:     c.GroupSessionTimeoutMax,
		MembersMax:            c.GroupMembersMax,
		OffsetMetadataMax:     c.OffsetMetadataMax,
		OffsetsRetention:      c.OffsetsRetention,
		OffsetsRetentionCheck: c.OffsetsRetentionCheck,
		NewID: func() string {
			id := b.newUUID()
			return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:])
		},
	}
}

// offsetsPartitions is how many partitions __consumer_offsets has; 0 when it
// does not exist yet.
func (b *Broker) offsetsPartitions() (n int) {
	b.meta.View(func(s *cluster.State) {
		if t := s.Topic(offsetsTopic); t != nil {
			n = len(t.Partitions)
		}
	})
	return n
}

func (b *Broker) offsetsBatchBytesMax() int {
	if t := b.local.Topic(offsetsTopic); t != nil {
		return t.Config().MaxMessageBytes
	}
	return 0
}

// offsetsTopic is how __consumer_offsets is created. It is compacted: what a
// key says last is kept for ever. In a cluster it is not created before there
// are enough brokers, for its replicas would stay few.
func (b *Broker) offsetsTopic() NewTopic {
	c := b.conf.Load()
	factor := c.OffsetsTopicReplicationFactor
	if b.opt.Peers == nil {
		factor = 1
	}
	return NewTopic{
		Name: offsetsTopic, Partitions: c.OffsetsTopicPartitions, ReplicationFactor: factor,
		Configs: []ConfigValue{{Name: "cleanup.policy", Value: "compact"}, {Name: "compression.type", Value: "producer"}},
	}
}

// Key types of FindCoordinator (C1).
const (
	coordinatorGroup       = 0
	coordinatorTransaction = 1
)

// FindCoordinator is the node that coordinates a group (C1 to C3). It creates
// __consumer_offsets when it is missing.
func (b *Broker) FindCoordinator(ctx context.Context, keyType int8, key string) (Node, error) {
	switch keyType {
	case coordinatorGroup:
	case coordinatorTransaction:
		return Node{}, ErrTransactionsNotBuilt
	default:
		return Node{}, fmt.Errorf("%w: coordinator key type %d", ErrInvalidRequest, keyType)
	}
	if b.offsetsPartitions() == 0 {
		r := b.CreateTopics(ctx, []NewTopic{b.offsetsTopic()}, DefaultTimeout, false)[0]
		if r.Err != nil && !errors.Is(r.Err, ErrTopicExists) {
			return Node{}, fmt.Errorf("%w: create %s: %w", ErrCoordinatorNotAvailable, offsetsTopic, r.Err)
		}
	}
	n := b.offsetsPartitions()
	if n == 0 { // another request is creating it
		return Node{}, ErrCoordinatorNotAvailable
	}
	leader, _ := b.PartitionLeader(TopicPartition{Topic: offsetsTopic, Partition: coordinator.PartitionFor(key, n)})
	nodes := b.Nodes()
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == leader.ID })
	if i < 0 {
		return Node{}, ErrCoordinatorNotAvailable
	}
	return nodes[i], nil
}

// GroupStats is the state of every group that this node coordinates, and its
// lag.
func (b *Broker) GroupStats() []metrics.Group { return b.lag.Groups() }
