package handler

import (
	"context"
	"time"

	"chronik/broker"
	"chronik/kafka/msg"
)

// DeleteRecords (key 21), versions 0 to 2.

type recordAdmin interface {
	DeleteRecords(ctx context.Context, tp broker.TopicPartition, offset int64, timeout time.Duration) (lowWatermark int64, err error)
	LogDirs(filter []broker.TopicPartition, all bool) []broker.LogDir
}

func (c *call) deleteRecords(req *msg.DeleteRecordsRequest, resp *msg.DeleteRecordsResponse) {
	for _, t := range req.Topics {
		out := msg.DeleteRecordsTopicResult{Name: t.Name}
		for _, p := range t.Partitions {
			tp := broker.TopicPartition{Topic: t.Name, Partition: p.PartitionIndex}
			low, err := c.h.DeleteRecords(c.s.conn.Context(), tp, p.Offset, milliseconds(req.TimeoutMs))
			if err != nil {
				low = -1
			}
			out.Partitions = append(out.Partitions, msg.DeleteRecordsPartitionResult{
				PartitionIndex: p.PartitionIndex, LowWatermark: low, ErrorCode: c.code(err),
			})
		}
		resp.Topics = append(resp.Topics, out)
	}
}
