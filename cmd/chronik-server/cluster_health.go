package main

import (
	"fmt"
	"strconv"

	"chronik/cmd/chronik-server/client"

	"github.com/spf13/cobra"
)

// clusterHealth is what cluster health says.
type clusterHealth struct {
	Healthy bool `json:"healthy" yaml:"healthy"`
	counts  `yaml:",inline"`
}

func (a *app) clusterHealthCommand() *cobra.Command {
	return a.clientCommand("health", "Say whether every partition is led and replicated; status 1 if not", exactly(),
		func(cmd *cobra.Command, c *client.Conn, _ []string) error {
			m, all, err := clusterPartitions(c, nil)
			if err != nil {
				return err
			}
			h := clusterHealth{counts: count(all)}
			h.Healthy = m.ControllerId >= 0 && h.Offline == 0 && h.UnderReplicated == 0
			row := []string{strconv.FormatBool(h.Healthy), strconv.Itoa(h.Partitions), strconv.Itoa(h.Offline), strconv.Itoa(h.UnderReplicated)}
			if err := a.print(cmd.OutOrStdout(), []string{"HEALTHY", "PARTITIONS", "OFFLINE", "UNDER-REPLICATED"}, [][]string{row}, h); err != nil {
				return err
			}
			if !h.Healthy {
				return fmt.Errorf("not healthy: %d partitions without a leader, %d under-replicated", h.Offline, h.UnderReplicated)
			}
			return nil
		})
}
