package group

import (
	"maps"
	"slices"
	"time"
)

// Describe tells about a group (J60). A group that does not exist is GroupIDNotFound with state Dead; requests
// before v6 want the state without the error.
func (s *Shard) Describe(groupID string) Description {
	err := s.ready()
	if g := s.groups[groupID]; err == None && g != nil {
		return g.Describe()
	}
	if err == None {
		err = GroupIDNotFound
	}
	return Description{Group: groupID, State: Dead, Err: err}
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
		if g := s.groups[id]; g.State() != Dead {
			out = append(out, Listing{Group: id, ProtocolType: g.ProtocolType(), State: g.State(), Members: g.Members()})
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
	case g == nil || g.State() == Dead:
		err = GroupIDNotFound
	case g.State() != Empty:
		err = NonEmptyGroup
	}
	if err != None {
		fx.Answer(tok, DeleteResponse{Err: err})
		return
	}
	s.endGroup(fx, g, func(err Error, fx *Effects) { fx.Answer(tok, DeleteResponse{Err: err}) })
}
