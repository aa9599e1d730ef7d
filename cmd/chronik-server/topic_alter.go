package main

import (
	"fmt"

	"chronik/cmd/chronik-server/client"

	"github.com/spf13/cobra"
)

func (a *app) topicAlterCommand() *cobra.Command {
	var partitions int32
	var configs, deleted []string
	var validate bool
	cmd := a.clientCommand("alter NAME", "Change a topic's settings, or give it more partitions", exactly("NAME"),
		func(cmd *cobra.Command, c *client.Conn, args []string) error {
			settings, err := pairs("topic-config", configs)
			if err != nil {
				return err
			}
			if len(settings)+len(deleted) == 0 && partitions == 0 {
				return usagef("topic alter %s: nothing to change; want --topic-config, --delete-topic-config or --partitions", args[0])
			}
			controller, err := c.Controller(cmd.Context())
			if err != nil {
				return err
			}
			result := ""
			if len(settings)+len(deleted) > 0 {
				if err := controller.AlterConfigs(args[0], settings, deleted, validate); err != nil {
					return err
				}
				result = fmt.Sprintf("%d settings", len(settings)+len(deleted))
			}
			if partitions != 0 {
				if err := controller.CreatePartitions(args[0], partitions, validate); err != nil {
					return err
				}
				if result != "" {
					result += ", "
				}
				result += fmt.Sprintf("%d partitions", partitions)
			}
			if validate {
				result += " (not changed: dry run)"
			}
			return a.printDone(cmd, []done{{args[0], result}})
		})
	cmd.Flags().Int32Var(&partitions, "partitions", 0, "How many partitions the topic is to have, more than now")
	cmd.Flags().StringArrayVar(&configs, "topic-config", nil, "A setting to set, name=value; may be repeated")
	cmd.Flags().StringArrayVar(&deleted, "delete-topic-config", nil, "A setting to take back to its default; may be repeated")
	cmd.Flags().BoolVar(&validate, "dry-run", false, "Check, and change nothing")
	return cmd
}
