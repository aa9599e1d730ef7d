package classic

import (
	"time"

	"chronik/broker/group/effect"
)

// HeartbeatRequest says that a member lives.
type HeartbeatRequest struct {
	Group      string
	Generation int32
	MemberID   string
	InstanceID string
}

// Heartbeat restarts the member's session and tells it whether to rejoin (J40). It never waits.
func (g *Group) Heartbeat(now time.Time, req HeartbeatRequest) effect.Error {
	if g.state == Dead {
		return effect.CoordinatorNotAvailable
	}
	m, err := g.validate(req.MemberID, req.InstanceID)
	switch {
	case err != effect.None:
		return err
	case req.Generation != g.generation:
		return effect.IllegalGeneration
	}
	g.touch(now, m)
	if g.state == PreparingRebalance {
		return effect.RebalanceInProgress
	}
	return effect.None
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
	Err effect.Error
}

// LeaveResponse answers Leave, with one result for each member named. With Err set there are none.
type LeaveResponse struct {
	Err     effect.Error
	Members []LeaveResult
}

// Leave answers at once with a LeaveResponse; what it sets off may answer others.
func (g *Group) Leave(now time.Time, req LeaveRequest, tok effect.Token, fx *effect.Effects) {
	if g.state == Dead {
		fx.Answer(tok, LeaveResponse{Err: effect.CoordinatorNotAvailable})
		return
	}
	r := LeaveResponse{Members: make([]LeaveResult, len(req.Members))}
	removed := false
	for i, who := range req.Members {
		r.Members[i] = LeaveResult{MemberIdentity: who, Err: effect.UnknownMemberID}
		if who.InstanceID == "" && g.takePending(who.MemberID) {
			r.Members[i].Err = effect.None
			continue
		}
		if who.MemberID == "" && who.InstanceID != "" { // J51: whichever member holds the instance id
			who.MemberID = g.instances[who.InstanceID]
		}
		m, err := g.validate(who.MemberID, who.InstanceID)
		if r.Members[i].Err = err; err == effect.None {
			g.remove(m, fx)
			removed = true
		}
	}
	fx.Answer(tok, r)
	if removed {
		g.rebalance(now, fx)
		return
	}
	g.maybeCompleteJoin(now, fx) // pending ids may have been given back
	if g.Unused() {
		g.env.Idle(g)
	}
}

// MayCommit tells whether a member, or somebody from outside with generation -1 and no ids, may commit offsets (O4).
// A commit that may restarts the member's session.
func (g *Group) MayCommit(now time.Time, generation int32, memberID, instanceID string) effect.Error {
	if g.state == CompletingRebalance && generation == g.generation {
		if _, err := g.validate(memberID, instanceID); err == effect.None {
			return effect.RebalanceInProgress
		}
	}
	if generation < 0 && memberID == "" && instanceID == "" && g.state != Empty && g.state != Dead {
		return effect.UnknownMemberID
	}
	return g.MayCommitInTxn(now, generation, memberID, instanceID)
}

// MayCommitInTxn is MayCommit for offsets of a transaction: from outside of the group they are always taken, and also
// while members wait for their assignment (T21).
func (g *Group) MayCommitInTxn(now time.Time, generation int32, memberID, instanceID string) effect.Error {
	switch {
	case g.state == Dead:
		return effect.CoordinatorNotAvailable
	case generation < 0 && g.state == Empty:
		return effect.None
	case generation < 0 && memberID == "" && instanceID == "":
		return effect.None
	}
	m, err := g.validate(memberID, instanceID)
	switch {
	case err != effect.None:
		return err
	case generation != g.generation:
		return effect.IllegalGeneration
	}
	g.touch(now, m)
	return effect.None
}
