package handler

import (
	"chronik/broker"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// DescribeLogDirs (key 35), versions 0 to 5.

func (c *call) describeLogDirs(req *msg.DescribeLogDirsRequest, resp *msg.DescribeLogDirsResponse) {
	var filter []broker.TopicPartition
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			filter = append(filter, broker.TopicPartition{Topic: t.Topic, Partition: p})
		}
	}
	for _, d := range c.h.LogDirs(filter, req.Topics == nil) {
		out := msg.DescribeLogDirsResult{
			ErrorCode: c.code(d.Err), LogDir: d.Path, TotalBytes: d.TotalBytes, UsableBytes: d.UsableBytes,
		}
		at := make(map[string]int)
		for _, p := range d.Partitions {
			i, ok := at[p.Topic]
			if !ok {
				i = len(out.Topics)
				at[p.Topic] = i
				out.Topics = wire.Extend(out.Topics)
				out.Topics[i].Name = p.Topic
			}
			out.Topics[i].Partitions = append(out.Topics[i].Partitions, msg.DescribeLogDirsPartition{
				PartitionIndex: p.Partition, PartitionSize: p.Bytes, OffsetLag: p.OffsetLag,
			})
		}
		resp.Results = append(resp.Results, out)
	}
}
