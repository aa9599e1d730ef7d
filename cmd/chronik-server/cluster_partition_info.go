package main

import (
	"fmt"
	"strconv"

	"chronik/cmd/chronik-server/client"
	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"github.com/spf13/cobra"
)

func (a *app) clusterPartitionInfoCommand() *cobra.Command {
	return a.clientCommand("partition-info TOPIC PARTITION", "Say how one partition is", exactly("TOPIC", "PARTITION"),
		func(cmd *cobra.Command, c *client.Conn, args []string) error {
			number, err := strconv.ParseInt(args[1], 10, 32)
			if err != nil || number < 0 {
				return usagef("partition %s: want a number", args[1])
			}
			m, err := c.Metadata(args[:1])
			if err != nil {
				return err
			}
			for _, t := range m.Topics {
				if err := client.CodeError(t.ErrorCode, wire.NullString{}, "topic "+args[0]); err != nil {
					return err
				}
				for _, p := range t.Partitions {
					if p.PartitionIndex != int32(number) {
						continue
					}
					described, err := describePartitions(c, args[0], []msg.MetadataResponsePartition{p})
					if err != nil {
						return err
					}
					return a.print(cmd.OutOrStdout(), partitionHeader, [][]string{described[0].row()}, described[0])
				}
			}
			return fmt.Errorf("topic %s has no partition %d", args[0], number)
		})
}
