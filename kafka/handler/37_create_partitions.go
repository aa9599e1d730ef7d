package handler

import (
	"chronik/broker"
	"chronik/kafka/msg"
)

// CreatePartitions (key 37), versions 0 to 3.

func (c *call) createPartitions(req *msg.CreatePartitionsRequest, resp *msg.CreatePartitionsResponse) {
	topics := make([]broker.NewPartitions, len(req.Topics))
	for i, t := range req.Topics {
		topics[i] = broker.NewPartitions{Topic: t.Name, Count: t.Count}
		if t.Assignments != nil {
			topics[i].Assignments = make([][]int32, len(t.Assignments))
			for j, a := range t.Assignments {
				topics[i].Assignments[j] = a.BrokerIds
			}
		}
	}
	for i, err := range c.h.CreatePartitions(c.s.conn.Context(), topics, milliseconds(req.TimeoutMs), req.ValidateOnly) {
		resp.Results = append(resp.Results, msg.CreatePartitionsTopicResult{
			Name: req.Topics[i].Name, ErrorCode: c.code(err), ErrorMessage: message(err),
		})
	}
}
