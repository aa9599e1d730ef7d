package main

import "github.com/spf13/cobra"

// unbuiltCommands are subcommands that are documented and not built: they say
// so, and help does not list them.
func unbuiltCommands() []*cobra.Command {
	return []*cobra.Command{
		unbuilt("segment", "segment inspect, verify, repair and dump are not built yet"),
	}
}

func unbuilt(name, what string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Hidden:             true,
		DisableFlagParsing: true,
		Args:               cobra.ArbitraryArgs,
		RunE:               func(*cobra.Command, []string) error { return usagef("%s", what) },
	}
}
