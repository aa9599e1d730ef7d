package main

import (
	"fmt"

	"chronik/kafka/reference"

	"github.com/spf13/cobra"
)

func (a *app) protocolCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "protocol",
		Short: "Print what is served of the Kafka protocol, in Markdown",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := reference.Protocol()
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
}
