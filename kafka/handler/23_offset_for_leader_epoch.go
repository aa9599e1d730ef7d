package handler

import (
	"chronik/broker"
	"chronik/kafka/msg"
)

// OffsetForLeaderEpoch (key 23), versions 2 to 4.

func (c *call) offsetForLeaderEpoch(req *msg.OffsetForLeaderEpochRequest, resp *msg.OffsetForLeaderEpochResponse) {
	for _, t := range req.Topics {
		out := msg.OffsetForLeaderTopicResult{Topic: t.Topic}
		for _, p := range t.Partitions {
			tp := broker.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			end, err := c.h.OffsetForLeaderEpoch(tp, p.CurrentLeaderEpoch, p.LeaderEpoch)
			if err != nil {
				end = broker.EpochEnd{Epoch: -1, EndOffset: -1}
			}
			out.Partitions = append(out.Partitions, msg.OffsetForLeaderEpochResponseEpochEndOffset{
				ErrorCode: c.code(err), Partition: p.Partition, LeaderEpoch: end.Epoch, EndOffset: end.EndOffset,
			})
		}
		resp.Topics = append(resp.Topics, out)
	}
}
