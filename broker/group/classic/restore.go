package classic

import (
	"strings"
	"time"

	"chronik/broker/group/effect"
	"chronik/broker/group/record"
)

// Restore makes the group what a record says; nil is a tombstone. Only a group that is being loaded is restored, any
// number of times; Loaded ends that.
func (g *Group) Restore(v *record.Group) {
	g.charge(-g.weight)
	g.least = 0
	clear(g.members)
	clear(g.instances)
	clear(g.supported)
	g.recorded = v != nil
	if v == nil {
		v = &record.Group{StateMs: -1}
	}
	g.generation, g.state = v.Generation, Empty
	g.protocolType, g.protocol, g.leader = strings.Clone(v.ProtocolType), "", ""
	g.stateSince = time.Time{}
	if v.StateMs >= 0 {
		g.stateSince = time.UnixMilli(v.StateMs)
	}
	g.topics, g.topicsKnown = nil, false
	if len(v.Members) > 0 {
		g.loadMembers(v)
	}
}

// loadMembers restores a Stable generation.
func (g *Group) loadMembers(v *record.Group) {
	g.state, g.protocol = Stable, strings.Clone(v.Protocol)
	for i := range v.Members {
		mv := &v.Members[i]
		m := &member{
			id: strings.Clone(mv.MemberID), instanceID: strings.Clone(mv.InstanceID),
			clientID: strings.Clone(mv.ClientID), clientHost: strings.Clone(mv.ClientHost),
			rebalanceTimeout: time.Duration(mv.RebalanceTimeoutMs) * time.Millisecond,
			sessionTimeout:   time.Duration(mv.SessionTimeoutMs) * time.Millisecond,
			protocols:        cloneProtocols([]Protocol{{Name: g.protocol, Metadata: mv.Subscription}}),
			assignment:       append([]byte{}, mv.Assignment...),
		}
		g.add(m, g.protocolType)
	}
	if leader := g.members[v.Leader]; leader != nil {
		g.leader = leader.id
	} else {
		g.leader = g.sorted()[0].id
	}
	g.subscribe()
}

// Loaded ends the loading: the members have one session timeout to be heard of, and a group over the size limit
// rebalances.
func (g *Group) Loaded(now time.Time, fx *effect.Effects) {
	if g.stateSince.IsZero() {
		g.stateSince = now
	}
	for _, m := range g.sorted() {
		g.touch(now, m)
	}
	if len(g.members) > g.env.MembersMax {
		g.rebalance(now, fx)
	}
}
