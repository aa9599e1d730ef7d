package broker

import (
	"errors"
	"fmt"

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
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, t := range b.topics {
		for i, p := range t.parts {
			if p != nil {
				_, _, _, followers := p.Replication()
				out = append(out, PartitionStats{
					TopicPartition: TopicPartition{Topic: t.info.Name, TopicID: t.info.ID, Partition: int32(i)},
					Raft:           p.Status(), Bytes: p.State().Bytes, Segments: len(p.Segments()),
					InSync: p.InSync(), Followers: followers,
				})
			}
		}
	}
	return out
}

// NotReady says why this node does not serve all it should, nil when it does:
// the metadata has a leader, and every partition of this node is open and
// has one.
func (b *Broker) NotReady() error {
	if !b.meta.Leading() {
		return errors.New("the metadata has no leader")
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, t := range b.topics {
		for i, p := range t.parts {
			if p == nil {
				return fmt.Errorf("%s-%d is not open: %w", t.info.Name, i, t.failed[i])
			}
			if s := p.State(); s.Leader == 0 {
				return fmt.Errorf("%s-%d has no leader", t.info.Name, i)
			}
		}
	}
	return nil
}
