package main

import "github.com/spf13/cobra"

func (a *app) groupCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "group", Short: "List and describe consumer groups, and reset their offsets", Args: unknownCommand, RunE: needSubcommand}
	cmd.AddCommand(a.groupListCommand(), a.groupDescribeCommand(), a.groupResetOffsetsCommand())
	return cmd
}
