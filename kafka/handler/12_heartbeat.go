package handler

import (
	"chronik/broker/group"
	"chronik/kafka/msg"
)

// Heartbeat (key 12), versions 0 to 4.

func (c *call) heartbeat(req *msg.HeartbeatRequest, resp *msg.HeartbeatResponse) {
	resp.ErrorCode = c.groupCode(c.h.Heartbeat(group.HeartbeatRequest{
		Group: req.GroupId, Generation: req.GenerationId, MemberID: req.MemberId, InstanceID: req.GroupInstanceId.String,
	}))
}
