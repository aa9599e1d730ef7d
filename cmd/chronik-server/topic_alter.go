package main

import (
	"fmt"

	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"github.com/spf13/cobra"
)

// Operations of IncrementalAlterConfigs.
const (
	configSet    = 0
	configDelete = 1
)

func (a *app) topicAlterCommand() *cobra.Command {
	var partitions int32
	var configs, deleted []string
	var validate bool
	cmd := a.clientCommand("alter NAME", "Change a topic's settings, or give it more partitions", exactly("NAME"),
		func(cmd *cobra.Command, c *client, args []string) error {
			settings, err := pairs("topic-config", configs)
			if err != nil {
				return err
			}
			if len(settings)+len(deleted) == 0 && partitions == 0 {
				return usagef("topic alter %s: nothing to change; want --topic-config, --delete-topic-config or --partitions", args[0])
			}
			controller, err := c.controller()
			if err != nil {
				return err
			}
			result := ""
			if len(settings)+len(deleted) > 0 {
				if err := controller.alterConfigs(args[0], settings, deleted, validate); err != nil {
					return err
				}
				result = fmt.Sprintf("%d settings", len(settings)+len(deleted))
			}
			if partitions != 0 {
				if err := controller.createPartitions(args[0], partitions, validate); err != nil {
					return err
				}
				if result != "" {
					result += ", "
				}
				result += fmt.Sprintf("%d partitions", partitions)
			}
			if validate {
				result += " (not changed: dry run)"
			}
			return a.printDone(cmd, []done{{args[0], result}})
		})
	cmd.Flags().Int32Var(&partitions, "partitions", 0, "How many partitions the topic is to have, more than now")
	cmd.Flags().StringArrayVar(&configs, "topic-config", nil, "A setting to set, name=value; may be repeated")
	cmd.Flags().StringArrayVar(&deleted, "delete-topic-config", nil, "A setting to take back to its default; may be repeated")
	cmd.Flags().BoolVar(&validate, "dry-run", false, "Check, and change nothing")
	return cmd
}

func (c *client) alterConfigs(topic string, settings [][2]string, deleted []string, validate bool) error {
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
	if err := c.call(request, &answer, 1); err != nil {
		return err
	}
	for _, r := range answer.Responses {
		if err := codeError(r.ErrorCode, r.ErrorMessage, "topic "+r.ResourceName); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) createPartitions(topic string, count int32, validate bool) error {
	request := &msg.CreatePartitionsRequest{TimeoutMs: c.waitMs(), ValidateOnly: validate,
		Topics: []msg.CreatePartitionsTopic{{Name: topic, Count: count}}}
	var answer msg.CreatePartitionsResponse
	if err := c.call(request, &answer, 3); err != nil {
		return err
	}
	for _, r := range answer.Results {
		if err := codeError(r.ErrorCode, r.ErrorMessage, "topic "+r.Name); err != nil {
			return err
		}
	}
	return nil
}
