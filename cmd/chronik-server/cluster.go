package main

import (
	"strconv"

	"chronik/cmd/chronik-server/client"
	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"github.com/spf13/cobra"
)

func (a *app) clusterCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "cluster", Short: "How the brokers and partitions are", Long: "How the brokers and partitions are.\n\nNot built yet: add-node, remove-node, rebalance, transfer-leadership.", Args: unknownCommand, RunE: needSubcommand}
	cmd.AddCommand(a.clusterStatusCommand(), a.clusterListNodesCommand(), a.clusterListPartitionsCommand(),
		a.clusterPartitionInfoCommand(), a.clusterISRStatusCommand(), a.clusterHealthCommand())
	for _, name := range []string{"add-node", "remove-node", "rebalance", "transfer-leadership"} {
		cmd.AddCommand(unbuilt(name, "cluster "+name+" is not built yet; replicas stay where they were placed (kafka-leader-election makes preferred replicas lead)"))
	}
	return cmd
}

// clusterPartition is a partition of a topic as the metadata have it.
type clusterPartition struct {
	Topic     string  `json:"topic" yaml:"topic"`
	Partition int32   `json:"partition" yaml:"partition"`
	Leader    int32   `json:"leader" yaml:"leader"` // -1: none
	Epoch     int32   `json:"leader_epoch" yaml:"leader_epoch"`
	Replicas  []int32 `json:"replicas" yaml:"replicas"`
	ISR       []int32 `json:"isr" yaml:"isr"`
}

func (p *clusterPartition) offline() bool         { return p.Leader < 0 }
func (p *clusterPartition) underReplicated() bool { return len(p.ISR) < len(p.Replicas) }

func (p *clusterPartition) row() []string {
	return []string{p.Topic, strconv.Itoa(int(p.Partition)), strconv.Itoa(int(p.Leader)), strconv.Itoa(int(p.Epoch)), list(p.Replicas), list(p.ISR)}
}

// clusterPartitions are those of the topics, nil for all of them. A topic that
// does not exist is an error.
func clusterPartitions(c *client.Conn, topics []string) (*msg.MetadataResponse, []clusterPartition, error) {
	m, err := c.Metadata(topics)
	if err != nil {
		return nil, nil, err
	}
	all := []clusterPartition{}
	for _, t := range m.Topics {
		if err := client.CodeError(t.ErrorCode, wire.NullString{}, "topic "+t.Name.String); err != nil {
			return nil, nil, err
		}
		for _, p := range t.Partitions {
			all = append(all, clusterPartition{t.Name.String, p.PartitionIndex, p.LeaderId, p.LeaderEpoch, p.ReplicaNodes, p.IsrNodes})
		}
	}
	return m, all, nil
}

// counts sums partitions up.
type counts struct {
	Partitions      int `json:"partitions" yaml:"partitions"`
	Offline         int `json:"offline" yaml:"offline"`
	UnderReplicated int `json:"under_replicated" yaml:"under_replicated"`
}

func count(all []clusterPartition) counts {
	c := counts{Partitions: len(all)}
	for i := range all {
		if all[i].offline() {
			c.Offline++
		}
		if all[i].underReplicated() {
			c.UnderReplicated++
		}
	}
	return c
}

// unbuilt is a subcommand that is documented and not built: it says so, and
// help does not list it.
func unbuilt(name, what string) *cobra.Command {
	return &cobra.Command{Use: name, Hidden: true, DisableFlagParsing: true, Args: cobra.ArbitraryArgs,
		RunE: func(*cobra.Command, []string) error { return usagef("%s", what) }}
}
