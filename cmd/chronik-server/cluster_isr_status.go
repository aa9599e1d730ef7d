package main

import (
	"chronik/cmd/chronik-server/client"

	"github.com/spf13/cobra"
)

func (a *app) clusterISRStatusCommand() *cobra.Command {
	return a.clientCommand("isr-status", "List the partitions whose replicas are not all in sync", exactly(), func(cmd *cobra.Command, c *client.Conn, _ []string) error {
		_, all, err := clusterPartitions(c, nil)
		if err != nil {
			return err
		}
		behind := []clusterPartition{}
		for i := range all {
			if all[i].underReplicated() || all[i].offline() {
				behind = append(behind, all[i])
			}
		}
		return a.printPartitions(cmd, behind)
	})
}
