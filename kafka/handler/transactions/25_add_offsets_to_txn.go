package transactions

import (
	"chronik/broker/group"
	"chronik/broker/transaction"
	"chronik/kafka/msg"
)

// AddOffsetsToTxn (key 25), versions 0 to 4.

// AddOffsetsToTxn answers AddOffsetsToTxn: the partition that holds the offsets
// of a group becomes one of the transaction.
func (c *Call) AddOffsetsToTxn(req *msg.AddOffsetsToTxnRequest, resp *msg.AddOffsetsToTxnResponse) {
	if req.GroupId == "" {
		resp.ErrorCode = c.errorCode(group.InvalidGroupID)
		return
	}
	at, ok := c.Broker.OffsetsPartition(c.Context, req.GroupId)
	if !ok {
		resp.ErrorCode = c.errorCode(group.CoordinatorNotAvailable)
		return
	}
	resp.ErrorCode = c.errorCode(c.Broker.AddPartitions(c.Context, transaction.Producer{
		ID: req.TransactionalId, ProducerID: req.ProducerId, Epoch: req.ProducerEpoch,
	}, []transaction.Partition{at}))
}
