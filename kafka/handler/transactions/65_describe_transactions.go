package transactions

import (
	"chronik/broker/group"
	"chronik/kafka/msg"
)

// DescribeTransactions (key 65), version 0.

// DescribeTransactions answers DescribeTransactions.
func (c *Call) DescribeTransactions(req *msg.DescribeTransactionsRequest, resp *msg.DescribeTransactionsResponse) {
	told := make(map[string]bool, len(req.TransactionalIds)) // of one again and again would be no end of bytes
	for _, id := range req.TransactionalIds {
		if !told[id] {
			told[id] = true
			resp.TransactionStates = append(resp.TransactionStates, c.describe(id))
		}
	}
}

func (c *Call) describe(id string) msg.DescribeTransactionsResponseTransactionState {
	d := c.Broker.DescribeTransaction(id)
	out := msg.DescribeTransactionsResponseTransactionState{
		ErrorCode: c.errorCode(d.Err), TransactionalId: id, TransactionTimeoutMs: d.TimeoutMs, TransactionStartTimeMs: d.StartMs,
		ProducerId: d.ProducerID, ProducerEpoch: d.Epoch,
	}
	if d.Err != group.None {
		return out
	}
	out.TransactionState = d.State.String()
	for _, p := range d.Partitions {
		n := len(out.Topics)
		if n == 0 || out.Topics[n-1].Topic != p.Topic {
			out.Topics = append(out.Topics, msg.DescribeTransactionsResponseTopicData{Topic: p.Topic})
			n++
		}
		out.Topics[n-1].Partitions = append(out.Topics[n-1].Partitions, p.Index)
	}
	return out
}
