package groups

import (
	"chronik/broker/group"
	"chronik/kafka/msg"
)

// JoinGroup (key 11), versions 0 to 9.

// JoinGroup answers JoinGroup.
func (c *Call) JoinGroup(req *msg.JoinGroupRequest, resp *msg.JoinGroupResponse) {
	ask := group.JoinRequest{
		Group: req.GroupId, MemberID: req.MemberId, InstanceID: req.GroupInstanceId.String,
		ClientID: c.ClientID, ClientHost: "/" + c.Host,
		SessionTimeout: milliseconds(req.SessionTimeoutMs), RebalanceTimeout: milliseconds(req.RebalanceTimeoutMs),
		ProtocolType: req.ProtocolType, RequireKnownMemberID: c.Version >= 4, SkipAssignment: c.Version >= 9,
	}
	if c.Version == 0 { // J18
		ask.RebalanceTimeout = ask.SessionTimeout
	}
	for _, p := range req.Protocols {
		ask.Protocols = append(ask.Protocols, group.Protocol{Name: p.Name, Metadata: p.Metadata})
	}
	got := c.Broker.JoinGroup(c.Poll, ask)
	resp.ErrorCode, resp.GenerationId = c.groupCode(got.Err), got.Generation
	resp.ProtocolType, resp.ProtocolName = nullable(got.ProtocolType), nullable(got.Protocol)
	resp.Leader, resp.SkipAssignment, resp.MemberId = got.Leader, got.SkipAssignment, got.MemberID
	for _, m := range got.Members {
		resp.Members = append(resp.Members, msg.JoinGroupResponseMember{
			MemberId: m.MemberID, GroupInstanceId: nullable(m.InstanceID), Metadata: m.Metadata,
		})
	}
}
