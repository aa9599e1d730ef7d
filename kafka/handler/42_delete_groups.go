package handler

import "chronik/kafka/msg"

// DeleteGroups (key 42), versions 0 to 2.

func (c *call) deleteGroups(req *msg.DeleteGroupsRequest, resp *msg.DeleteGroupsResponse) {
	for _, id := range req.GroupsNames {
		resp.Results = append(resp.Results, msg.DeletableGroupResult{
			GroupId: id, ErrorCode: c.groupCode(c.h.DeleteGroup(c.s.conn.Context(), id)),
		})
	}
}
