package main

import (
	"fmt"
	"strconv"
	"strings"

	"chronik/cmd/chronik-server/client"
	"chronik/kafka/wire"

	"github.com/spf13/cobra"
)

// describedTopic is what topic describe says of one.
type describedTopic struct {
	Name       string               `json:"name" yaml:"name"`
	ID         string               `json:"id" yaml:"id"`
	Partitions []describedPartition `json:"partitions" yaml:"partitions"`
	// Configs are the settings that differ from the default of the table.
	Configs map[string]string `json:"configs" yaml:"configs"`
}

const sourceDefault = 5 // a setting's value comes from nowhere but the table

func (a *app) topicDescribeCommand() *cobra.Command {
	return a.clientCommand("describe NAME...", "Say what topics are made of", atLeastOne("the names of the topics to describe"),
		func(cmd *cobra.Command, c *client.Conn, names []string) error {
			topics, rows := []describedTopic{}, [][]string{}
			m, err := c.Metadata(names)
			if err != nil {
				return err
			}
			for _, t := range m.Topics {
				name := t.Name.String
				if err := client.CodeError(t.ErrorCode, wire.NullString{}, "topic "+name); err != nil {
					return err
				}
				topic := describedTopic{Name: name, ID: fmt.Sprintf("%x", t.TopicId[:]), Configs: map[string]string{}}
				if topic.Partitions, err = describePartitions(c, name, t.Partitions); err != nil {
					return err
				}
				configs, err := c.DescribeConfigs(name)
				if err != nil {
					return err
				}
				for _, s := range configs {
					if s.ConfigSource != sourceDefault {
						topic.Configs[s.Name] = s.Value.String
					}
				}
				topics = append(topics, topic)
				for _, p := range topic.Partitions {
					rows = append(rows, append([]string{name}, p.row()...))
				}
			}
			return a.print(cmd.OutOrStdout(), append([]string{"TOPIC"}, partitionHeader...), rows, topics)
		})
}

// describedPartition is the state of a partition as clients are told it.
type describedPartition struct {
	Partition int32   `json:"partition" yaml:"partition"`
	Leader    int32   `json:"leader" yaml:"leader"`
	Epoch     int32   `json:"leader_epoch" yaml:"leader_epoch"`
	Replicas  []int32 `json:"replicas" yaml:"replicas"`
	ISR       []int32 `json:"isr" yaml:"isr"`
	LogStart  int64   `json:"log_start" yaml:"log_start"`
	// HighWatermark is the offset behind the last committed record.
	HighWatermark int64 `json:"high_watermark" yaml:"high_watermark"`
}

var partitionHeader = []string{"PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "LOG START", "HIGH WATERMARK"}

func (p *describedPartition) row() []string {
	return []string{strconv.Itoa(int(p.Partition)), strconv.Itoa(int(p.Leader)), strconv.Itoa(int(p.Epoch)),
		list(p.Replicas), list(p.ISR), strconv.FormatInt(p.LogStart, 10), strconv.FormatInt(p.HighWatermark, 10)}
}

func list(ids []int32) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = strconv.Itoa(int(id))
	}
	return strings.Join(parts, ",")
}
