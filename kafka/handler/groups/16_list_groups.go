package groups

import (
	"slices"
	"strings"

	"chronik/kafka/msg"
)

// ListGroups (key 16), versions 0 to 5.

// groupType is what every group is, in the words of ListGroups.
const groupType = "classic"

// ListGroups answers ListGroups.
func (c *Call) ListGroups(req *msg.ListGroupsRequest, resp *msg.ListGroupsResponse) {
	groups, err := c.Broker.ListGroups()
	resp.ErrorCode = c.groupCode(err)
	if !admits(req.TypesFilter, groupType) {
		return
	}
	for _, g := range groups {
		if admits(req.StatesFilter, g.State.String()) {
			resp.Groups = append(resp.Groups, msg.ListedGroup{
				GroupId: g.Group, ProtocolType: g.ProtocolType, GroupState: g.State.String(), GroupType: groupType,
			})
		}
	}
}

// admits reports whether a filter lets word pass; an empty one does (J61).
func admits(filter []string, word string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, word) })
}
