package handler

import (
	"context"
	"time"

	"chronik/broker"
	"chronik/kafka/msg"
)

// CreateTopics (key 19), versions 0 to 7.

type topicAdmin interface {
	CreateTopics(ctx context.Context, topics []broker.NewTopic, timeout time.Duration, validateOnly bool) []broker.CreatedTopic
	CreatePartitions(ctx context.Context, topics []broker.NewPartitions, timeout time.Duration, validateOnly bool) []error
	DeleteTopics(ctx context.Context, topics []broker.TopicRef, timeout time.Duration) []broker.DeletedTopic
}

func (c *call) createTopics(req *msg.CreateTopicsRequest, resp *msg.CreateTopicsResponse) {
	topics := make([]broker.NewTopic, len(req.Topics))
	for i, t := range req.Topics {
		topics[i] = broker.NewTopic{Name: t.Name, Partitions: t.NumPartitions, ReplicationFactor: t.ReplicationFactor}
		for _, a := range t.Assignments {
			topics[i].Assignments = append(topics[i].Assignments, broker.Assignment{Partition: a.PartitionIndex, Brokers: a.BrokerIds})
		}
		for _, v := range t.Configs {
			topics[i].Configs = append(topics[i].Configs, broker.ConfigValue{Name: v.Name, Value: v.Value.String, Null: !v.Value.Valid})
		}
	}
	for _, t := range c.h.CreateTopics(c.s.conn.Context(), topics, milliseconds(req.TimeoutMs), req.ValidateOnly) {
		out := msg.CreatableTopicResult{
			Name: t.Name, ErrorCode: c.code(t.Err), ErrorMessage: message(t.Err), NumPartitions: -1, ReplicationFactor: -1,
		}
		if t.Err == nil { // A6
			out.TopicId, out.NumPartitions, out.ReplicationFactor = t.ID, t.Partitions, t.ReplicationFactor
			out.Configs = []msg.CreatableTopicConfigs{}
			for i := range t.Configs {
				e := &t.Configs[i]
				out.Configs = append(out.Configs, msg.CreatableTopicConfigs{
					Name: e.Name, Value: configValue(e.Value), ReadOnly: e.ReadOnly, ConfigSource: int8(e.Source), IsSensitive: e.Sensitive,
				})
			}
		}
		resp.Topics = append(resp.Topics, out)
	}
}
