package group

import (
	"maps"
	"slices"
	"time"
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
	Err          Error
	Group        string
	State        State
	ProtocolType string
	Protocol     string // "" unless Stable
	Members      []DescribedMember
}

// Describe tells about a group (J60). A group that does not exist is GroupIDNotFound with state Dead; requests
// before v6 want the state without the error.
func (s *Shard) Describe(groupID string) Description {
	d := Description{Group: groupID, State: Dead}
	if d.Err = s.ready(); d.Err != None {
		return d
	}
	g := s.groups[groupID]
	if g == nil || g.state == Dead {
		d.Err = GroupIDNotFound
		return d
	}
	d.State, d.ProtocolType = g.state, g.protocolType
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

// Listing is a group as ListGroups shows it. All are of type "classic".
type Listing struct {
	Group        string
	ProtocolType string // "" for a group that only holds offsets
	State        State
	Members      int
}

// List is every group, sorted by id (J61). Filters are the caller's.
func (s *Shard) List() ([]Listing, Error) {
	if err := s.ready(); err != None {
		return nil, err
	}
	out := make([]Listing, 0, len(s.groups))
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		if g := s.groups[id]; g.state != Dead {
			out = append(out, Listing{Group: id, ProtocolType: g.protocolType, State: g.state, Members: len(g.members)})
		}
	}
	return out, None
}

// DeleteResponse answers Delete.
type DeleteResponse struct{ Err Error }

// Delete removes a group without members, with its offsets (J62). It answers with a DeleteResponse when the
// tombstones are committed.
func (s *Shard) Delete(now time.Time, groupID string, tok Token, fx *Effects) {
	err := s.readyFor(groupID)
	g := s.groups[groupID]
	switch {
	case err != None:
	case g == nil || g.state == Dead:
		err = GroupIDNotFound
	case g.state != Empty:
		err = NonEmptyGroup
	}
	if err != None {
		fx.reply(tok, DeleteResponse{Err: err})
		return
	}
	s.endGroup(fx, g, func(err Error, fx *Effects) { fx.reply(tok, DeleteResponse{Err: err}) })
}
