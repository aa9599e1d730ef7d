package group

import (
	"strings"
	"time"
)

// Assignment is what the leader gives to a member.
type Assignment struct {
	MemberID string
	Bytes    []byte
}

// SyncRequest asks for the member's assignment; the leader's brings everybody's.
type SyncRequest struct {
	Group        string
	Generation   int32
	MemberID     string
	InstanceID   string
	ProtocolType string // v5+; "" when not given
	Protocol     string // v5+; "" when not given
	Assignments  []Assignment
}

// SyncResponse answers Sync.
type SyncResponse struct {
	Err          Error
	ProtocolType string
	Protocol     string
	Assignment   []byte
}

// Sync answers with a SyncResponse: at once in Stable or with an error, else when the leader's assignment is recorded.
func (s *Shard) Sync(now time.Time, req SyncRequest, tok Token, fx *Effects) {
	g, m, err := s.checkSync(req)
	if err != None {
		fx.reply(tok, SyncResponse{Err: err})
		return
	}
	g.markSynced(m)
	if g.unsynced == 0 {
		s.timers.disarm(&g.timer)
	}
	if g.state == Stable { // J32
		s.touch(now, m)
		fx.reply(tok, g.syncResponse(m))
		return
	}
	g.answerSync(m, SyncResponse{Err: RebalanceInProgress}, fx) // the same member's earlier call
	m.syncing, m.syncToken = true, tok
	s.timers.disarm(&m.timer)
	if m.id == g.leader && g.syncAppend == 0 {
		s.recordAssignment(now, g, req.Assignments, fx)
	}
}

// checkSync is the order of J30.
func (s *Shard) checkSync(req SyncRequest) (*group, *member, Error) {
	if err := s.readyFor(req.Group); err != None {
		return nil, nil, err
	}
	g := s.groups[req.Group]
	switch {
	case g == nil || g.state == Empty:
		return nil, nil, UnknownMemberID
	case g.state == Dead:
		return nil, nil, CoordinatorNotAvailable
	}
	m, err := g.validate(req.MemberID, req.InstanceID)
	switch {
	case err != None:
		return nil, nil, err
	case req.Generation != g.generation:
		return nil, nil, IllegalGeneration
	case req.ProtocolType != "" && req.ProtocolType != g.protocolType,
		req.Protocol != "" && req.Protocol != g.protocol:
		return nil, nil, InconsistentGroupProtocol
	case g.state == PreparingRebalance:
		return nil, nil, RebalanceInProgress
	}
	return g, m, None
}

// recordAssignment writes the leader's assignment; everybody is answered when it is committed (J31).
func (s *Shard) recordAssignment(now time.Time, g *group, given []Assignment, fx *Effects) {
	assignments := make(map[string][]byte, len(g.members))
	for id := range g.members {
		assignments[id] = []byte{} // a member the leader left out has an empty one
	}
	for _, a := range given {
		if _, ok := assignments[a.MemberID]; ok {
			assignments[strings.Clone(a.MemberID)] = append([]byte{}, a.Bytes...)
		}
	}
	var id AppendID
	id = s.emit(fx, []Record{g.record(now, assignments)}, pendingAppend{
		applied: func(done time.Time, fx *Effects) {
			if g.syncAppend != id {
				return // a rebalance has begun meanwhile
			}
			g.syncAppend = 0
			g.state, g.stateSince = Stable, now
			for _, m := range g.sorted() {
				m.assignment = assignments[m.id]
				g.answerSync(m, g.syncResponse(m), fx)
				s.touch(done, m)
			}
		},
		answer: func(now time.Time, err Error, fx *Effects) {
			if err == None || g.syncAppend != id || s.phase == resigned {
				return
			}
			for _, m := range g.sorted() {
				g.answerSync(m, SyncResponse{Err: err}, fx)
				s.touch(now, m)
			}
			s.rebalance(now, g, fx)
		},
	})
	g.syncAppend = id
}

func (g *group) syncResponse(m *member) SyncResponse {
	return SyncResponse{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: m.assignment}
}

func (g *group) assignments() map[string][]byte {
	out := make(map[string][]byte, len(g.members))
	for id, m := range g.members {
		out[id] = m.assignment
	}
	return out
}
