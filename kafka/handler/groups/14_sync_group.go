package groups

import (
	"chronik/broker/group"
	"chronik/kafka/msg"
)

// SyncGroup (key 14), versions 0 to 5.

// SyncGroup answers SyncGroup.
func (c *Call) SyncGroup(req *msg.SyncGroupRequest, resp *msg.SyncGroupResponse) {
	ask := group.SyncRequest{
		Group: req.GroupId, Generation: req.GenerationId, MemberID: req.MemberId, InstanceID: req.GroupInstanceId.String,
		ProtocolType: req.ProtocolType.String, Protocol: req.ProtocolName.String,
	}
	for _, a := range req.Assignments {
		ask.Assignments = append(ask.Assignments, group.Assignment{MemberID: a.MemberId, Bytes: a.Assignment})
	}
	got := c.Broker.SyncGroup(c.Poll, ask)
	resp.ErrorCode, resp.Assignment = c.groupCode(got.Err), got.Assignment
	resp.ProtocolType, resp.ProtocolName = nullable(got.ProtocolType), nullable(got.Protocol)
}
