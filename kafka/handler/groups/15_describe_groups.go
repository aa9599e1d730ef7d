package groups

import (
	"fmt"

	"chronik/broker/group"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// DescribeGroups (key 15), versions 0 to 6.

// DescribeGroups answers DescribeGroups.
func (c *Call) DescribeGroups(req *msg.DescribeGroupsRequest, resp *msg.DescribeGroupsResponse) {
	told := make(map[string]bool, len(req.Groups)) // of each again and again would be no end of bytes
	for _, id := range req.Groups {
		got := group.Description{Err: group.InvalidRequest}
		if !told[id] {
			told[id], got = true, c.Broker.DescribeGroup(id)
		}
		out := msg.DescribeGroupsResponseDescribedGroup{
			ErrorCode: c.groupCode(got.Err), GroupId: id, AuthorizedOperations: -1 << 31,
		}
		if got.Err == group.None || got.Err == group.GroupIDNotFound { // J60
			out.GroupState, out.ProtocolType, out.ProtocolData = got.State.String(), got.ProtocolType, got.Protocol
		}
		if got.Err == group.GroupIDNotFound && c.Version >= 6 {
			out.ErrorMessage = wire.Str(fmt.Sprintf("Group %s not found.", id))
		}
		if req.IncludeAuthorizedOperations && got.Err == group.None {
			out.AuthorizedOperations = c.Operations
		}
		for _, m := range got.Members {
			out.Members = append(out.Members, msg.DescribedGroupMember{
				MemberId: m.MemberID, GroupInstanceId: nullable(m.InstanceID), ClientId: m.ClientID, ClientHost: m.ClientHost,
				MemberMetadata: m.Metadata, MemberAssignment: m.Assignment,
			})
		}
		resp.Groups = append(resp.Groups, out)
	}
}
