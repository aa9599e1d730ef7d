package main

import (
	"strconv"

	"chronik/cmd/chronik-server/client"

	"github.com/spf13/cobra"
)

// clusterStatus is what cluster status says.
type clusterStatus struct {
	ClusterID  string `json:"cluster_id" yaml:"cluster_id"`
	Controller int32  `json:"controller" yaml:"controller"`
	Nodes      int    `json:"nodes" yaml:"nodes"`
	Topics     int    `json:"topics" yaml:"topics"`
	counts     `yaml:",inline"`
}

func (a *app) clusterStatusCommand() *cobra.Command {
	return a.clientCommand("status", "Sum the cluster up", exactly(), func(cmd *cobra.Command, c *client.Conn, _ []string) error {
		m, all, err := clusterPartitions(c, nil)
		if err != nil {
			return err
		}
		s := clusterStatus{ClusterID: m.ClusterId.String, Controller: m.ControllerId, Nodes: len(m.Brokers), Topics: len(m.Topics), counts: count(all)}
		row := []string{s.ClusterID, strconv.Itoa(int(s.Controller)), strconv.Itoa(s.Nodes), strconv.Itoa(s.Topics),
			strconv.Itoa(s.Partitions), strconv.Itoa(s.Offline), strconv.Itoa(s.UnderReplicated)}
		return a.print(cmd.OutOrStdout(), []string{"CLUSTER", "CONTROLLER", "NODES", "TOPICS", "PARTITIONS", "OFFLINE", "UNDER-REPLICATED"}, [][]string{row}, s)
	})
}
