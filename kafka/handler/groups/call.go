package groups

import (
	"context"
	"time"

	"chronik/broker/group"
	"chronik/kafka/wire"
)

// Broker is what these requests need of the broker.
type Broker interface {
	JoinGroup(ctx context.Context, r group.JoinRequest) group.JoinResponse
	SyncGroup(ctx context.Context, r group.SyncRequest) group.SyncResponse
	Heartbeat(r group.HeartbeatRequest) group.Error
	LeaveGroup(ctx context.Context, r group.LeaveRequest) group.LeaveResponse
	DescribeGroup(id string) group.Description
	ListGroups() ([]group.Listing, group.Error)
	DeleteGroup(ctx context.Context, id string) group.Error
	CommitOffsets(ctx context.Context, r group.CommitOffsetsRequest) group.CommitOffsetsResponse
	FetchOffsets(r group.FetchOffsetsRequest) group.FetchOffsetsResponse
	DeleteOffsets(ctx context.Context, r group.DeleteOffsetsRequest) group.DeleteOffsetsResponse
	TopicID(name string) ([16]byte, bool)
	TopicName(id [16]byte) (string, bool)
	HasPartition(topic string, partition int32) bool
}

// Call is one request: who asks whom, in which version.
type Call struct {
	Broker   Broker
	Version  int16
	ClientID string
	Host     string                // the client's address
	Context  context.Context       // ends when the client is gone
	Poll     context.Context       // ends also when the server shuts down
	Code     func(err error) int16 // the code of an error, which is counted
	// Operations are what may be done to a group, as bits.
	Operations int32
}

// groupCode is the code of a group's error, which is not nil but None.
func (c *Call) groupCode(err group.Error) int16 {
	if err == group.None {
		return 0
	}
	return c.Code(err)
}

// nullable is s, or null when s is empty.
func nullable(s string) wire.NullString { return wire.NullString{String: s, Valid: s != ""} }

func milliseconds(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }
