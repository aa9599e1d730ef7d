package handler

import (
	"slices"
	"strings"

	"chronik/broker"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// DescribeTopicPartitions (key 75), version 0. Java's admin client asks it
// before Metadata.

// describedPartitionsMax is max.request.partition.size.limit.
const describedPartitionsMax = 2000

// describeTopicPartitions is M14: topics in order of their names, from the
// cursor on, until the limit of partitions is reached.
func (c *call) describeTopicPartitions(req *msg.DescribeTopicPartitionsRequest, resp *msg.DescribeTopicPartitionsResponse) {
	from := msg.DescribeTopicPartitionsRequestCursor{}
	if req.Cursor != nil {
		from = *req.Cursor
	}
	if from.PartitionIndex < 0 {
		c.refuseDescription(req, resp)
		return
	}
	left := describedPartitionsMax
	if l := int(req.ResponsePartitionLimit); l > 0 && l < left {
		left = l
	}
	for _, t := range c.describedTopics(req, from.TopicName) {
		first := int32(0)
		if t.Name == from.TopicName {
			first = from.PartitionIndex
		}
		if left == 0 {
			resp.NextCursor = &msg.DescribeTopicPartitionsResponseCursor{TopicName: t.Name, PartitionIndex: first}
			return
		}
		out, cut := c.describedTopic(&t, first, left)
		resp.Topics = append(resp.Topics, out)
		if left -= len(out.Partitions); cut {
			next := out.Partitions[len(out.Partitions)-1].PartitionIndex + 1
			resp.NextCursor = &msg.DescribeTopicPartitionsResponseCursor{TopicName: t.Name, PartitionIndex: next}
			return
		}
	}
}

// describedTopics are the topics asked for, each once, sorted, from the
// cursor's on.
func (c *call) describedTopics(req *msg.DescribeTopicPartitionsRequest, from string) []broker.TopicInfo {
	ask := broker.MetadataRequest{All: len(req.Topics) == 0}
	for _, t := range req.Topics {
		if t.Name >= from {
			ask.Topics = append(ask.Topics, broker.TopicRef{Name: t.Name})
		}
	}
	if !ask.All && len(ask.Topics) == 0 {
		return nil
	}
	slices.SortFunc(ask.Topics, func(a, b broker.TopicRef) int { return strings.Compare(a.Name, b.Name) })
	ask.Topics = slices.CompactFunc(ask.Topics, func(a, b broker.TopicRef) bool { return a.Name == b.Name })
	topics := c.h.Metadata(c.s.conn.Context(), ask)
	slices.SortFunc(topics, func(a, b broker.TopicInfo) int { return strings.Compare(a.Name, b.Name) })
	return slices.DeleteFunc(topics, func(t broker.TopicInfo) bool { return t.Name < from })
}

// describedTopic is a topic with its partitions from first on, at most so many;
// cut says that there are more.
func (c *call) describedTopic(t *broker.TopicInfo, first int32, partitionsMax int) (out msg.DescribeTopicPartitionsResponseTopic, cut bool) {
	out = msg.DescribeTopicPartitionsResponseTopic{
		ErrorCode: c.code(t.Err), Name: wire.Str(t.Name), TopicId: t.ID, IsInternal: t.Internal, TopicAuthorizedOperations: -1 << 31,
	}
	if t.Err == nil {
		out.TopicAuthorizedOperations = topicOperations
	}
	for _, p := range t.Partitions {
		if p.Partition < first {
			continue
		}
		if len(out.Partitions) == partitionsMax {
			return out, true
		}
		out.Partitions = append(out.Partitions, msg.DescribeTopicPartitionsResponsePartition{
			ErrorCode: c.code(p.Err), PartitionIndex: p.Partition, LeaderId: p.Leader.ID, LeaderEpoch: p.Leader.Epoch,
			ReplicaNodes: p.Replicas, IsrNodes: p.ISR, OfflineReplicas: p.Offline,
			EligibleLeaderReplicas: []int32{}, LastKnownElr: []int32{}, // M14: none, and Java's admin takes no null
		})
	}
	return out, false
}

// refuseDescription answers INVALID_REQUEST for every topic.
func (c *call) refuseDescription(req *msg.DescribeTopicPartitionsRequest, resp *msg.DescribeTopicPartitionsResponse) {
	for _, t := range req.Topics {
		resp.Topics = append(resp.Topics, msg.DescribeTopicPartitionsResponseTopic{
			ErrorCode: c.code(broker.ErrInvalidRequest), Name: wire.Str(t.Name), TopicAuthorizedOperations: -1 << 31,
		})
	}
}
