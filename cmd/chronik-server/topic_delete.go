package main

import (
	"chronik/cmd/chronik-server/client"
	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"github.com/spf13/cobra"
)

func (a *app) topicDeleteCommand() *cobra.Command {
	return a.clientCommand("delete NAME...", "Delete topics and their records", atLeastOne("the names of the topics to delete"),
		func(cmd *cobra.Command, c *client.Conn, names []string) error {
			request := &msg.DeleteTopicsRequest{TimeoutMs: c.WaitMs()}
			for _, name := range names {
				request.Topics = append(request.Topics, msg.DeleteTopicState{Name: wire.Str(name)})
			}
			controller, err := c.Controller(cmd.Context())
			if err != nil {
				return err
			}
			var answer msg.DeleteTopicsResponse
			if err := controller.Call(request, &answer, 6); err != nil {
				return err
			}
			var all []done
			for _, t := range answer.Responses {
				if err := client.CodeError(t.ErrorCode, t.ErrorMessage, "topic "+t.Name.String); err != nil {
					return err
				}
				all = append(all, done{t.Name.String, "deleted"})
			}
			return a.printDone(cmd, all)
		})
}
