package classic

import (
	"strings"
	"time"

	"chronik/broker/group/effect"
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
	Err          effect.Error
	ProtocolType string
	Protocol     string
	Assignment   []byte
}

// Sync answers with a SyncResponse: at once in Stable or with an error, else when the leader's assignment is recorded.
func (g *Group) Sync(now time.Time, req SyncRequest, tok effect.Token, fx *effect.Effects) {
	m, err := g.checkSync(req)
	if err != effect.None {
		fx.Answer(tok, SyncResponse{Err: err})
		return
	}
	g.markSynced(m)
	if g.unsynced == 0 {
		g.env.Timers.Disarm(&g.timer)
	}
	if g.state == Stable { // J32
		g.touch(now, m)
		fx.Answer(tok, g.syncResponse(m))
		return
	}
	g.answerSync(m, SyncResponse{Err: effect.RebalanceInProgress}, fx) // the same member's earlier call
	m.syncing, m.syncToken = true, tok
	g.env.Timers.Disarm(&m.timer)
	if m.id == g.leader && g.syncAppend == 0 {
		g.recordAssignment(now, req.Assignments, fx)
	}
}

// checkSync is the order of J30.
func (g *Group) checkSync(req SyncRequest) (*member, effect.Error) {
	switch g.state {
	case Empty:
		return nil, effect.UnknownMemberID
	case Dead:
		return nil, effect.CoordinatorNotAvailable
	}
	m, err := g.validate(req.MemberID, req.InstanceID)
	switch {
	case err != effect.None:
		return nil, err
	case req.Generation != g.generation:
		return nil, effect.IllegalGeneration
	case req.ProtocolType != "" && req.ProtocolType != g.protocolType,
		req.Protocol != "" && req.Protocol != g.protocol:
		return nil, effect.InconsistentGroupProtocol
	case g.state == PreparingRebalance:
		return nil, effect.RebalanceInProgress
	}
	return m, effect.None
}

// recordAssignment writes the leader's assignment; everybody is answered when it is committed (J31).
func (g *Group) recordAssignment(now time.Time, given []Assignment, fx *effect.Effects) {
	assignments := make(map[string][]byte, len(g.members))
	for id := range g.members {
		assignments[id] = []byte{} // a member the leader left out has an empty one
	}
	for _, a := range given {
		if _, ok := assignments[a.MemberID]; ok {
			assignments[strings.Clone(a.MemberID)] = append([]byte{}, a.Bytes...)
		}
	}
	var id effect.AppendID
	id = g.env.Log.Emit(fx, []effect.Record{g.record(now, assignments)}, effect.Pending{
		Applied: func(done time.Time, fx *effect.Effects) {
			if g.syncAppend != id {
				return // a rebalance has begun meanwhile
			}
			g.syncAppend = 0
			g.state, g.stateSince = Stable, now
			for _, m := range g.sorted() {
				m.assignment = assignments[m.id]
				g.weigh(m)
				g.answerSync(m, g.syncResponse(m), fx)
				g.touch(done, m)
			}
		},
		Answer: func(now time.Time, err effect.Error, fx *effect.Effects) {
			if err == effect.None || g.syncAppend != id {
				return
			}
			for _, m := range g.sorted() {
				g.answerSync(m, SyncResponse{Err: err}, fx)
				g.touch(now, m)
			}
			g.rebalance(now, fx)
		},
	})
	g.syncAppend = id
}

func (g *Group) syncResponse(m *member) SyncResponse {
	return SyncResponse{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: m.assignment}
}

func (g *Group) assignments() map[string][]byte {
	out := make(map[string][]byte, len(g.members))
	for id, m := range g.members {
		out[id] = m.assignment
	}
	return out
}
