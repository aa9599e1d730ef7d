package broker

// Group coordination is not hosted yet: every call is answered with COORDINATOR_NOT_AVAILABLE.

import (
	"context"

	"chronik/broker/group"
	"chronik/broker/partition"
	"chronik/internal/metrics"
)

type groupHost struct{}

func newGroupHost(*Broker) *groupHost                   { return &groupHost{} }
func (*groupHost) roleChanged(int32) partition.RoleFunc { return nil }
func (*groupHost) topicDeleted(string)                  {}
func (*groupHost) close()                               {}
func (b *Broker) offsetsTopic() NewTopic {
	return NewTopic{Name: offsetsTopic, Partitions: b.conf.Load().OffsetsTopicPartitions, ReplicationFactor: 1}
}
func (b *Broker) GroupStats() []metrics.Group { return nil }
func (b *Broker) FindCoordinator(context.Context, int8, string) (Node, error) {
	return Node{}, ErrCoordinatorNotAvailable
}
func (b *Broker) JoinGroup(context.Context, group.JoinRequest) (r group.JoinResponse) {
	r.Err = group.CoordinatorNotAvailable
	return
}
func (b *Broker) SyncGroup(context.Context, group.SyncRequest) (r group.SyncResponse) {
	r.Err = group.CoordinatorNotAvailable
	return
}
func (b *Broker) Heartbeat(context.Context, group.HeartbeatRequest) group.Error {
	return group.CoordinatorNotAvailable
}
func (b *Broker) LeaveGroup(context.Context, group.LeaveRequest) (r group.LeaveResponse) {
	r.Err = group.CoordinatorNotAvailable
	return
}
func (b *Broker) DescribeGroup(context.Context, string) (d group.Description) {
	d.Err = group.CoordinatorNotAvailable
	return
}
func (b *Broker) ListGroups(context.Context) ([]group.Listing, group.Error) {
	return nil, group.CoordinatorNotAvailable
}
func (b *Broker) DeleteGroup(context.Context, string) group.Error {
	return group.CoordinatorNotAvailable
}
func (b *Broker) CommitOffsets(context.Context, group.CommitOffsetsRequest) (r group.CommitOffsetsResponse) {
	r.Err = group.CoordinatorNotAvailable
	return
}
func (b *Broker) FetchOffsets(context.Context, group.FetchOffsetsRequest) (r group.FetchOffsetsResponse) {
	r.Err = group.CoordinatorNotAvailable
	return
}
func (b *Broker) DeleteOffsets(context.Context, group.DeleteOffsetsRequest) (r group.DeleteOffsetsResponse) {
	r.Err = group.CoordinatorNotAvailable
	return
}
