package client

import (
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

const resourceTopic = 2 // the type of a topic in requests about configurations

// Operations of IncrementalAlterConfigs.
const (
	configSet    = 0
	configDelete = 1
)

// DescribeConfigs asks for a topic's settings.
func (c *Conn) DescribeConfigs(topic string) ([]msg.DescribeConfigsResourceResult, error) {
	var answer msg.DescribeConfigsResponse
	request := &msg.DescribeConfigsRequest{Resources: []msg.DescribeConfigsResource{{ResourceType: resourceTopic, ResourceName: topic}}}
	if err := c.Call(request, &answer, 4); err != nil {
		return nil, err
	}
	if len(answer.Results) != 1 {
		return nil, CodeError(-1, wire.Str("the broker answers with another number of resources than was asked for"), "topic "+topic)
	}
	result := answer.Results[0]
	return result.Configs, CodeError(result.ErrorCode, result.ErrorMessage, "topic "+topic)
}

// AlterConfigs sets settings of a topic and takes others back to their default;
// validate checks only.
func (c *Conn) AlterConfigs(topic string, settings [][2]string, deleted []string, validate bool) error {
	resource := msg.IncrementalAlterConfigsRequestAlterConfigsResource{ResourceType: resourceTopic, ResourceName: topic}
	for _, s := range settings {
		resource.Configs = append(resource.Configs,
			msg.IncrementalAlterConfigsRequestAlterableConfig{Name: s[0], ConfigOperation: configSet, Value: wire.Str(s[1])})
	}
	for _, name := range deleted {
		resource.Configs = append(resource.Configs,
			msg.IncrementalAlterConfigsRequestAlterableConfig{Name: name, ConfigOperation: configDelete})
	}
	request := &msg.IncrementalAlterConfigsRequest{ValidateOnly: validate,
		Resources: []msg.IncrementalAlterConfigsRequestAlterConfigsResource{resource}}
	var answer msg.IncrementalAlterConfigsResponse
	if err := c.Call(request, &answer, 1); err != nil {
		return err
	}
	for _, r := range answer.Responses {
		if err := CodeError(r.ErrorCode, r.ErrorMessage, "topic "+r.ResourceName); err != nil {
			return err
		}
	}
	return nil
}

// CreatePartitions gives a topic more partitions; validate checks only.
func (c *Conn) CreatePartitions(topic string, count int32, validate bool) error {
	request := &msg.CreatePartitionsRequest{TimeoutMs: c.WaitMs(), ValidateOnly: validate,
		Topics: []msg.CreatePartitionsTopic{{Name: topic, Count: count}}}
	var answer msg.CreatePartitionsResponse
	if err := c.Call(request, &answer, 3); err != nil {
		return err
	}
	for _, r := range answer.Results {
		if err := CodeError(r.ErrorCode, r.ErrorMessage, "topic "+r.Name); err != nil {
			return err
		}
	}
	return nil
}
