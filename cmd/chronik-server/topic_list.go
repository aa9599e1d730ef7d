package main

import (
	"strconv"

	"chronik/cmd/chronik-server/client"
	"chronik/kafka/wire"

	"github.com/spf13/cobra"
)

// listedTopic is a line of topic list.
type listedTopic struct {
	Name       string `json:"name" yaml:"name"`
	Partitions int    `json:"partitions" yaml:"partitions"`
	Replicas   int    `json:"replicas" yaml:"replicas"`
	Internal   bool   `json:"internal" yaml:"internal"`
}

func (a *app) topicListCommand() *cobra.Command {
	return a.clientCommand("list", "List the topics", exactly(), func(cmd *cobra.Command, c *client.Conn, _ []string) error {
		m, err := c.Metadata(nil)
		if err != nil {
			return err
		}
		topics, rows := []listedTopic{}, [][]string{}
		for _, t := range m.Topics {
			if err := client.CodeError(t.ErrorCode, wire.NullString{}, "topic "+t.Name.String); err != nil {
				return err
			}
			topic := listedTopic{Name: t.Name.String, Partitions: len(t.Partitions), Internal: t.IsInternal}
			if len(t.Partitions) > 0 {
				topic.Replicas = len(t.Partitions[0].ReplicaNodes)
			}
			topics = append(topics, topic)
			rows = append(rows, []string{topic.Name, strconv.Itoa(topic.Partitions), strconv.Itoa(topic.Replicas), strconv.FormatBool(topic.Internal)})
		}
		return a.print(cmd.OutOrStdout(), []string{"TOPIC", "PARTITIONS", "REPLICAS", "INTERNAL"}, rows, topics)
	})
}
