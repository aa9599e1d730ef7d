package client

import (
	"fmt"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// Committed is a group's offset for one partition.
type Committed struct {
	Topic     string `json:"topic" yaml:"topic"`
	Partition int32  `json:"partition" yaml:"partition"`
	Offset    int64  `json:"offset" yaml:"offset"`
}

// CommittedOffsets asks the group's coordinator for all offsets of the group.
func (c *Conn) CommittedOffsets(group string) ([]Committed, error) {
	request := &msg.OffsetFetchRequest{Groups: []msg.OffsetFetchRequestGroup{{GroupId: group, MemberEpoch: -1}}}
	var answer msg.OffsetFetchResponse
	if err := c.Call(request, &answer, 8); err != nil {
		return nil, err
	}
	if len(answer.Groups) != 1 {
		return nil, fmt.Errorf("group %s: the broker answers for %d groups", group, len(answer.Groups))
	}
	found := answer.Groups[0]
	if err := CodeError(found.ErrorCode, wire.NullString{}, "group "+group); err != nil {
		return nil, err
	}
	all := []Committed{}
	for _, t := range found.Topics {
		for _, p := range t.Partitions {
			if err := CodeError(p.ErrorCode, wire.NullString{}, fmt.Sprintf("group %s, %s-%d", group, t.Name, p.PartitionIndex)); err != nil {
				return nil, err
			}
			if p.CommittedOffset >= 0 {
				all = append(all, Committed{t.Name, p.PartitionIndex, p.CommittedOffset})
			}
		}
	}
	return all, nil
}

// DescribeGroup asks the group's coordinator for its members.
func (c *Conn) DescribeGroup(group string) (*msg.DescribeGroupsResponseDescribedGroup, error) {
	var answer msg.DescribeGroupsResponse
	if err := c.Call(&msg.DescribeGroupsRequest{Groups: []string{group}}, &answer, 5); err != nil {
		return nil, err
	}
	if len(answer.Groups) != 1 {
		return nil, fmt.Errorf("group %s: the broker answers for %d groups", group, len(answer.Groups))
	}
	found := &answer.Groups[0]
	return found, CodeError(found.ErrorCode, found.ErrorMessage, "group "+group)
}
