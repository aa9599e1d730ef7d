package main

import (
	"fmt"
	"strconv"

	"chronik/cmd/chronik-server/client"

	"github.com/spf13/cobra"
)

// clusterNode is a line of cluster list-nodes.
type clusterNode struct {
	ID         int32  `json:"id" yaml:"id"`
	Addr       string `json:"addr" yaml:"addr"`
	Rack       string `json:"rack" yaml:"rack"`
	State      string `json:"state" yaml:"state"` // live, or fenced: it has lost contact with the cluster
	Controller bool   `json:"controller" yaml:"controller"`
	Replicas   int    `json:"replicas" yaml:"replicas"`
	Leaders    int    `json:"leaders" yaml:"leaders"`
}

func (a *app) clusterListNodesCommand() *cobra.Command {
	return a.clientCommand("list-nodes", "List the brokers, those too that are down, and what each has", exactly(), func(cmd *cobra.Command, c *client.Conn, _ []string) error {
		_, all, err := clusterPartitions(c, nil)
		if err != nil {
			return err
		}
		cluster, err := c.Cluster()
		if err != nil {
			return err
		}
		nodes, rows := []clusterNode{}, [][]string{}
		for _, b := range cluster.Brokers {
			n := clusterNode{ID: b.BrokerId, Addr: fmt.Sprintf("%s:%d", b.Host, b.Port), Rack: b.Rack.String, State: "live", Controller: b.BrokerId == cluster.ControllerId}
			if b.IsFenced {
				n.State = "fenced"
			}
			for _, p := range all {
				if p.Leader == n.ID {
					n.Leaders++
				}
				for _, replica := range p.Replicas {
					if replica == n.ID {
						n.Replicas++
					}
				}
			}
			nodes = append(nodes, n)
			rows = append(rows, []string{strconv.Itoa(int(n.ID)), n.Addr, n.Rack, n.State, strconv.FormatBool(n.Controller), strconv.Itoa(n.Replicas), strconv.Itoa(n.Leaders)})
		}
		return a.print(cmd.OutOrStdout(), []string{"NODE", "ADDRESS", "RACK", "STATE", "CONTROLLER", "REPLICAS", "LEADERS"}, rows, nodes)
	})
}
