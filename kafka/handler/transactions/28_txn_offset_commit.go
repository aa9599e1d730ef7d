package transactions

import (
	"chronik/broker"
	"chronik/broker/group"
	"chronik/kafka/msg"
)

// TxnOffsetCommit (key 28), versions 0 to 4. From 5 on the coordinator of the
// group is to add its partition to the transaction.

// TxnOffsetCommit answers TxnOffsetCommit.
func (c *Call) TxnOffsetCommit(req *msg.TxnOffsetCommitRequest, resp *msg.TxnOffsetCommitResponse) {
	ask := group.CommitOffsetsRequest{
		Group: req.GroupId, Generation: req.GenerationIdOrMemberEpoch, MemberID: req.MemberId,
		InstanceID: req.GroupInstanceId.String, Retention: -1,
		Txn: &group.Txn{ProducerID: req.ProducerId, Epoch: req.ProducerEpoch},
	}
	// slots says where in the response each partition of ask stands.
	var slots [][]*msg.TxnOffsetCommitResponsePartition
	resp.Topics = make([]msg.TxnOffsetCommitResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, out := &req.Topics[i], &resp.Topics[i]
		out.Name = t.Name
		out.Partitions = make([]msg.TxnOffsetCommitResponsePartition, len(t.Partitions))
		known := group.TopicToCommit{Name: t.Name}
		known.ID, _ = c.Broker.TopicID(t.Name)
		var at []*msg.TxnOffsetCommitResponsePartition
		for j, p := range t.Partitions {
			slot := &out.Partitions[j]
			if slot.PartitionIndex = p.PartitionIndex; !c.Broker.HasPartition(t.Name, p.PartitionIndex) {
				slot.ErrorCode = c.Code(broker.ErrUnknownTopicOrPartition)
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
	if len(slots) == 0 {
		return
	}
	got := group.CommitOffsetsResponse{Err: group.InvalidGroupID} // T20
	if req.GroupId != "" {
		got = c.Broker.CommitTxnOffsets(c.Context, req.TransactionalId, ask)
	}
	for i, at := range slots {
		for j, slot := range at {
			err := got.Err
			if i < len(got.Topics) {
				err = got.Topics[i].Partitions[j].Err
			}
			slot.ErrorCode = c.errorCode(err)
		}
	}
}
