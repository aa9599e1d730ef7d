package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"chronik/cmd/chronik-server/client"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
	"chronik/kafka/wire"

	"github.com/spf13/cobra"
)

// resetTarget says where offsets are to go: one of the flags.
type resetTarget struct {
	earliest, latest  bool
	offset, timestamp int64
}

// resetOffset is a line of group reset-offsets.
type resetOffset struct {
	Topic     string `json:"topic" yaml:"topic"`
	Partition int32  `json:"partition" yaml:"partition"`
	From      int64  `json:"from" yaml:"from"` // -1: there was none
	To        int64  `json:"to" yaml:"to"`
}

func (a *app) groupResetOffsetsCommand() *cobra.Command {
	var target resetTarget
	var topics []string
	var dryRun bool
	cmd := a.clientCommand("reset-offsets GROUP", "Set the offsets that a group without members goes on from", exactly("GROUP"),
		func(cmd *cobra.Command, c *client.Conn, args []string) error {
			given := 0 // here: the command may be carried out again
			for _, name := range []string{"to-earliest", "to-latest", "to-offset", "to-timestamp"} {
				if cmd.Flags().Changed(name) {
					given++
				}
			}
			if given != 1 || len(topics) == 0 {
				return usagef("group reset-offsets: want --topic, and one of --to-earliest, --to-latest, --to-offset N, --to-timestamp MS")
			}
			plan, err := planReset(c, args[0], topics, target)
			if err != nil {
				return err
			}
			if !dryRun {
				if err := commitReset(c, args[0], plan); err != nil {
					return err
				}
			}
			rows := [][]string{}
			for _, r := range plan {
				rows = append(rows, []string{args[0], r.Topic, strconv.Itoa(int(r.Partition)), strconv.FormatInt(r.From, 10), strconv.FormatInt(r.To, 10)})
			}
			return a.print(cmd.OutOrStdout(), []string{"GROUP", "TOPIC", "PARTITION", "FROM", "TO"}, rows, plan)
		})
	cmd.Flags().StringArrayVar(&topics, "topic", nil, "A topic, or topic:partition; may be repeated")
	cmd.Flags().BoolVar(&target.earliest, "to-earliest", false, "To the start of the log")
	cmd.Flags().BoolVar(&target.latest, "to-latest", false, "To the high watermark")
	cmd.Flags().Int64Var(&target.offset, "to-offset", 0, "To this offset, within what the log holds")
	cmd.Flags().Int64Var(&target.timestamp, "to-timestamp", 0, "To the first record of this time or later, in ms since 1970")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "Say what would be done, and do nothing")
	return cmd
}

// planReset finds where each partition's offset would go.
func planReset(c *client.Conn, group string, topics []string, target resetTarget) ([]resetOffset, error) {
	wanted, err := partitionsOf(c, topics)
	if err != nil {
		return nil, err
	}
	coordinator, err := c.Coordinator(group)
	if err != nil {
		return nil, err
	}
	found, err := coordinator.DescribeGroup(group)
	if err != nil {
		return nil, err
	}
	if n := len(found.Members); n > 0 {
		return nil, fmt.Errorf("group %s has %d members (%s); stop them first: offsets are set for a group without members", group, n, found.GroupState)
	}
	now, err := coordinator.CommittedOffsets(group)
	if err != nil {
		return nil, err
	}
	plan := []resetOffset{}
	for _, p := range wanted {
		r := resetOffset{Topic: p.Topic, Partition: p.Partition, From: -1}
		for _, o := range now {
			if o.Topic == p.Topic && o.Partition == p.Partition {
				r.From = o.Offset
			}
		}
		if r.To, err = resetTo(c, p, target); err != nil {
			return nil, err
		}
		plan = append(plan, r)
	}
	return plan, nil
}

func resetTo(c *client.Conn, p ledPartition, target resetTarget) (int64, error) {
	start, err := c.ListOffset(p.Topic, p.Partition, p.leader, client.Earliest)
	if err != nil || target.earliest {
		return start, err
	}
	end, err := c.ListOffset(p.Topic, p.Partition, p.leader, client.Latest)
	if err != nil || target.latest {
		return end, err
	}
	if target.timestamp != 0 {
		found, err := c.ListOffset(p.Topic, p.Partition, p.leader, target.timestamp)
		if found < 0 { // every record is older
			found = end
		}
		return found, err
	}
	return min(max(target.offset, start), end), nil
}

func commitReset(c *client.Conn, group string, plan []resetOffset) error {
	coordinator, err := c.Coordinator(group)
	if err != nil {
		return err
	}
	request := &msg.OffsetCommitRequest{GroupId: group, GenerationIdOrMemberEpoch: -1, RetentionTimeMs: -1}
	for _, r := range plan {
		i := slices.IndexFunc(request.Topics, func(t msg.OffsetCommitRequestTopic) bool { return t.Name == r.Topic })
		if i < 0 {
			i = len(request.Topics)
			request.Topics = append(request.Topics, msg.OffsetCommitRequestTopic{Name: r.Topic})
		}
		request.Topics[i].Partitions = append(request.Topics[i].Partitions, msg.OffsetCommitRequestPartition{
			PartitionIndex: r.Partition, CommittedOffset: r.To, CommittedLeaderEpoch: -1, CommittedMetadata: wire.Str("")})
	}
	var answer msg.OffsetCommitResponse
	if err := coordinator.Call(request, &answer, 8); err != nil {
		return err
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			message := wire.NullString{}
			if kerr.Code(p.ErrorCode) == kerr.UnknownMemberID {
				message = wire.Str("the group has got a member meanwhile; offsets are set for a group without members")
			}
			if err := client.CodeError(p.ErrorCode, message, fmt.Sprintf("group %s, %s-%d", group, t.Name, p.PartitionIndex)); err != nil {
				return err
			}
		}
	}
	return nil
}

// partitionsOf resolves topic and topic:partition arguments.
func partitionsOf(c *client.Conn, given []string) ([]ledPartition, error) {
	wanted := []ledPartition{}
	for _, arg := range given {
		topic, number, one := strings.Cut(arg, ":")
		n, err := strconv.ParseInt(number, 10, 32)
		if one && (err != nil || n < 0) {
			return nil, usagef("--topic %s: want topic or topic:partition", arg)
		}
		leaders, err := c.Leaders([]string{topic})
		if err != nil {
			return nil, err
		}
		before := len(wanted)
		for at, leader := range leaders {
			if !one || at.Partition == int32(n) {
				wanted = append(wanted, ledPartition{at, leader})
			}
		}
		if len(wanted) == before {
			return nil, fmt.Errorf("%s: there is no such partition with a leader", arg)
		}
	}
	slices.SortFunc(wanted, func(a, b ledPartition) int { return a.Compare(b.TopicPartition) })
	return wanted, nil
}
