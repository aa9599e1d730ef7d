package groups

import (
	"chronik/broker/group"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// OffsetFetch (key 9), versions 1 to 10. Several groups from 8, topics by id
// from 10.

// OffsetFetch answers OffsetFetch.
func (c *Call) OffsetFetch(req *msg.OffsetFetchRequest, resp *msg.OffsetFetchResponse) {
	if c.Version < 8 {
		c.offsetFetchOne(req, resp)
		return
	}
	told := make(map[string]bool, len(req.Groups)) // of each again and again would be no end of bytes
	for i := range req.Groups {
		ask := &req.Groups[i]
		if told[ask.GroupId] {
			resp.Groups = append(resp.Groups, msg.OffsetFetchResponseGroup{GroupId: ask.GroupId, ErrorCode: c.groupCode(group.InvalidRequest)})
			continue
		}
		told[ask.GroupId] = true
		resp.Groups = append(resp.Groups, c.offsetFetchGroup(ask, req.RequireStable))
	}
}

// offsetFetchOne answers versions 1 to 7, which name one group.
func (c *Call) offsetFetchOne(req *msg.OffsetFetchRequest, resp *msg.OffsetFetchResponse) {
	ask := group.FetchOffsetsRequest{Group: req.GroupId, All: req.Topics == nil, Stable: req.RequireStable}
	for _, t := range req.Topics {
		id, _ := c.Broker.TopicID(t.Name)
		ask.Topics = append(ask.Topics, group.TopicPartitions{Name: t.Name, ID: id, Partitions: t.PartitionIndexes})
	}
	got := c.Broker.FetchOffsets(ask)
	if got.Err != group.None {
		c.refuseOffsetFetch(req, resp, got.Err)
		return
	}
	for _, t := range got.Topics {
		out := msg.OffsetFetchResponseTopic{Name: t.Name}
		for _, p := range t.Partitions {
			out.Partitions = append(out.Partitions, msg.OffsetFetchResponsePartition{
				PartitionIndex: p.Partition, CommittedOffset: p.Offset, CommittedLeaderEpoch: p.LeaderEpoch, Metadata: wire.Str(p.Metadata),
				ErrorCode: c.groupCode(p.Err),
			})
		}
		resp.Topics = append(resp.Topics, out)
	}
}

// refuseOffsetFetch puts the error of the group at the top, or before version
// 2 into every partition (O10).
func (c *Call) refuseOffsetFetch(req *msg.OffsetFetchRequest, resp *msg.OffsetFetchResponse, err group.Error) {
	code := c.groupCode(err)
	if c.Version >= 2 {
		resp.ErrorCode = code
		return
	}
	for _, t := range req.Topics {
		out := msg.OffsetFetchResponseTopic{Name: t.Name}
		for _, p := range t.PartitionIndexes {
			out.Partitions = append(out.Partitions, msg.OffsetFetchResponsePartition{
				PartitionIndex: p, CommittedOffset: -1, CommittedLeaderEpoch: -1, Metadata: wire.Str(""), ErrorCode: code,
			})
		}
		resp.Topics = append(resp.Topics, out)
	}
}

func (c *Call) offsetFetchGroup(req *msg.OffsetFetchRequestGroup, stable bool) msg.OffsetFetchResponseGroup {
	out := msg.OffsetFetchResponseGroup{GroupId: req.GroupId}
	ask := group.FetchOffsetsRequest{Group: req.GroupId, All: req.Topics == nil, Stable: stable}
	for _, t := range req.Topics {
		name, id, err := c.topicOf(t.Name, t.TopicId, c.Version >= 10)
		if err != nil { // O11
			lost := msg.OffsetFetchResponseTopics{TopicId: t.TopicId}
			for _, p := range t.PartitionIndexes {
				lost.Partitions = append(lost.Partitions, msg.OffsetFetchResponsePartitions{
					PartitionIndex: p, CommittedOffset: -1, CommittedLeaderEpoch: -1, Metadata: wire.Str(""), ErrorCode: c.Code(err),
				})
			}
			out.Topics = append(out.Topics, lost)
			continue
		}
		ask.Topics = append(ask.Topics, group.TopicPartitions{Name: name, ID: id, Partitions: t.PartitionIndexes})
	}
	got := c.Broker.FetchOffsets(ask)
	if got.Err != group.None {
		return msg.OffsetFetchResponseGroup{GroupId: req.GroupId, ErrorCode: c.groupCode(got.Err)}
	}
	for _, t := range got.Topics {
		answer := msg.OffsetFetchResponseTopics{Name: t.Name, TopicId: t.ID}
		if id, ok := c.Broker.TopicID(t.Name); ok {
			answer.TopicId = id
		} else if c.Version >= 10 {
			continue // no id to name it by: the topic is gone
		}
		for _, p := range t.Partitions {
			answer.Partitions = append(answer.Partitions, msg.OffsetFetchResponsePartitions{
				PartitionIndex: p.Partition, CommittedOffset: p.Offset, CommittedLeaderEpoch: p.LeaderEpoch, Metadata: wire.Str(p.Metadata),
				ErrorCode: c.groupCode(p.Err),
			})
		}
		out.Topics = append(out.Topics, answer)
	}
	return out
}
