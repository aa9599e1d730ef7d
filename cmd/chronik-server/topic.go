package main

import (
	"strings"

	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"github.com/spf13/cobra"
)

const resourceTopic = 2 // the type of a topic in requests about configurations

func (a *app) topicCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "topic", Short: "Create, list, describe, delete and alter topics", Args: unknownCommand, RunE: needSubcommand}
	cmd.AddCommand(a.topicCreateCommand(), a.topicListCommand(), a.topicDescribeCommand(), a.topicDeleteCommand(), a.topicAlterCommand())
	return cmd
}

// done is what a command that changes something says of each subject.
type done struct {
	Name   string `json:"name" yaml:"name"`
	Result string `json:"result" yaml:"result"`
}

func (a *app) printDone(cmd *cobra.Command, all []done) error {
	rows := make([][]string, len(all))
	for i, d := range all {
		rows[i] = []string{d.Name, d.Result}
	}
	return a.print(cmd.OutOrStdout(), []string{"NAME", "RESULT"}, rows, all)
}

// pairs splits name=value arguments of a flag.
func pairs(flag string, given []string) ([][2]string, error) {
	split := make([][2]string, 0, len(given))
	for _, pair := range given {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usagef("--%s %s: want name=value, as --%s retention.ms=60000", flag, pair, flag)
		}
		split = append(split, [2]string{name, value})
	}
	return split, nil
}

// describeConfigs asks for a topic's settings.
func (c *client) describeConfigs(topic string) ([]msg.DescribeConfigsResourceResult, error) {
	var answer msg.DescribeConfigsResponse
	request := &msg.DescribeConfigsRequest{Resources: []msg.DescribeConfigsResource{{ResourceType: resourceTopic, ResourceName: topic}}}
	if err := c.call(request, &answer, 4); err != nil {
		return nil, err
	}
	if len(answer.Results) != 1 {
		return nil, codeError(-1, wire.Str("the broker answers with another number of resources than was asked for"), "topic "+topic)
	}
	result := answer.Results[0]
	return result.Configs, codeError(result.ErrorCode, result.ErrorMessage, "topic "+topic)
}
