package classic

import (
	"fmt"

	"chronik/broker/group/effect"
)

// DescribedMember is one member in a Description. Metadata and Assignment are empty unless the group is Stable.
type DescribedMember struct {
	MemberID   string
	InstanceID string
	ClientID   string
	ClientHost string
	Metadata   []byte
	Assignment []byte
}

// Description is a group as DescribeGroups shows it.
type Description struct {
	Err          effect.Error
	Group        string
	State        State
	ProtocolType string
	Protocol     string // "" unless Stable
	Members      []DescribedMember
}

// Describe tells about the group (J60).
func (g *Group) Describe() Description {
	d := Description{Group: g.id, State: g.state, ProtocolType: g.protocolType}
	if g.state == Dead {
		return Description{Group: g.id, State: Dead, Err: effect.GroupIDNotFound}
	}
	if g.state == Stable {
		d.Protocol = g.protocol
	}
	for _, m := range g.sorted() {
		dm := DescribedMember{MemberID: m.id, InstanceID: m.instanceID, ClientID: m.clientID, ClientHost: m.clientHost}
		if g.state == Stable {
			dm.Metadata, dm.Assignment = m.metadata(g.protocol), m.assignment
		}
		d.Members = append(d.Members, dm)
	}
	return d
}

// Valid checks the group's invariants:
//
//  1. There is a leader, and it is a member, exactly if there are members.
//  2. There are members in Stable and CompletingRebalance, and none in Empty and Dead.
//  3. A member waits in join only in PreparingRebalance, or, static, in Stable for the record of its new id; in sync
//     only in CompletingRebalance.
//  4. A member that waits for nothing has a session timer.
//  5. Something ends each phase: PreparingRebalance a timer; CompletingRebalance a timer, or the append of the
//     assignment when everybody has synced.
//  6. Counts and indexes say what the members say.
func (g *Group) Valid() error {
	joining, unsynced, instances, supported := 0, 0, 0, map[string]int{}
	weight, least := 0, 0
	for id := range g.pending {
		weight += pendingBytes + len(id)
	}
	for id, m := range g.members {
		if err := g.validMember(id, m); err != nil {
			return err
		}
		joining += count(m.joining)
		unsynced += count(m.unsynced)
		instances += count(m.instanceID != "")
		for _, p := range m.protocols {
			supported[p.Name]++
		}
		w, l := m.weighs()
		weight, least = weight+w, least+l
	}
	for name, n := range g.supported {
		if supported[name] != n {
			return fmt.Errorf("group %s: %s is supported by %d members, not %d", g.id, name, supported[name], n)
		}
	}
	none := len(g.members) == 0
	switch {
	case (g.leader == "") != none || !none && g.members[g.leader] == nil:
		return fmt.Errorf("group %s: leader %q of %d members", g.id, g.leader, len(g.members))
	case none && (g.state == Stable || g.state == CompletingRebalance), !none && (g.state == Empty || g.state == Dead):
		return fmt.Errorf("group %s: %d members in %v", g.id, len(g.members), g.state)
	case joining != g.joining, unsynced != g.unsynced, instances != len(g.instances), len(supported) != len(g.supported):
		return fmt.Errorf("group %s: %d join, counted %d; %d have not synced, counted %d; %d are static, known %d",
			g.id, joining, g.joining, unsynced, g.unsynced, instances, len(g.instances))
	case weight != g.weight, least != g.least:
		return fmt.Errorf("group %s: weighs %d, counted %d; in a record %d, counted %d", g.id, weight, g.weight, least, g.least)
	case g.state == PreparingRebalance && !g.timer.Armed(), g.state == CompletingRebalance && g.unsynced > 0 && !g.timer.Armed(),
		g.state == CompletingRebalance && g.unsynced == 0 && g.syncAppend == 0:
		return fmt.Errorf("group %s: nothing ends %v, %d have not synced", g.id, g.state, g.unsynced)
	}
	return nil
}

func (g *Group) validMember(id string, m *member) error {
	switch {
	case m.id != id, m.instanceID != "" && g.instances[m.instanceID] != id:
		return fmt.Errorf("group %s: member %s, instance %q, is under %s", g.id, m.id, m.instanceID, id)
	case m.joining && g.state != PreparingRebalance && (g.state != Stable || m.instanceID == ""), m.syncing && g.state != CompletingRebalance:
		return fmt.Errorf("group %s: %s waits in %v (join %v, sync %v)", g.id, id, g.state, m.joining, m.syncing)
	case !m.joining && !m.syncing && !m.timer.Armed():
		return fmt.Errorf("group %s: %s has no session timer in %v", g.id, id, g.state)
	}
	return nil
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}
