package handler

import (
	"context"

	"chronik/broker"
	"chronik/broker/partition"
	"chronik/kafka/msg"
)

// WriteTxnMarkers (key 27), versions 1 and 2: of other brokers, and of tools that
// end transactions nobody ends (T50).

type txnMarking interface {
	WriteTxnMarkers(ctx context.Context, m broker.TxnMarker) []error
}

func (c *call) writeTxnMarkers(req *msg.WriteTxnMarkersRequest, resp *msg.WriteTxnMarkersResponse) {
	for i := range req.Markers {
		q := &req.Markers[i]
		m := broker.TxnMarker{Marker: partition.Marker{
			ProducerID: q.ProducerId, Epoch: q.ProducerEpoch, CoordinatorEpoch: q.CoordinatorEpoch, Commit: q.TransactionResult,
			Bumped: q.TransactionVersion >= 2, // T53
		}}
		for _, t := range q.Topics {
			for _, p := range t.PartitionIndexes {
				m.Partitions = append(m.Partitions, broker.TopicPartition{Topic: t.Name, Partition: p})
			}
		}
		var errs []error
		if q.ProducerId < 0 || q.ProducerEpoch < 0 {
			errs = make([]error, len(m.Partitions))
			for i := range errs {
				errs[i] = broker.ErrInvalidRequest
			}
		} else {
			errs = c.h.WriteTxnMarkers(c.s.conn.Context(), m)
		}
		out := msg.WritableTxnMarkerResult{ProducerId: q.ProducerId}
		for _, t := range q.Topics {
			topic := msg.WritableTxnMarkerTopicResult{Name: t.Name}
			for _, p := range t.PartitionIndexes {
				topic.Partitions = append(topic.Partitions, msg.WritableTxnMarkerPartitionResult{PartitionIndex: p, ErrorCode: c.code(errs[0])})
				errs = errs[1:]
			}
			out.Topics = append(out.Topics, topic)
		}
		resp.Markers = append(resp.Markers, out)
	}
}
