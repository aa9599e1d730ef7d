package groups

import "chronik/kafka/msg"

// DeleteGroups (key 42), versions 0 to 2.

// DeleteGroups answers DeleteGroups.
func (c *Call) DeleteGroups(req *msg.DeleteGroupsRequest, resp *msg.DeleteGroupsResponse) {
	for _, id := range req.GroupsNames {
		resp.Results = append(resp.Results, msg.DeletableGroupResult{
			GroupId: id, ErrorCode: c.groupCode(c.Broker.DeleteGroup(c.Context, id)),
		})
	}
}
