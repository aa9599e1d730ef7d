package sim

import (
	"context"
	"fmt"
	"time"

	"chronik/broker"
	"chronik/broker/group"
	"chronik/sim/history"
)

// committer commits offsets of one group, each higher than the one before, at the
// group's coordinator.
type committer struct {
	*client
	group  string
	at     history.Partition
	offset int64 // tried last
}

func (c *simulation) newCommitter(id int, at history.Partition) *committer {
	return &committer{client: c.newClient(id), group: fmt.Sprintf("g%d", id), at: at}
}

func (m *committer) run() {
	for m.pause(time.Duration(1+m.rand.IntN(300)) * time.Millisecond) {
		m.offset++
		if err := m.commit(); err != nil {
			m.c.journal.mix("%s commits %d: %v", m.group, m.offset, err)
			continue
		}
		m.c.journal.mix("%s committed %d", m.group, m.offset)
		m.c.hist.Committed(m.group, m.offset)
	}
}

func (m *committer) coordinator() (uint64, error) {
	type found struct {
		node broker.Node
		err  error
	}
	got, err := call(m.client, uint64(1+m.rand.IntN(len(m.c.nodes))), 5*time.Second, func(ctx context.Context, b *broker.Broker) (f found) {
		f.node, f.err = b.FindCoordinator(ctx, 0, m.group)
		return f
	})
	if err == nil {
		err = got.err
	}
	return uint64(got.node.ID), err
}

func (m *committer) commit() error {
	to, err := m.coordinator()
	if err != nil {
		return err
	}
	got, err := call(m.client, to, 5*time.Second, func(ctx context.Context, b *broker.Broker) group.CommitOffsetsResponse {
		return b.CommitOffsets(ctx, group.CommitOffsetsRequest{Group: m.group, Generation: -1, Retention: -1, Topics: []group.TopicToCommit{
			{Name: m.at.Topic, Partitions: []group.OffsetToCommit{{Partition: m.at.Index, Offset: m.offset, LeaderEpoch: -1}}},
		}})
	})
	switch {
	case err != nil:
		return err
	case got.Err != group.None:
		return fmt.Errorf("commit: %v", got.Err)
	case got.Topics[0].Partitions[0].Err != group.None:
		return fmt.Errorf("commit of a partition: %v", got.Topics[0].Partitions[0].Err)
	}
	return nil
}

// committed asks what is committed, in the end.
func (m *committer) committed() (int64, error) {
	to, err := m.coordinator()
	if err != nil {
		return 0, err
	}
	got, err := call(m.client, to, 5*time.Second, func(_ context.Context, b *broker.Broker) group.FetchOffsetsResponse {
		return b.FetchOffsets(group.FetchOffsetsRequest{Group: m.group, Topics: []group.TopicPartitions{{Name: m.at.Topic, Partitions: []int32{m.at.Index}}}})
	})
	switch {
	case err != nil:
		return 0, err
	case got.Err != group.None:
		return 0, fmt.Errorf("fetch of offsets: %v", got.Err)
	}
	return got.Topics[0].Partitions[0].Offset, nil
}

// admin creates and deletes topics, and has preferred replicas lead.
type admin struct {
	*client
	made int
}

func (a *admin) run() {
	for a.pause(time.Duration(500+a.rand.IntN(3000)) * time.Millisecond) {
		switch a.rand.IntN(4) {
		case 0:
			a.electLeaders()
		case 1:
			a.deleteTopic()
		default:
			a.made++
			if err := a.createTopic(fmt.Sprintf("x%d", a.made), 1+int32(a.rand.IntN(2))); err != nil {
				a.c.journal.mix("create: %v", err)
			}
		}
	}
}

func (a *admin) electLeaders() {
	to := uint64(1 + a.rand.IntN(len(a.c.nodes)))
	_, err := call(a.client, to, 10*time.Second, func(ctx context.Context, b *broker.Broker) error {
		_, err := b.ElectLeaders(ctx, true, nil, 0, 5*time.Second)
		return err
	})
	a.c.journal.mix("elect: %v", err)
}

// deleteTopic deletes one of its own; from the moment it tries, the topic may be
// there or not, and when that is acknowledged it is not.
func (a *admin) deleteTopic() {
	if a.made == 0 {
		return
	}
	name := fmt.Sprintf("x%d", 1+a.rand.IntN(a.made))
	a.c.hist.TopicDeleting(name)
	to := uint64(1 + a.rand.IntN(len(a.c.nodes)))
	got, err := call(a.client, to, 10*time.Second, func(ctx context.Context, b *broker.Broker) broker.DeletedTopic {
		return b.DeleteTopics(ctx, []broker.TopicRef{{Name: name}}, 5*time.Second)[0]
	})
	if err == nil {
		err = got.Err
	}
	a.c.journal.mix("delete %s: %v", name, err)
	if err == nil {
		a.c.hist.TopicDeleted(name)
	}
}
