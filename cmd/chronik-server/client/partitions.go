package client

import (
	"cmp"
	"fmt"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// Timestamps that ListOffsets has a meaning of its own for.
const (
	Latest   = -1
	Earliest = -2
)

// ListOffset asks a partition's leader for the offset at a timestamp.
func (c *Conn) ListOffset(topic string, partition, leader int32, timestamp int64) (int64, error) {
	peer, err := c.Peer(leader)
	if err != nil {
		return 0, err
	}
	request := &msg.ListOffsetsRequest{ReplicaId: -1, Topics: []msg.ListOffsetsTopic{{Name: topic,
		Partitions: []msg.ListOffsetsPartition{{PartitionIndex: partition, CurrentLeaderEpoch: -1, Timestamp: timestamp}}}}}
	var answer msg.ListOffsetsResponse
	if err := peer.Call(request, &answer, 7); err != nil {
		return 0, err
	}
	subject := fmt.Sprintf("%s-%d", topic, partition)
	if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("%s: the broker answers for other partitions than it was asked for", subject)
	}
	p := answer.Topics[0].Partitions[0]
	return p.Offset, CodeError(p.ErrorCode, wire.NullString{}, subject)
}

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Compare orders partitions by topic and number.
func (p TopicPartition) Compare(q TopicPartition) int {
	return cmp.Or(cmp.Compare(p.Topic, q.Topic), cmp.Compare(p.Partition, q.Partition))
}

// Leaders finds the leaders of all partitions of the topics; topics that are
// gone and partitions without a leader are left out.
func (c *Conn) Leaders(topics []string) (map[TopicPartition]int32, error) {
	found := map[TopicPartition]int32{}
	m, err := c.Metadata(topics)
	if err != nil {
		return nil, err
	}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			if p.LeaderId >= 0 {
				found[TopicPartition{t.Name.String, p.PartitionIndex}] = p.LeaderId
			}
		}
	}
	return found, nil
}
