package groups

import (
	"math"
	"time"

	"chronik/broker"
	"chronik/broker/group"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// OffsetCommit (key 8), versions 2 to 10. Topics by id from 10.

// OffsetCommit answers OffsetCommit.
func (c *Call) OffsetCommit(req *msg.OffsetCommitRequest, resp *msg.OffsetCommitResponse) {
	ask := group.CommitOffsetsRequest{
		Group: req.GroupId, Generation: req.GenerationIdOrMemberEpoch, MemberID: req.MemberId,
		InstanceID: req.GroupInstanceId.String, Retention: retention(req.RetentionTimeMs),
	}
	// Partitions that exist go on to the group, the others are answered here
	// (O1); slots says where in the response each one of ask stands.
	var slots [][]*msg.OffsetCommitResponsePartition
	resp.Topics = make([]msg.OffsetCommitResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, out := &req.Topics[i], &resp.Topics[i]
		out.Name, out.TopicId = t.Name, t.TopicId
		out.Partitions = make([]msg.OffsetCommitResponsePartition, len(t.Partitions))
		name, id, err := c.topicOf(t.Name, t.TopicId, c.Version >= 10)
		known := group.TopicToCommit{Name: name, ID: id}
		var at []*msg.OffsetCommitResponsePartition
		for j, p := range t.Partitions {
			slot := &out.Partitions[j]
			slot.PartitionIndex = p.PartitionIndex
			if err == nil && !c.Broker.HasPartition(name, p.PartitionIndex) {
				slot.ErrorCode = c.Code(broker.ErrUnknownTopicOrPartition)
				continue
			} else if err != nil {
				slot.ErrorCode = c.Code(err)
				continue
			}
			known.Partitions = append(known.Partitions, group.OffsetToCommit{
				Partition: p.PartitionIndex, Offset: p.CommittedOffset, LeaderEpoch: p.CommittedLeaderEpoch,
				Metadata: p.CommittedMetadata.String,
			})
			at = append(at, slot)
		}
		if len(at) > 0 {
			ask.Topics, slots = append(ask.Topics, known), append(slots, at)
		}
	}
	if len(ask.Topics) == 0 && len(req.Topics) > 0 {
		return
	}
	got := c.Broker.CommitOffsets(c.Context, ask)
	for _, at := range slots {
		for _, slot := range at {
			slot.ErrorCode = c.groupCode(got.Err)
		}
	}
	for i, t := range got.Topics {
		for j, p := range t.Partitions {
			slots[i][j].ErrorCode = c.groupCode(p.Err)
		}
	}
}

// topicOf completes a topic's name or id. A name without an id is not an
// error: the topic may be gone.
func (c *Call) topicOf(name string, id wire.UUID, byID bool) (string, [16]byte, error) {
	if !byID {
		known, _ := c.Broker.TopicID(name)
		return name, known, nil
	}
	name, ok := c.Broker.TopicName(id)
	if !ok {
		return "", id, broker.ErrUnknownTopicID
	}
	return name, id, nil
}

// retention of v2 to v4 requests; negative: the broker's (O7).
func retention(ms int64) time.Duration {
	if ms < 0 {
		return -1
	}
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}
