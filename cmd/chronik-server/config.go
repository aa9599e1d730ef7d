package main

import (
	"fmt"

	"chronik/internal/config"

	"github.com/spf13/cobra"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "The configuration in effect, and what there is", Args: unknownCommand, RunE: needSubcommand}
	show := &cobra.Command{
		Use:   "show",
		Short: "Print the settings in effect and where each came from",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load("")
			if err != nil {
				return err
			}
			rows := [][]string{}
			for _, s := range c.Show() {
				rows = append(rows, []string{s.Name, s.Value, s.Origin})
			}
			return a.print(cmd.OutOrStdout(), []string{"SETTING", "VALUE", "FROM"}, rows, c.Show())
		},
	}
	a.addOutputFlag(show)
	reference := &cobra.Command{
		Use:   "reference",
		Short: "Print the documentation of every setting, in Markdown",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), config.Reference(kafkaReference()))
			return err
		},
	}
	cmd.AddCommand(show, reference)
	return cmd
}
