package group

import "time"

// HeartbeatRequest says that a member lives.
type HeartbeatRequest struct {
	Group      string
	Generation int32
	MemberID   string
	InstanceID string
}

// Heartbeat restarts the member's session and tells it whether to rejoin (J40). It never waits.
func (s *Shard) Heartbeat(now time.Time, req HeartbeatRequest) Error {
	switch err := s.readyFor(req.Group); err {
	case None:
	case CoordinatorLoadInProgress:
		return None // J1: the member is kept when the load is done; no reason to alarm it
	default:
		return err
	}
	g := s.groups[req.Group]
	switch {
	case g == nil:
		return UnknownMemberID
	case g.state == Dead:
		return CoordinatorNotAvailable
	}
	m, err := g.validate(req.MemberID, req.InstanceID)
	switch {
	case err != None:
		return err
	case req.Generation != g.generation:
		return IllegalGeneration
	}
	s.touch(now, m)
	if g.state == PreparingRebalance {
		return RebalanceInProgress
	}
	return None
}

// MemberIdentity names a member: by its id, by its instance id, or by both.
type MemberIdentity struct {
	MemberID   string
	InstanceID string
}

// LeaveRequest removes members from a group. Requests before v3 name one.
type LeaveRequest struct {
	Group   string
	Members []MemberIdentity
}

// LeaveResult is the outcome for one member.
type LeaveResult struct {
	MemberIdentity
	Err Error
}

// LeaveResponse answers Leave, with one result for each member named. With Err set there are none.
type LeaveResponse struct {
	Err     Error
	Members []LeaveResult
}

// Leave answers at once with a LeaveResponse; what it sets off may answer others.
func (s *Shard) Leave(now time.Time, req LeaveRequest, tok Token, fx *Effects) {
	if err := s.readyFor(req.Group); err != None {
		fx.reply(tok, LeaveResponse{Err: err})
		return
	}
	g := s.groups[req.Group]
	if g != nil && g.state == Dead {
		fx.reply(tok, LeaveResponse{Err: CoordinatorNotAvailable})
		return
	}
	r := LeaveResponse{Members: make([]LeaveResult, len(req.Members))}
	removed := false
	for i, who := range req.Members {
		r.Members[i] = LeaveResult{MemberIdentity: who, Err: UnknownMemberID}
		if g == nil {
			continue // J53
		}
		if who.MemberID != "" && who.InstanceID == "" && g.pending[who.MemberID] != nil {
			s.timers.disarm(&g.pending[who.MemberID].timer)
			delete(g.pending, who.MemberID)
			r.Members[i].Err = None
			continue
		}
		if who.MemberID == "" && who.InstanceID != "" { // J51: whichever member holds the instance id
			who.MemberID = g.instances[who.InstanceID]
		}
		m, err := g.validate(who.MemberID, who.InstanceID)
		if r.Members[i].Err = err; err == None {
			s.remove(g, m, fx)
			removed = true
		}
	}
	fx.reply(tok, r)
	switch {
	case g == nil:
	case removed:
		s.rebalance(now, g, fx)
	default: // pending ids may have been given back
		s.maybeCompleteJoin(now, g, fx)
		s.forgetIfUnused(g)
	}
}
