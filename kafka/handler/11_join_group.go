package handler

import (
	"context"

	"chronik/broker/group"
	"chronik/kafka/msg"
)

// JoinGroup (key 11), versions 0 to 9.

type grouping interface {
	JoinGroup(ctx context.Context, r group.JoinRequest) group.JoinResponse
	SyncGroup(ctx context.Context, r group.SyncRequest) group.SyncResponse
	Heartbeat(r group.HeartbeatRequest) group.Error
	LeaveGroup(ctx context.Context, r group.LeaveRequest) group.LeaveResponse
	DescribeGroup(id string) group.Description
	ListGroups() ([]group.Listing, group.Error)
	DeleteGroup(ctx context.Context, id string) group.Error
}

func (c *call) joinGroup(req *msg.JoinGroupRequest, resp *msg.JoinGroupResponse) {
	ask := group.JoinRequest{
		Group: req.GroupId, MemberID: req.MemberId, InstanceID: req.GroupInstanceId.String,
		ClientID: c.header.ClientId.String, ClientHost: "/" + c.s.conn.Host(),
		SessionTimeout: milliseconds(req.SessionTimeoutMs), RebalanceTimeout: milliseconds(req.RebalanceTimeoutMs),
		ProtocolType: req.ProtocolType, RequireKnownMemberID: c.version >= 4, SkipAssignment: c.version >= 9,
	}
	if c.version == 0 { // J18
		ask.RebalanceTimeout = ask.SessionTimeout
	}
	for _, p := range req.Protocols {
		ask.Protocols = append(ask.Protocols, group.Protocol{Name: p.Name, Metadata: p.Metadata})
	}
	got := c.h.JoinGroup(c.s.conn.PollContext(), ask)
	resp.ErrorCode, resp.GenerationId = c.groupCode(got.Err), got.Generation
	resp.ProtocolType, resp.ProtocolName = nullable(got.ProtocolType), nullable(got.Protocol)
	resp.Leader, resp.SkipAssignment, resp.MemberId = got.Leader, got.SkipAssignment, got.MemberID
	for _, m := range got.Members {
		resp.Members = append(resp.Members, msg.JoinGroupResponseMember{
			MemberId: m.MemberID, GroupInstanceId: nullable(m.InstanceID), Metadata: m.Metadata,
		})
	}
}
