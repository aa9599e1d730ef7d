package handler

import (
	"context"

	"chronik/kafka/msg"
)

// InitProducerId (key 22), versions 0 to 5. Version 6 is unstable in Kafka.

type producerIDs interface {
	InitProducerID(ctx context.Context, transactionalID string, hasTxnID bool, producerID int64, epoch int16) (id int64, ep int16, err error)
}

func (c *call) initProducerID(req *msg.InitProducerIdRequest, resp *msg.InitProducerIdResponse) {
	t := req.TransactionalId
	id, epoch, err := c.h.InitProducerID(c.s.conn.Context(), t.String, t.Valid, req.ProducerId, req.ProducerEpoch)
	if err != nil {
		id, epoch = -1, -1
	}
	resp.ErrorCode, resp.ProducerId, resp.ProducerEpoch = c.code(err), id, epoch
}
