package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"chronik/broker/coordinator"
	"chronik/broker/group"
	"chronik/internal/metrics"
)

func (b *Broker) newCoordinator() *coordinator.Host {
	return coordinator.New(coordinator.Options{
		Clock: b.opt.Clock, Logger: b.opt.Logger, Config: b.groupConfig,
		Partitions:    func() int { return b.partitionsOf(offsetsTopic) },
		BatchBytesMax: func() int { return b.batchBytesMax(offsetsTopic) },
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

// partitionsOf is how many partitions a topic has; 0 when it does not exist
// yet.
func (b *Broker) partitionsOf(topic string) (n int) {
	if t := b.topic(TopicRef{Name: topic}); t != nil {
		n = len(t.Partitions)
	}
	return n
}

func (b *Broker) batchBytesMax(topic string) int {
	if t := b.local.Topic(topic); t != nil {
		return t.Config().MaxMessageBytes
	}
	return 0
}

// coordinatorTopic is how a topic of coordinators is created. It is compacted:
// what a key says last is kept for ever. In a cluster it is not created before
// there are enough brokers, for its replicas would stay few.
func (b *Broker) coordinatorTopic(name string) NewTopic {
	c := b.conf.Load()
	t := NewTopic{Name: name, Partitions: c.OffsetsTopicPartitions, ReplicationFactor: c.OffsetsTopicReplicationFactor}
	t.Configs = []ConfigValue{{Name: "cleanup.policy", Value: "compact"}, {Name: "compression.type", Value: "producer"}}
	if name == transactionTopic {
		t.Partitions, t.ReplicationFactor = c.TransactionTopicPartitions, c.TransactionTopicReplicationFactor
	}
	if b.opt.Peers == nil {
		t.ReplicationFactor = 1
	}
	if name == transactionTopic {
		least := min(c.TransactionTopicMinISR, int(t.ReplicationFactor))
		t.Configs = append(t.Configs, ConfigValue{Name: "min.insync.replicas", Value: strconv.Itoa(least)})
	}
	return t
}

// coordinatorTopics are the topics by the key types of FindCoordinator (C1).
var coordinatorTopics = map[int8]string{0: offsetsTopic, 1: transactionTopic}

// FindCoordinator is the node that coordinates a group, or a transactional id
// (C1 to C3). It creates the topic of it when that is missing.
func (b *Broker) FindCoordinator(ctx context.Context, keyType int8, key string) (Node, error) {
	topic, ok := coordinatorTopics[keyType]
	if !ok {
		return Node{}, fmt.Errorf("%w: coordinator key type %d", ErrInvalidRequest, keyType)
	}
	if b.partitionsOf(topic) == 0 {
		r := b.CreateTopics(ctx, []NewTopic{b.coordinatorTopic(topic)}, DefaultTimeout, false)[0]
		if r.Err != nil && !errors.Is(r.Err, ErrTopicExists) {
			return Node{}, fmt.Errorf("%w: create %s: %w", ErrCoordinatorNotAvailable, topic, r.Err)
		}
	}
	leader := b.coordinates(topic, key) // -1 also while another request creates the topic
	nodes := b.Nodes()
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == leader })
	if i < 0 {
		return Node{}, ErrCoordinatorNotAvailable
	}
	return nodes[i], nil
}

// coordinates is the node that coordinates a key of a topic, -1 when none is
// known (C2).
func (b *Broker) coordinates(topic, key string) int32 {
	n := b.partitionsOf(topic)
	if n == 0 {
		return -1
	}
	l, _ := b.PartitionLeader(TopicPartition{Topic: topic, Partition: coordinator.PartitionFor(key, n)})
	return l.ID
}

// GroupStats is the state of every group that this node coordinates, and its
// lag.
func (b *Broker) GroupStats() []metrics.Group { return b.lag.Groups() }
