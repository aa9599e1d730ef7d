package groups

import (
	"chronik/broker"
	"chronik/broker/group"
	"chronik/kafka/msg"
)

// OffsetDelete (key 47), version 0.

// OffsetDelete answers OffsetDelete.
func (c *Call) OffsetDelete(req *msg.OffsetDeleteRequest, resp *msg.OffsetDeleteResponse) {
	ask := group.DeleteOffsetsRequest{Group: req.GroupId}
	for _, t := range req.Topics {
		id, _ := c.Broker.TopicID(t.Name)
		topic := group.TopicPartitions{Name: t.Name, ID: id}
		for _, p := range t.Partitions {
			topic.Partitions = append(topic.Partitions, p.PartitionIndex)
		}
		ask.Topics = append(ask.Topics, topic)
	}
	got := c.Broker.DeleteOffsets(c.Context, ask)
	if resp.ErrorCode = c.groupCode(got.Err); got.Err != group.None {
		return
	}
	for _, t := range got.Topics {
		out := msg.OffsetDeleteResponseTopic{Name: t.Name}
		for _, p := range t.Partitions {
			code := c.groupCode(p.Err)
			if p.Err == group.None && !c.Broker.HasPartition(t.Name, p.Partition) {
				code = c.Code(broker.ErrUnknownTopicOrPartition)
			}
			out.Partitions = append(out.Partitions, msg.OffsetDeleteResponsePartition{PartitionIndex: p.Partition, ErrorCode: code})
		}
		resp.Topics = append(resp.Topics, out)
	}
}
