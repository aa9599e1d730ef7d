package transactions

import (
	"context"
	"time"

	"chronik/broker/group"
	"chronik/broker/transaction"
)

// Broker is what these requests need of the broker.
type Broker interface {
	InitProducerID(ctx context.Context, r transaction.InitProducerIDRequest, transactional bool) (id int64, epoch int16, err error)
	AddPartitions(ctx context.Context, p transaction.Producer, parts []transaction.Partition) group.Error
	EndTxn(ctx context.Context, p transaction.Producer, commit bool) group.Error
	CommitTxnOffsets(ctx context.Context, id string, r group.CommitOffsetsRequest) group.CommitOffsetsResponse
	DescribeTransaction(id string) transaction.Description
	ListTransactions() ([]transaction.Description, group.Error)
	OffsetsPartition(ctx context.Context, groupID string) (transaction.Partition, bool)
	HasPartition(topic string, partition int32) bool
	TopicID(name string) ([16]byte, bool)
}

// Call is one request: who asks whom, in which version.
type Call struct {
	Broker  Broker
	Version int16
	Context context.Context       // ends when the client is gone
	Now     func() time.Time      // for durations
	Code    func(err error) int16 // the code of an error, which is counted
}

// errorCode is the code of a coordinator's error, which is not nil but None.
func (c *Call) errorCode(err group.Error) int16 {
	if err == group.None {
		return 0
	}
	return c.Code(err)
}
