package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"chronik/broker/coordinator"
	"chronik/broker/group"
	"chronik/broker/partition"
	"chronik/internal/metrics"
)

// groupHost is the group coordinator, over the partitions of
// __consumer_offsets that this node leads.
type groupHost struct{ *coordinator.Host }

func newGroupHost(b *Broker) *groupHost {
	return &groupHost{coordinator.New(coordinator.Options{
		Clock: b.opt.Clock, Logger: b.opt.Logger, Config: b.groupConfig,
		Partitions:    b.offsetsPartitions,
		BatchBytesMax: b.offsetsBatchBytesMax,
		TopicExists: func(name string) bool {
			_, ok := b.TopicID(name)
			return ok
		},
	})}
}

func (h *groupHost) close() { h.Close() }

func (h *groupHost) topicDeleted(name string) { h.TopicDeleted(name) }

func (h *groupHost) roleChanged(index int32) partition.RoleFunc {
	return func(p *partition.Partition, leading bool, epoch int32) { h.RoleChanged(index, p, leading, epoch) }
}

func (b *Broker) groupConfig() group.Config {
	c := b.conf.Load()
	return group.Config{
		InitialRebalanceDelay: c.GroupInitialRebalanceDelay,
		SessionTimeoutMin:     c.GroupSessionTimeoutMin,
		SessionTimeoutMax:     c.GroupSessionTimeoutMax,
		MembersMax:            c.GroupMembersMax,
		OffsetMetadataMax:     c.OffsetMetadataMax,
		OffsetsRetention:      c.OffsetsRetention,
		OffsetsRetentionCheck: c.OffsetsRetentionCheck,
		NewID: func() string {
			id := b.newUUID()
			return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:])
		},
	}
}

// offsetsPartitions is how many partitions __consumer_offsets has; 0 when it
// does not exist yet.
func (b *Broker) offsetsPartitions() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if t := b.topics[offsetsTopic]; t != nil {
		return len(t.info.Partitions)
	}
	return 0
}

func (b *Broker) offsetsBatchBytesMax() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if t := b.topics[offsetsTopic]; t != nil {
		return t.conf.Load().MaxMessageBytes
	}
	return 0
}

// offsetsTopic is how __consumer_offsets is created. It is compacted: what a
// key says last is kept for ever.
func (b *Broker) offsetsTopic() NewTopic {
	c := b.conf.Load()
	return NewTopic{
		Name: offsetsTopic, Partitions: c.OffsetsTopicPartitions,
		ReplicationFactor: min(c.OffsetsTopicReplicationFactor, int16(len(b.nodeIDs()))),
		Configs:           []ConfigValue{{Name: "cleanup.policy", Value: "compact"}, {Name: "compression.type", Value: "producer"}},
	}
}

// Key types of FindCoordinator (C1).
const (
	coordinatorGroup       = 0
	coordinatorTransaction = 1
)

// FindCoordinator is the node that coordinates a group (C1 to C3). It creates
// __consumer_offsets when it is missing.
func (b *Broker) FindCoordinator(ctx context.Context, keyType int8, key string) (Node, error) {
	switch keyType {
	case coordinatorGroup:
	case coordinatorTransaction:
		return Node{}, ErrTransactionsNotBuilt
	default:
		return Node{}, fmt.Errorf("%w: coordinator key type %d", ErrInvalidRequest, keyType)
	}
	if b.offsetsPartitions() == 0 {
		r := b.CreateTopics(ctx, []NewTopic{b.offsetsTopic()}, DefaultTimeout, false)[0]
		if r.Err != nil && !errors.Is(r.Err, ErrTopicExists) {
			return Node{}, fmt.Errorf("%w: create %s: %w", ErrCoordinatorNotAvailable, offsetsTopic, r.Err)
		}
	}
	n := b.offsetsPartitions()
	if n == 0 { // another request is creating it
		return Node{}, ErrCoordinatorNotAvailable
	}
	leader, _ := b.PartitionLeader(TopicPartition{Topic: offsetsTopic, Partition: coordinator.PartitionFor(key, n)})
	nodes := b.Nodes()
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == leader.ID })
	if i < 0 {
		return Node{}, ErrCoordinatorNotAvailable
	}
	return nodes[i], nil
}

// JoinGroup joins a group (J10 to J22). It waits for the join phase to end.
func (b *Broker) JoinGroup(ctx context.Context, r group.JoinRequest) group.JoinResponse {
	return b.groups.Join(ctx, r)
}

// SyncGroup gives or gets the assignment (J30 to J33). It waits for it.
func (b *Broker) SyncGroup(ctx context.Context, r group.SyncRequest) group.SyncResponse {
	return b.groups.Sync(ctx, r)
}

// Heartbeat keeps a member alive (J40).
func (b *Broker) Heartbeat(_ context.Context, r group.HeartbeatRequest) group.Error {
	return b.groups.Heartbeat(r)
}

// LeaveGroup removes members (J50 to J53).
func (b *Broker) LeaveGroup(ctx context.Context, r group.LeaveRequest) group.LeaveResponse {
	return b.groups.Leave(ctx, r)
}

// DescribeGroup tells about one group (J60).
func (b *Broker) DescribeGroup(_ context.Context, id string) group.Description {
	return b.groups.Describe(id)
}

// ListGroups is every group that this node coordinates (J61).
func (b *Broker) ListGroups(context.Context) ([]group.Listing, group.Error) { return b.groups.List() }

// DeleteGroup deletes a group without members (J62).
func (b *Broker) DeleteGroup(ctx context.Context, id string) group.Error {
	return b.groups.Delete(ctx, id)
}

// CommitOffsets commits offsets (O1 to O8). The caller has taken out the
// partitions that do not exist. It waits until the offsets are durable.
func (b *Broker) CommitOffsets(ctx context.Context, r group.CommitOffsetsRequest) group.CommitOffsetsResponse {
	return b.groups.CommitOffsets(ctx, r)
}

// FetchOffsets tells committed offsets (O10 to O16).
func (b *Broker) FetchOffsets(_ context.Context, r group.FetchOffsetsRequest) group.FetchOffsetsResponse {
	return b.groups.FetchOffsets(r)
}

// DeleteOffsets deletes committed offsets (J63).
func (b *Broker) DeleteOffsets(ctx context.Context, r group.DeleteOffsetsRequest) group.DeleteOffsetsResponse {
	return b.groups.DeleteOffsets(ctx, r)
}

// GroupStats is the state of every group that this node coordinates, and its
// lag on the partitions that this node leads.
func (b *Broker) GroupStats() (out []metrics.Group) {
	groups, _ := b.groups.List() // while a partition is loading there is nothing to tell
	for _, g := range groups {
		row := metrics.Group{Name: g.Group, State: g.State.String(), Members: g.Members}
		for _, t := range b.groups.FetchOffsets(group.FetchOffsetsRequest{Group: g.Group, All: true}).Topics {
			for _, p := range t.Partitions {
				_, part, err := b.lookup(&TopicPartition{Topic: t.Name, Partition: p.Partition}, false)
				if err != nil {
					continue
				}
				if s := part.State(); s.Leading {
					row.Lag = append(row.Lag, metrics.GroupLag{
						Topic: t.Name, Partition: p.Partition, Records: max(s.HighWatermark-p.Offset, 0),
					})
				}
			}
		}
		out = append(out, row)
	}
	return out
}
