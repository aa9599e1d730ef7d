package group

import "time"

// Join answers with a JoinResponse: at once when it fails or nothing changes, else when the join phase ends.
func (s *Shard) Join(now time.Time, req JoinRequest, tok Token, fx *Effects) {
	err := s.readyFor(req.Group)
	if err == None && (req.SessionTimeout < s.cfg.SessionTimeoutMin || req.SessionTimeout > s.cfg.SessionTimeoutMax) {
		err = InvalidSessionTimeout // J10
	}
	g := s.groups[req.Group]
	if err == None && g == nil {
		if err = req.MayCreate(); err == None {
			g = s.newGroup(req.Group, now)
		}
	}
	if err != None {
		req.Refuse(err, tok, fx)
		return
	}
	g.Join(now, req, tok, fx)
	s.forgetIfUnused(g) // it may have been made for a join that was refused
}

// Sync answers with a SyncResponse: at once in Stable or with an error, else when the leader's assignment is recorded.
func (s *Shard) Sync(now time.Time, req SyncRequest, tok Token, fx *Effects) {
	g, err := s.groupOf(req.Group)
	if err != None { // J30
		fx.Answer(tok, SyncResponse{Err: err})
		return
	}
	g.Sync(now, req, tok, fx)
}

// Heartbeat restarts the member's session and tells it whether to rejoin (J40). It never waits. While loading the
// answer is success (J1): the member is kept when the load is done, so there is no reason to alarm it.
func (s *Shard) Heartbeat(now time.Time, req HeartbeatRequest) Error {
	g, err := s.groupOf(req.Group)
	switch err {
	case None:
		return g.Heartbeat(now, req)
	case CoordinatorLoadInProgress:
		return None
	default:
		return err
	}
}

// Leave answers at once with a LeaveResponse; what it sets off may answer others.
func (s *Shard) Leave(now time.Time, req LeaveRequest, tok Token, fx *Effects) {
	g, err := s.groupOf(req.Group)
	switch err {
	case None:
		g.Leave(now, req, tok, fx)
	case UnknownMemberID: // J53
		r := LeaveResponse{Members: make([]LeaveResult, len(req.Members))}
		for i, who := range req.Members {
			r.Members[i] = LeaveResult{MemberIdentity: who, Err: err}
		}
		fx.Answer(tok, r)
	default:
		fx.Answer(tok, LeaveResponse{Err: err})
	}
}

// groupOf finds the group of a member's call; when there is none, nobody can be a member of it.
func (s *Shard) groupOf(id string) (*group, Error) {
	if err := s.readyFor(id); err != None {
		return nil, err
	}
	if g := s.groups[id]; g != nil {
		return g, None
	}
	return nil, UnknownMemberID
}
