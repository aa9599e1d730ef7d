package main

import (
	"cmp"
	"slices"

	"chronik/cmd/chronik-server/client"
	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"github.com/spf13/cobra"
)

// listedGroup is a line of group list.
type listedGroup struct {
	Group       string `json:"group" yaml:"group"`
	State       string `json:"state" yaml:"state"`
	Protocol    string `json:"protocol_type" yaml:"protocol_type"`
	Coordinator int32  `json:"coordinator" yaml:"coordinator"`
}

func (a *app) groupListCommand() *cobra.Command {
	return a.clientCommand("list", "List the consumer groups", exactly(), func(cmd *cobra.Command, c *client.Conn, _ []string) error {
		m, err := c.Metadata([]string{})
		if err != nil {
			return err
		}
		groups, rows := []listedGroup{}, [][]string{}
		for _, b := range m.Brokers { // each broker knows the groups that it coordinates
			peer, err := c.Peer(b.NodeId)
			if err != nil {
				return err
			}
			var answer msg.ListGroupsResponse
			if err := peer.Call(&msg.ListGroupsRequest{}, &answer, 4); err != nil {
				return err
			}
			if err := client.CodeError(answer.ErrorCode, wire.NullString{}, "the groups of broker "+list([]int32{b.NodeId})); err != nil {
				return err
			}
			for _, g := range answer.Groups {
				groups = append(groups, listedGroup{g.GroupId, g.GroupState, g.ProtocolType, b.NodeId})
			}
		}
		slices.SortFunc(groups, func(a, b listedGroup) int { return cmp.Compare(a.Group, b.Group) })
		for _, g := range groups {
			rows = append(rows, []string{g.Group, g.State, g.Protocol, list([]int32{g.Coordinator})})
		}
		return a.print(cmd.OutOrStdout(), []string{"GROUP", "STATE", "PROTOCOL TYPE", "COORDINATOR"}, rows, groups)
	})
}
