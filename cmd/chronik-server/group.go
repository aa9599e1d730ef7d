package main

import (
	"fmt"

	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"github.com/spf13/cobra"
)

func (a *app) groupCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "group", Short: "List and describe consumer groups, and reset their offsets", Args: unknownCommand, RunE: needSubcommand}
	cmd.AddCommand(a.groupListCommand(), a.groupDescribeCommand(), a.groupResetOffsetsCommand())
	return cmd
}

// committed is a group's offset for one partition.
type committed struct {
	Topic     string `json:"topic" yaml:"topic"`
	Partition int32  `json:"partition" yaml:"partition"`
	Offset    int64  `json:"offset" yaml:"offset"`
}

// committedOffsets asks the group's coordinator for all offsets of the group.
func (c *client) committedOffsets(group string) ([]committed, error) {
	request := &msg.OffsetFetchRequest{Groups: []msg.OffsetFetchRequestGroup{{GroupId: group, MemberEpoch: -1}}}
	var answer msg.OffsetFetchResponse
	if err := c.call(request, &answer, 8); err != nil {
		return nil, err
	}
	if len(answer.Groups) != 1 {
		return nil, fmt.Errorf("group %s: the broker answers for %d groups", group, len(answer.Groups))
	}
	found := answer.Groups[0]
	if err := codeError(found.ErrorCode, wire.NullString{}, "group "+group); err != nil {
		return nil, err
	}
	all := []committed{}
	for _, t := range found.Topics {
		for _, p := range t.Partitions {
			if err := codeError(p.ErrorCode, wire.NullString{}, fmt.Sprintf("group %s, %s-%d", group, t.Name, p.PartitionIndex)); err != nil {
				return nil, err
			}
			if p.CommittedOffset >= 0 {
				all = append(all, committed{t.Name, p.PartitionIndex, p.CommittedOffset})
			}
		}
	}
	return all, nil
}

// describeGroup asks the group's coordinator for its members.
func (c *client) describeGroup(group string) (*msg.DescribeGroupsResponseDescribedGroup, error) {
	var answer msg.DescribeGroupsResponse
	if err := c.call(&msg.DescribeGroupsRequest{Groups: []string{group}}, &answer, 5); err != nil {
		return nil, err
	}
	if len(answer.Groups) != 1 {
		return nil, fmt.Errorf("group %s: the broker answers for %d groups", group, len(answer.Groups))
	}
	found := &answer.Groups[0]
	return found, codeError(found.ErrorCode, found.ErrorMessage, "group "+group)
}
