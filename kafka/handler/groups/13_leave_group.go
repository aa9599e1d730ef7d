package groups

import (
	"chronik/broker/group"
	"chronik/kafka/msg"
)

// LeaveGroup (key 13), versions 0 to 5. Several members from 3.

// LeaveGroup answers LeaveGroup.
func (c *Call) LeaveGroup(req *msg.LeaveGroupRequest, resp *msg.LeaveGroupResponse) {
	ask := group.LeaveRequest{Group: req.GroupId}
	if c.Version < 3 {
		ask.Members = []group.MemberIdentity{{MemberID: req.MemberId}}
	}
	for _, m := range req.Members {
		ask.Members = append(ask.Members, group.MemberIdentity{MemberID: m.MemberId, InstanceID: m.GroupInstanceId.String})
	}
	got := c.Broker.LeaveGroup(c.Context, ask)
	if resp.ErrorCode = c.groupCode(got.Err); got.Err != group.None {
		return
	}
	for _, m := range got.Members {
		if c.Version < 3 { // J50: the member's error is the request's
			resp.ErrorCode = c.groupCode(m.Err)
			return
		}
		resp.Members = append(resp.Members, msg.MemberResponse{
			MemberId: m.MemberID, GroupInstanceId: nullable(m.InstanceID), ErrorCode: c.groupCode(m.Err),
		})
	}
}
