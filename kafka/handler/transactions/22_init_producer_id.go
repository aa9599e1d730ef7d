package transactions

import (
	"time"

	"chronik/broker/transaction"
	"chronik/kafka/msg"
)

// InitProducerId (key 22), versions 0 to 5. Version 6 is unstable in Kafka.

// InitProducerID answers InitProducerId.
func (c *Call) InitProducerID(req *msg.InitProducerIdRequest, resp *msg.InitProducerIdResponse) {
	id, epoch, err := c.Broker.InitProducerID(c.Context, transaction.InitProducerIDRequest{
		ID: req.TransactionalId.String, Timeout: time.Duration(req.TransactionTimeoutMs) * time.Millisecond,
		ProducerID: req.ProducerId, Epoch: req.ProducerEpoch,
	}, req.TransactionalId.Valid)
	if err != nil {
		id, epoch, resp.ErrorCode = -1, -1, c.Code(err)
	}
	resp.ProducerId, resp.ProducerEpoch = id, epoch
}
