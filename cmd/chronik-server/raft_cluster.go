package main

import (
	"chronik/internal/config"

	"github.com/spf13/cobra"
)

func (a *app) raftClusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   config.RaftCluster,
		Short: "Run a node of a cluster (not built yet)",
		Args:  exactly(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.serve(cmd, config.RaftCluster) },
	}
	a.addFlags(cmd.Flags(), config.RaftCluster)
	return cmd
}
