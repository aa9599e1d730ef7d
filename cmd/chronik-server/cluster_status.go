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
	Fenced     int    `json:"fenced" yaml:"fenced"` // of the nodes: they are down
	Topics     int    `json:"topics" yaml:"topics"`
	counts     `yaml:",inline"`
}

func (a *app) clusterStatusCommand() *cobra.Command {
	return a.clientCommand("status", "Sum the cluster up", exactly(), func(cmd *cobra.Command, c *client.Conn, _ []string) error {
		m, all, err := clusterPartitions(c, nil)
		if err != nil {
			return err
		}
		cluster, err := c.Cluster()
		if err != nil {
			return err
		}
		s := clusterStatus{ClusterID: cluster.ClusterId, Controller: cluster.ControllerId, Nodes: len(cluster.Brokers), Topics: len(m.Topics), counts: count(all)}
		for _, b := range cluster.Brokers {
			if b.IsFenced {
				s.Fenced++
			}
		}
		row := []string{s.ClusterID, strconv.Itoa(int(s.Controller)), strconv.Itoa(s.Nodes), strconv.Itoa(s.Fenced), strconv.Itoa(s.Topics),
			strconv.Itoa(s.Partitions), strconv.Itoa(s.Offline), strconv.Itoa(s.UnderReplicated)}
		return a.print(cmd.OutOrStdout(), []string{"CLUSTER", "CONTROLLER", "NODES", "FENCED", "TOPICS", "PARTITIONS", "OFFLINE", "UNDER-REPLICATED"}, [][]string{row}, s)
	})
}
