package main

import (
	"cmp"
	"slices"
	"strconv"

	"chronik/cmd/chronik-server/client"
	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"github.com/spf13/cobra"
)

// describedGroup is what group describe says of one.
type describedGroup struct {
	Group    string            `json:"group" yaml:"group"`
	State    string            `json:"state" yaml:"state"`
	Assignor string            `json:"assignor" yaml:"assignor"`
	Members  []describedMember `json:"members" yaml:"members"`
	Offsets  []groupOffset     `json:"offsets" yaml:"offsets"`
}

type describedMember struct {
	ID       string           `json:"id" yaml:"id"`
	Instance string           `json:"instance,omitempty" yaml:"instance,omitempty"`
	Client   string           `json:"client" yaml:"client"`
	Host     string           `json:"host" yaml:"host"`
	Assigned []assignedTopics `json:"assigned" yaml:"assigned"`
}

type assignedTopics struct {
	Topic      string  `json:"topic" yaml:"topic"`
	Partitions []int32 `json:"partitions" yaml:"partitions"`
}

// groupOffset is how far a group is on one partition.
type groupOffset struct {
	client.Committed `yaml:",inline"`
	HighWatermark    int64  `json:"high_watermark" yaml:"high_watermark"`
	Lag              int64  `json:"lag" yaml:"lag"`
	Member           string `json:"member,omitempty" yaml:"member,omitempty"`
}

func (a *app) groupDescribeCommand() *cobra.Command {
	return a.clientCommand("describe GROUP...", "Say who is in groups and how far they are", atLeastOne("the names of the groups to describe"),
		func(cmd *cobra.Command, c *client.Conn, names []string) error {
			groups, rows := []describedGroup{}, [][]string{}
			for _, name := range names {
				g, err := wholeGroup(c, name)
				if err != nil {
					return err
				}
				groups = append(groups, *g)
				rows = append(rows, g.rows()...)
			}
			return a.print(cmd.OutOrStdout(),
				[]string{"GROUP", "STATE", "TOPIC", "PARTITION", "OFFSET", "HIGH WATERMARK", "LAG", "MEMBER"}, rows, groups)
		})
}

// wholeGroup gathers what coordinator and partition leaders know of a group.
func wholeGroup(c *client.Conn, name string) (*describedGroup, error) {
	coordinator, err := c.Coordinator(name)
	if err != nil {
		return nil, err
	}
	found, err := coordinator.DescribeGroup(name)
	if err != nil {
		return nil, err
	}
	g := &describedGroup{Group: name, State: found.GroupState, Assignor: found.ProtocolData, Members: []describedMember{}, Offsets: []groupOffset{}}
	for i := range found.Members {
		m := &found.Members[i]
		g.Members = append(g.Members, describedMember{ID: m.MemberId, Instance: m.GroupInstanceId.String,
			Client: m.ClientId, Host: m.ClientHost, Assigned: assignment(m.MemberAssignment)})
	}
	offsets, err := coordinator.CommittedOffsets(name)
	if err != nil {
		return nil, err
	}
	leaders, err := c.Leaders(topicsOf(offsets))
	if err != nil {
		return nil, err
	}
	for _, o := range offsets {
		high := int64(-1)
		if leader, ok := leaders[client.TopicPartition{Topic: o.Topic, Partition: o.Partition}]; ok {
			if high, err = c.ListOffset(o.Topic, o.Partition, leader, client.Latest); err != nil {
				return nil, err
			}
		}
		row := groupOffset{Committed: o, HighWatermark: high, Lag: -1, Member: g.owner(o.Topic, o.Partition)}
		if high >= 0 {
			row.Lag = max(0, high-o.Offset)
		}
		g.Offsets = append(g.Offsets, row)
	}
	slices.SortFunc(g.Offsets, func(a, b groupOffset) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return g, nil
}

// assignment reads a member's assignment where it has the usual form.
func assignment(data []byte) []assignedTopics {
	assigned := []assignedTopics{}
	r := wire.NewReader(data)
	version := r.Int16()
	if len(data) == 0 || version < 0 {
		return assigned
	}
	var a msg.ConsumerProtocolAssignment
	a.Decode(&r, min(version, 3)) // later versions only add behind
	if r.Err() != nil {
		return assigned
	}
	for _, t := range a.AssignedPartitions {
		assigned = append(assigned, assignedTopics{t.Topic, t.Partitions})
	}
	return assigned
}

// owner is the member that a partition is assigned to, "" for none.
func (g *describedGroup) owner(topic string, partition int32) string {
	for _, m := range g.Members {
		for _, t := range m.Assigned {
			if t.Topic == topic && slices.Contains(t.Partitions, partition) {
				return m.ID
			}
		}
	}
	return ""
}

// rows are the lines of the table: one a partition with an offset, or one for
// the group if there is none.
func (g *describedGroup) rows() [][]string {
	rows := [][]string{}
	for _, o := range g.Offsets {
		rows = append(rows, []string{g.Group, g.State, o.Topic, strconv.Itoa(int(o.Partition)), strconv.FormatInt(o.Offset, 10),
			strconv.FormatInt(o.HighWatermark, 10), strconv.FormatInt(o.Lag, 10), o.Member})
	}
	if len(rows) == 0 {
		rows = append(rows, []string{g.Group, g.State, "-", "-", "-", "-", "-", strconv.Itoa(len(g.Members)) + " members"})
	}
	return rows
}
