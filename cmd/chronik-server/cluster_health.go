package main

import (
	"fmt"
	"strconv"
	"strings"

	"chronik/cmd/chronik-server/client"

	"github.com/spf13/cobra"
)

// clusterHealth is what cluster health says.
type clusterHealth struct {
	Healthy bool     `json:"healthy" yaml:"healthy"`
	Reasons []string `json:"reasons" yaml:"reasons"` // why it is not healthy
	counts  `yaml:",inline"`
}

func (a *app) clusterHealthCommand() *cobra.Command {
	return a.clientCommand("health", "Say whether every partition is led and replicated; status 1 if not", exactly(),
		func(cmd *cobra.Command, c *client.Conn, _ []string) error {
			m, all, err := clusterPartitions(c, nil)
			if err != nil {
				return err
			}
			h := clusterHealth{counts: count(all), Reasons: []string{}}
			if m.ControllerId < 0 {
				h.Reasons = append(h.Reasons, client.ErrNoController.Error())
			}
			if h.Offline > 0 {
				h.Reasons = append(h.Reasons, fmt.Sprintf("%d partitions without a leader", h.Offline))
			}
			if h.UnderReplicated > 0 {
				h.Reasons = append(h.Reasons, fmt.Sprintf("%d under-replicated", h.UnderReplicated))
			}
			h.Healthy = len(h.Reasons) == 0
			row := []string{strconv.FormatBool(h.Healthy), strconv.Itoa(h.Partitions), strconv.Itoa(h.Offline), strconv.Itoa(h.UnderReplicated)}
			if err := a.print(cmd.OutOrStdout(), []string{"HEALTHY", "PARTITIONS", "OFFLINE", "UNDER-REPLICATED"}, [][]string{row}, h); err != nil {
				return err
			}
			if !h.Healthy {
				return fmt.Errorf("not healthy: %s", strings.Join(h.Reasons, ", "))
			}
			return nil
		})
}
