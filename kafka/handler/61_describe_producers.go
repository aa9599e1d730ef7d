package handler

import (
	"chronik/broker"
	"chronik/broker/partition"
	"chronik/kafka/msg"
)

// DescribeProducers (key 61), version 0.

type producerListing interface {
	Producers(tp broker.TopicPartition) ([]partition.Producer, error)
}

func (c *call) describeProducers(req *msg.DescribeProducersRequest, resp *msg.DescribeProducersResponse) {
	for _, t := range req.Topics {
		out := msg.TopicResponse{Name: t.Name}
		for _, p := range t.PartitionIndexes {
			known, err := c.h.Producers(broker.TopicPartition{Topic: t.Name, Partition: p})
			row := msg.PartitionResponse{PartitionIndex: p, ErrorCode: c.code(err), ErrorMessage: message(err)}
			for _, k := range known { // D2
				row.ActiveProducers = append(row.ActiveProducers, msg.ProducerState{
					ProducerId: k.ID, ProducerEpoch: int32(k.Epoch), LastSequence: k.LastSequence, LastTimestamp: k.LastTimestamp,
					CoordinatorEpoch: k.CoordinatorEpoch, CurrentTxnStartOffset: k.TxnFirst,
				})
			}
			out.Partitions = append(out.Partitions, row)
		}
		resp.Topics = append(resp.Topics, out)
	}
}
