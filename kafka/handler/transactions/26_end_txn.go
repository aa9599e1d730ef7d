package transactions

import (
	"chronik/broker/transaction"
	"chronik/kafka/msg"
)

// EndTxn (key 26), versions 0 to 4. From 5 on clients expect another epoch from
// each transaction.

// EndTxn answers EndTxn.
func (c *Call) EndTxn(req *msg.EndTxnRequest, resp *msg.EndTxnResponse) {
	resp.ErrorCode = c.errorCode(c.Broker.EndTxn(c.Context, transaction.Producer{
		ID: req.TransactionalId, ProducerID: req.ProducerId, Epoch: req.ProducerEpoch,
	}, req.Committed))
}
