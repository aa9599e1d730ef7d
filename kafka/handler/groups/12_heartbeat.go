package groups

import (
	"chronik/broker/group"
	"chronik/kafka/msg"
)

// Heartbeat (key 12), versions 0 to 4.

// Heartbeat answers Heartbeat.
func (c *Call) Heartbeat(req *msg.HeartbeatRequest, resp *msg.HeartbeatResponse) {
	resp.ErrorCode = c.groupCode(c.Broker.Heartbeat(group.HeartbeatRequest{
		Group: req.GroupId, Generation: req.GenerationId, MemberID: req.MemberId, InstanceID: req.GroupInstanceId.String,
	}))
}
