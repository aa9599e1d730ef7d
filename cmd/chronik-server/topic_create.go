package main

import (
	"chronik/cmd/chronik-server/client"
	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"github.com/spf13/cobra"
)

func (a *app) topicCreateCommand() *cobra.Command {
	var partitions int32
	var replicas int16
	var configs []string
	var validate bool
	cmd := a.clientCommand("create NAME...", "Create topics", atLeastOne("the names of the topics to create"),
		func(cmd *cobra.Command, c *client.Conn, names []string) error {
			settings, err := pairs("topic-config", configs)
			if err != nil {
				return err
			}
			request := &msg.CreateTopicsRequest{TimeoutMs: c.WaitMs(), ValidateOnly: validate}
			for _, name := range names {
				topic := msg.CreatableTopic{Name: name, NumPartitions: partitions, ReplicationFactor: replicas}
				for _, s := range settings {
					topic.Configs = append(topic.Configs, msg.CreatableTopicConfig{Name: s[0], Value: wire.Str(s[1])})
				}
				request.Topics = append(request.Topics, topic)
			}
			controller, err := c.Controller(cmd.Context())
			if err != nil {
				return err
			}
			var answer msg.CreateTopicsResponse
			if err := controller.Call(request, &answer, 7); err != nil {
				return err
			}
			result := "created"
			if validate {
				result = "would be created"
			}
			var all []done
			for _, t := range answer.Topics {
				if err := client.CodeError(t.ErrorCode, t.ErrorMessage, "topic "+t.Name); err != nil {
					return err
				}
				all = append(all, done{t.Name, result})
			}
			return a.printDone(cmd, all)
		})
	cmd.Flags().Int32Var(&partitions, "partitions", -1, "How many partitions (default the broker's num.partitions)")
	cmd.Flags().Int16Var(&replicas, "replication-factor", -1, "How many replicas of each (default the broker's default.replication.factor)")
	cmd.Flags().StringArrayVar(&configs, "topic-config", nil, "A setting of the topic, name=value; may be repeated")
	cmd.Flags().BoolVar(&validate, "dry-run", false, "Check, and create nothing")
	return cmd
}
