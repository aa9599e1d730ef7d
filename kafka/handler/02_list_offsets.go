package handler

import (
	"context"

	"chronik/broker"
	"chronik/kafka/msg"
)

// ListOffsets (key 2), versions 1 to 11.

type offsetListing interface {
	ListOffset(ctx context.Context, q broker.ListOffset) (broker.OffsetAt, error)
	OffsetForLeaderEpoch(tp broker.TopicPartition, currentLeaderEpoch, epoch int32) (broker.EpochEnd, error)
}

// timestampSince is the first version that knows a special timestamp (L6).
var timestampSince = map[int64]int16{
	broker.TimestampLatest:                1,
	broker.TimestampEarliest:              1,
	broker.TimestampMax:                   7,
	broker.TimestampEarliestLocal:         8,
	broker.TimestampLatestTiered:          9,
	broker.TimestampEarliestPendingUpload: 11,
}

func (c *call) listOffsets(req *msg.ListOffsetsRequest, resp *msg.ListOffsetsResponse) {
	times := make(map[broker.TopicPartition]int)
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			times[broker.TopicPartition{Topic: t.Name, Partition: p.PartitionIndex}]++
		}
	}
	for _, t := range req.Topics {
		out := msg.ListOffsetsTopicResponse{Name: t.Name}
		for _, p := range t.Partitions {
			q := broker.ListOffset{
				TopicPartition: broker.TopicPartition{Topic: t.Name, Partition: p.PartitionIndex},
				ReplicaID:      req.ReplicaId, Committed: req.IsolationLevel == 1,
				CurrentLeaderEpoch: p.CurrentLeaderEpoch, Timestamp: p.Timestamp,
			}
			at, err := c.listOffset(q, times[q.TopicPartition] > 1)
			out.Partitions = append(out.Partitions, msg.ListOffsetsPartitionResponse{
				PartitionIndex: p.PartitionIndex, ErrorCode: c.code(err),
				Offset: at.Offset, Timestamp: at.Timestamp, LeaderEpoch: at.LeaderEpoch,
			})
		}
		resp.Topics = append(resp.Topics, out)
	}
}

func (c *call) listOffset(q broker.ListOffset, twice bool) (broker.OffsetAt, error) {
	none := broker.OffsetAt{Offset: -1, Timestamp: -1, LeaderEpoch: -1}
	if twice { // L7
		return none, broker.ErrInvalidRequest
	}
	if since, known := timestampSince[q.Timestamp]; q.Timestamp < 0 && (!known || c.version < since) {
		return none, broker.ErrUnsupportedVersion
	}
	at, err := c.h.ListOffset(c.s.conn.Context(), q)
	if err != nil {
		return none, err
	}
	if c.version < 4 { // has no place for it
		at.LeaderEpoch = -1
	}
	return at, nil
}
