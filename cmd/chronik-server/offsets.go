package main

import (
	"cmp"
	"fmt"
	"slices"

	"chronik/kafka/kerr"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// Timestamps that ListOffsets has a meaning of its own for.
const (
	latest   = -1
	earliest = -2
)

// listOffset asks a partition's leader for the offset at a timestamp.
func (c *client) listOffset(topic string, partition, leader int32, timestamp int64) (int64, error) {
	peer, err := c.peer(leader)
	if err != nil {
		return 0, err
	}
	request := &msg.ListOffsetsRequest{ReplicaId: -1, Topics: []msg.ListOffsetsTopic{{Name: topic,
		Partitions: []msg.ListOffsetsPartition{{PartitionIndex: partition, CurrentLeaderEpoch: -1, Timestamp: timestamp}}}}}
	var answer msg.ListOffsetsResponse
	if err := peer.call(request, &answer, 7); err != nil {
		return 0, err
	}
	subject := fmt.Sprintf("%s-%d", topic, partition)
	if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("%s: the broker answers for other partitions than it was asked for", subject)
	}
	p := answer.Topics[0].Partitions[0]
	return p.Offset, codeError(p.ErrorCode, wire.NullString{}, subject)
}

// describePartitions adds offsets to what the metadata say. A partition without a leader has offsets -1.
func (c *client) describePartitions(topic string, partitions []msg.MetadataResponsePartition) ([]describedPartition, error) {
	described := []describedPartition{}
	for _, p := range partitions {
		d := describedPartition{Partition: p.PartitionIndex, Leader: p.LeaderId, Epoch: p.LeaderEpoch,
			Replicas: slices.Clone(p.ReplicaNodes), ISR: slices.Clone(p.IsrNodes), LogStart: -1, HighWatermark: -1}
		if kerr.Code(p.ErrorCode) == kerr.None && p.LeaderId >= 0 {
			var err error
			if d.LogStart, err = c.listOffset(topic, p.PartitionIndex, p.LeaderId, earliest); err != nil {
				return nil, err
			}
			if d.HighWatermark, err = c.listOffset(topic, p.PartitionIndex, p.LeaderId, latest); err != nil {
				return nil, err
			}
		}
		described = append(described, d)
	}
	return described, nil
}

type topicPartition struct {
	topic     string
	partition int32
}

func (p topicPartition) compare(q topicPartition) int {
	return cmp.Or(cmp.Compare(p.topic, q.topic), cmp.Compare(p.partition, q.partition))
}

// ledPartition is a partition and the broker that leads it.
type ledPartition struct {
	topicPartition
	leader int32
}

// leaders finds the leaders of all partitions of the topics; topics that are
// gone and partitions without a leader are left out.
func (c *client) leaders(topics []string) (map[topicPartition]int32, error) {
	found := map[topicPartition]int32{}
	m, err := c.metadata(topics)
	if err != nil {
		return nil, err
	}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if p.LeaderId >= 0 {
				found[topicPartition{t.Name.String, p.PartitionIndex}] = p.LeaderId
			}
		}
	}
	return found, nil
}

func topicsOf(offsets []committed) []string {
	topics := []string{}
	for _, o := range offsets {
		if !slices.Contains(topics, o.Topic) {
			topics = append(topics, o.Topic)
		}
	}
	return topics
}
