package transactions

import (
	"chronik/broker"
	"chronik/broker/group"
	"chronik/broker/transaction"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
)

// AddPartitionsToTxn (key 24), versions 0 to 3. Later ones are for brokers,
// which here ask each other in another way.

// AddPartitionsToTxn answers AddPartitionsToTxn: all of the partitions are added
// or none (T10).
func (c *Call) AddPartitionsToTxn(req *msg.AddPartitionsToTxnRequest, resp *msg.AddPartitionsToTxnResponse) {
	unknown := int16(0)
	var parts []transaction.Partition
	for _, t := range req.V3AndBelowTopics {
		out := msg.AddPartitionsToTxnTopicResult{Name: t.Name}
		for _, p := range t.Partitions {
			one := msg.AddPartitionsToTxnPartitionResult{PartitionIndex: p}
			if !c.Broker.HasPartition(t.Name, p) {
				one.PartitionErrorCode = c.Code(broker.ErrUnknownTopicOrPartition)
				unknown = one.PartitionErrorCode
			}
			out.ResultsByPartition = append(out.ResultsByPartition, one)
			parts = append(parts, transaction.Partition{Topic: t.Name, Index: p})
		}
		resp.ResultsByTopicV3AndBelow = append(resp.ResultsByTopicV3AndBelow, out)
	}
	code := int16(kerr.OperationNotAttempted)
	if unknown == 0 {
		code = c.errorCode(c.addPartitions(req, parts))
	}
	for i := range resp.ResultsByTopicV3AndBelow {
		at := resp.ResultsByTopicV3AndBelow[i].ResultsByPartition
		for j := range at {
			if at[j].PartitionErrorCode == 0 {
				at[j].PartitionErrorCode = code
			}
		}
	}
}

func (c *Call) addPartitions(req *msg.AddPartitionsToTxnRequest, parts []transaction.Partition) group.Error {
	return c.Broker.AddPartitions(c.Context, transaction.Producer{
		ID: req.V3AndBelowTransactionalId, ProducerID: req.V3AndBelowProducerId, Epoch: req.V3AndBelowProducerEpoch,
	}, parts)
}
