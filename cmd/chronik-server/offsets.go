package main

import (
	"slices"

	"chronik/cmd/chronik-server/client"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
)

// describePartitions adds offsets to what the metadata say. A partition without a leader has offsets -1.
func describePartitions(c *client.Conn, topic string, partitions []msg.MetadataResponsePartition) ([]describedPartition, error) {
	described := []describedPartition{}
	for _, p := range partitions {
		d := describedPartition{Partition: p.PartitionIndex, Leader: p.LeaderId, Epoch: p.LeaderEpoch,
			Replicas: slices.Clone(p.ReplicaNodes), ISR: slices.Clone(p.IsrNodes), LogStart: -1, HighWatermark: -1}
		if kerr.Code(p.ErrorCode) == kerr.None && p.LeaderId >= 0 {
			var err error
			if d.LogStart, err = c.ListOffset(topic, p.PartitionIndex, p.LeaderId, client.Earliest); err != nil {
				return nil, err
			}
			if d.HighWatermark, err = c.ListOffset(topic, p.PartitionIndex, p.LeaderId, client.Latest); err != nil {
				return nil, err
			}
		}
		described = append(described, d)
	}
	return described, nil
}

// ledPartition is a partition and the broker that leads it.
type ledPartition struct {
	client.TopicPartition
	leader int32
}

func topicsOf(offsets []client.Committed) []string {
	topics := []string{}
	for _, o := range offsets {
		if !slices.Contains(topics, o.Topic) {
			topics = append(topics, o.Topic)
		}
	}
	return topics
}
