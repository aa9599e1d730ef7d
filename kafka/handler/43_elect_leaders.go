package handler

import (
	"context"
	"time"

	"chronik/broker"
	"chronik/kafka/msg"
)

// ElectLeaders (key 43), versions 0 to 2.

type electing interface {
	ElectLeaders(ctx context.Context, all bool, parts []broker.TopicPartition, electionType int8, timeout time.Duration) ([]broker.ElectResult, error)
}

// electLeaders is R3. Without a list all partitions are meant; the broker then
// leaves out those that needed no election.
func (c *call) electLeaders(req *msg.ElectLeadersRequest, resp *msg.ElectLeadersResponse) {
	var parts []broker.TopicPartition
	for _, t := range req.TopicPartitions {
		for _, p := range t.Partitions {
			parts = append(parts, broker.TopicPartition{Topic: t.Topic, Partition: p})
		}
	}
	all := req.TopicPartitions == nil
	if !all && len(parts) == 0 {
		return
	}
	results, err := c.h.ElectLeaders(c.s.conn.Context(), all, parts, req.ElectionType, milliseconds(req.TimeoutMs))
	if err != nil && c.version >= 1 {
		resp.ErrorCode = c.code(err)
		return
	}
	if err != nil { // no place for it but the partitions
		for _, tp := range parts {
			results = append(results, broker.ElectResult{TopicPartition: tp, Err: err})
		}
	}
	for _, r := range results {
		n := len(resp.ReplicaElectionResults)
		if n == 0 || resp.ReplicaElectionResults[n-1].Topic != r.Topic {
			resp.ReplicaElectionResults = append(resp.ReplicaElectionResults, msg.ReplicaElectionResult{Topic: r.Topic})
			n++
		}
		out := &resp.ReplicaElectionResults[n-1]
		out.PartitionResult = append(out.PartitionResult, msg.PartitionResult{
			PartitionId: r.Partition, ErrorCode: c.code(r.Err), ErrorMessage: message(r.Err),
		})
	}
}
