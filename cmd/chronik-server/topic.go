package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) topicCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "topic", Short: "Create, list, describe, delete and alter topics", Args: unknownCommand, RunE: needSubcommand}
	cmd.AddCommand(a.topicCreateCommand(), a.topicListCommand(), a.topicDescribeCommand(), a.topicDeleteCommand(), a.topicAlterCommand())
	return cmd
}

// done is what a command that changes something says of each subject.
type done struct {
	Name   string `json:"name" yaml:"name"`
	Result string `json:"result" yaml:"result"`
}

func (a *app) printDone(cmd *cobra.Command, all []done) error {
	rows := make([][]string, len(all))
	for i, d := range all {
		rows[i] = []string{d.Name, d.Result}
	}
	return a.print(cmd.OutOrStdout(), []string{"NAME", "RESULT"}, rows, all)
}

// pairs splits name=value arguments of a flag.
func pairs(flag string, given []string) ([][2]string, error) {
	split := make([][2]string, 0, len(given))
	for _, pair := range given {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usagef("--%s %s: want name=value, as --%s retention.ms=60000", flag, pair, flag)
		}
		split = append(split, [2]string{name, value})
	}
	return split, nil
}
