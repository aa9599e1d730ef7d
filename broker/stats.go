package broker

import (
	"errors"
	"fmt"

	"chronik/broker/local"
	"chronik/broker/partition"
	"chronik/raftstore/multiraft"
)

// PartitionStats is the state of one replica of this node.
type PartitionStats struct {
	TopicPartition
	Raft     multiraft.Status
	Bytes    int64
	Segments int
	// InSync is how many replicas are in sync, and Followers what is known of
	// the others; of a partition that this node leads.
	InSync    int
	Followers []partition.Replica
}

// Partitions tells the state of every partition of this node.
func (b *Broker) Partitions() (out []PartitionStats) {
	for _, r := range b.local.Replicas() {
		if p := r.Partition; p != nil {
			_, _, _, followers := p.Replication()
			out = append(out, PartitionStats{
				TopicPartition: TopicPartition{Topic: r.Topic.Name, TopicID: r.Topic.ID, Partition: r.Index},
				Raft:           p.Status(), Bytes: p.State().Bytes, Segments: len(p.Segments()),
				InSync: p.InSync(), Followers: followers,
			})
		}
	}
	return out
}

// MetadataVoters is how many nodes have a vote in the metadata group.
func (b *Broker) MetadataVoters() int { return len(b.meta.Status().Voters) }

// NotReady says why this node does not serve all it should, nil when it does:
// it has joined the cluster, the metadata has a leader, and every partition of
// this node is open. Whether the partitions have leaders is up to other nodes
// as well, and says nothing of this one.
func (b *Broker) NotReady() error {
	if !b.up.Load() {
		return errors.New("the node has not caught up with the cluster's metadata and opened its partitions")
	}
	if _, ok := b.meta.Leader(); !ok {
		return errors.New("the metadata has no leader")
	}
	for _, r := range b.local.Replicas() {
		if r.Partition == nil && !errors.Is(r.Err, local.ErrElsewhere) {
			return fmt.Errorf("%s-%d is not open: %w", r.Topic.Name, r.Index, r.Err)
		}
	}
	return nil
}
