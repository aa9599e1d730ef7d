package main

import (
	"chronik/internal/config"

	"github.com/spf13/cobra"
)

func (a *app) raftClusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   config.RaftCluster,
		Short: "Run a node of a cluster",
		Long: `Runs a node of a cluster. The first one begins it with --bootstrap, which changes nothing once the node has data:

    chronik-server --node-id 1 raft-cluster --raft-addr 0.0.0.0:5001 --peers 2@node2:5002,3@node3:5003 --bootstrap
    chronik-server --node-id 2 raft-cluster --raft-addr 0.0.0.0:5002 --peers 1@node1:5001,3@node3:5003

A node without data and without --bootstrap waits until one of its peers lets it join. The order of starting does not
matter. Once the cluster has formed, take --bootstrap out: a node that has lost its disk and is up before its peers would
found a second, empty cluster with it. Such a node starts without it and under a new --node-id. Other nodes reach this one at its --advertised-addr and the port of --raft-addr.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd, config.RaftCluster) },
	}
	a.addFlags(cmd.Flags(), config.RaftCluster)
	return cmd
}
