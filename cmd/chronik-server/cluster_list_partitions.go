package main

import (
	"chronik/cmd/chronik-server/client"

	"github.com/spf13/cobra"
)

var clusterPartitionHeader = []string{"TOPIC", "PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR"}

func (a *app) clusterListPartitionsCommand() *cobra.Command {
	return a.clientCommand("list-partitions", "List the partitions of every topic", exactly(), func(cmd *cobra.Command, c *client.Conn, _ []string) error {
		_, all, err := clusterPartitions(c, nil)
		if err != nil {
			return err
		}
		return a.printPartitions(cmd, all)
	})
}

func (a *app) printPartitions(cmd *cobra.Command, all []clusterPartition) error {
	rows := [][]string{}
	for i := range all {
		rows = append(rows, all[i].row())
	}
	return a.print(cmd.OutOrStdout(), clusterPartitionHeader, rows, all)
}
