package group

import (
	"strings"
	"time"
)

// newMemberJoinMax is how long the join of a new member may be held before it counts as gone (J21): it cannot
// heartbeat yet, and a broken connection of its is not seen while the call is held.
const newMemberJoinMax = 5 * time.Minute

// memberIDPrefixMax leaves room for a dash and a UUID in the 32,767 bytes of a string.
const memberIDPrefixMax = 32_000

// JoinRequest asks to become or stay a member of a group.
type JoinRequest struct {
	Group            string
	MemberID         string // "" for a newcomer
	InstanceID       string // "" for a dynamic member
	ClientID         string
	ClientHost       string // in Kafka's form, "/1.2.3.4"
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration // v0 requests have none: the session timeout stands for it
	ProtocolType     string
	Protocols        []Protocol

	RequireKnownMemberID bool // v4+: a dynamic newcomer is first told its id
	SkipAssignment       bool // v9+: the leader understands skipAssignment
}

// JoinMember is one member as the leader of a generation sees it.
type JoinMember struct {
	MemberID   string
	InstanceID string
	Metadata   []byte
}

// JoinResponse answers Join. With an error the generation is -1 and the strings but MemberID are empty.
type JoinResponse struct {
	Err            Error
	Generation     int32
	ProtocolType   string
	Protocol       string
	Leader         string
	SkipAssignment bool
	MemberID       string
	Members        []JoinMember // for the leader only
}

func joinFailed(memberID string, err Error) JoinResponse {
	return JoinResponse{Err: err, Generation: -1, MemberID: memberID}
}

// Join answers with a JoinResponse: at once when it fails or nothing changes, else when the join phase ends.
func (s *Shard) Join(now time.Time, req JoinRequest, tok Token, fx *Effects) {
	if memberID, err := s.join(now, req, tok, fx); err != None {
		fx.reply(tok, joinFailed(memberID, err))
	}
}

// join does a Join and answers it or holds it, or returns an error for it and the member id to go with it.
func (s *Shard) join(now time.Time, req JoinRequest, tok Token, fx *Effects) (string, Error) {
	if err := s.readyFor(req.Group); err != None {
		return req.MemberID, err
	}
	if req.SessionTimeout < s.cfg.SessionTimeoutMin || req.SessionTimeout > s.cfg.SessionTimeoutMax {
		return req.MemberID, InvalidSessionTimeout
	}
	g := s.groups[req.Group]
	switch {
	case g == nil && req.MemberID != "":
		return req.MemberID, UnknownMemberID
	case g == nil && (req.ProtocolType == "" || len(req.Protocols) == 0):
		return req.MemberID, InconsistentGroupProtocol // before a group is made for it
	case g == nil:
		g = s.newGroup(req.Group, now)
	case g.state == Dead:
		return req.MemberID, CoordinatorNotAvailable
	}
	if !s.hasRoom(now, g, req, fx) {
		return "", GroupMaxSizeReached
	}
	if !g.accepts(req.ProtocolType, req.Protocols) {
		return req.MemberID, InconsistentGroupProtocol
	}
	if req.MemberID == "" {
		return s.joinNewcomer(now, g, req, tok, fx)
	}
	if p := g.pending[req.MemberID]; p != nil && req.InstanceID == "" {
		s.timers.disarm(&p.timer)
		delete(g.pending, req.MemberID)
		s.admit(now, g, strings.Clone(req.MemberID), req, tok, fx)
		return "", None
	}
	m, err := g.validate(req.MemberID, req.InstanceID)
	if err != None {
		return req.MemberID, err
	}
	s.rejoin(now, g, m, req, tok, fx)
	return "", None
}

// hasRoom is the size limit (J12). While a rebalance gathers members, those that wait count, so that the first ones
// there stay; a member that finds no place any more is removed.
func (s *Shard) hasRoom(now time.Time, g *group, req JoinRequest, fx *Effects) bool {
	m := g.members[req.MemberID]
	if m == nil && req.MemberID == "" && req.InstanceID != "" {
		m = g.members[g.instances[req.InstanceID]] // a static member that came back is no newcomer
	}
	switch {
	case g.state == Empty:
		return true
	case g.state != PreparingRebalance:
		return m != nil || len(g.members) < s.cfg.MembersMax
	case m != nil && m.joining || g.joining < s.cfg.MembersMax:
		return true
	}
	if m != nil {
		s.remove(g, m, fx)
		s.maybeCompleteJoin(now, g, fx)
	}
	return false
}

// joinNewcomer is a join without a member id.
func (s *Shard) joinNewcomer(now time.Time, g *group, req JoinRequest, tok Token, fx *Effects) (string, Error) {
	if req.InstanceID != "" {
		id := s.newMemberID(req.InstanceID)
		if old, ok := g.instances[req.InstanceID]; ok {
			s.replaceStatic(now, g, g.members[old], id, req, tok, fx)
		} else {
			s.admit(now, g, id, req, tok, fx)
		}
		return "", None
	}
	id := s.newMemberID(req.ClientID)
	if !req.RequireKnownMemberID {
		s.admit(now, g, id, req, tok, fx)
		return "", None
	}
	p := &pendingMember{}
	p.timer.fire = func(now time.Time, fx *Effects) {
		s.dropPending(now, g, id, fx)
		s.forgetIfUnused(g)
	}
	g.pending[id] = p
	s.timers.arm(&p.timer, now.Add(req.SessionTimeout))
	return id, MemberIDRequired
}

// newMemberID is "<prefix>-<uuid>". The prefix is cut where the id would not fit into a string of a record.
func (s *Shard) newMemberID(prefix string) string {
	return prefix[:min(len(prefix), memberIDPrefixMax)] + "-" + s.cfg.NewID()
}

// dropPending takes back a member id that was handed out; the join phase may have waited for it only (J18).
func (s *Shard) dropPending(now time.Time, g *group, id string, fx *Effects) {
	if p := g.pending[id]; p != nil {
		s.timers.disarm(&p.timer)
		delete(g.pending, id)
		s.maybeCompleteJoin(now, g, fx)
	}
}

// admit makes a new member, holds its join and starts or joins a rebalance. id is kept.
func (s *Shard) admit(now time.Time, g *group, id string, req JoinRequest, tok Token, fx *Effects) {
	m := &member{
		id:         id,
		instanceID: strings.Clone(req.InstanceID),
		isNew:      true,
	}
	m.update(req)
	s.add(g, m, strings.Clone(req.ProtocolType))
	if g.state == PreparingRebalance && g.initial {
		g.newcomers = true
	}
	s.holdJoin(now, g, m, tok, fx)
	s.rebalance(now, g, fx)
}

// update takes over what a member says about itself with each join.
func (m *member) update(req JoinRequest) {
	m.clientID, m.clientHost = strings.Clone(req.ClientID), strings.Clone(req.ClientHost)
	m.sessionTimeout, m.rebalanceTimeout = req.SessionTimeout, req.RebalanceTimeout
	m.protocols = cloneProtocols(req.Protocols)
}

func (g *group) updateMember(m *member, req JoinRequest) {
	g.countProtocols(m.protocols, -1)
	m.update(req)
	g.countProtocols(m.protocols, 1)
}

// holdJoin keeps a join until the phase ends. A second join of the same member takes the place of the first.
func (s *Shard) holdJoin(now time.Time, g *group, m *member, tok Token, fx *Effects) {
	g.answerJoin(m, joinFailed(m.id, RebalanceInProgress), fx)
	m.joining, m.joinToken = true, tok
	g.joining++
	if m.isNew {
		s.timers.arm(&m.timer, now.Add(newMemberJoinMax))
	} else {
		s.timers.disarm(&m.timer)
	}
}

// rejoin is a join of a known member (J16).
func (s *Shard) rejoin(now time.Time, g *group, m *member, req JoinRequest, tok Token, fx *Effects) {
	unchanged := m.matches(req.Protocols) && !m.joining
	if unchanged && (g.state == CompletingRebalance || g.state == Stable && m.id != g.leader) {
		s.touch(now, m)
		fx.reply(tok, g.joinResponse(m))
		return
	}
	g.updateMember(m, req)
	s.holdJoin(now, g, m, tok, fx)
	s.rebalance(now, g, fx)
}

// replaceStatic lets a static member that came back without its id take the place of what it was (J15). The one
// with the old id is fenced.
//
// When the assignment can stay, the new id is recorded before the answer. If that fails the answer says so and the
// member stays: its instance id lets it come back in the same way, and the old id remains fenced.
func (s *Shard) replaceStatic(now time.Time, g *group, m *member, id string, req JoinRequest, tok Token, fx *Effects) {
	oldID := m.id
	g.answerJoin(m, joinFailed(oldID, FencedInstanceID), fx)
	g.answerSync(m, SyncResponse{Err: FencedInstanceID}, fx)
	delete(g.members, oldID)
	m.id = id
	g.members[id] = m
	g.instances[m.instanceID] = id
	wasLeader := g.leader == oldID
	if wasLeader {
		g.leader = id
	}
	g.updateMember(m, req)
	s.holdJoin(now, g, m, tok, fx)
	if g.state != Stable || g.selectProtocol() != g.protocol {
		s.rebalance(now, g, fx)
		return
	}
	g.subscribe()
	r := g.joinResponse(m)
	r.Members = nil
	switch {
	case wasLeader && req.SkipAssignment:
		r.SkipAssignment, r.Members = true, g.joinMembers()
	case wasLeader:
		r.Leader = oldID // so that it does not assign again
	}
	generation := g.generation
	s.emit(fx, []Record{g.record(g.stateSince, g.assignments())}, pendingAppend{
		answer: func(now time.Time, err Error, fx *Effects) {
			if !m.joining || m.joinToken != tok || g.state != Stable || g.generation != generation {
				return // a rebalance has taken the join over, or has answered it
			}
			if err != None {
				r = joinFailed("", err)
			}
			g.answerJoin(m, r, fx)
			m.isNew = false
			s.touch(now, m)
		},
	})
}

// joinResponse tells a member about the current generation.
func (g *group) joinResponse(m *member) JoinResponse {
	r := JoinResponse{
		Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader, MemberID: m.id,
	}
	if m.id == g.leader {
		r.Members = g.joinMembers()
	}
	return r
}

func (g *group) joinMembers() []JoinMember {
	out := make([]JoinMember, 0, len(g.members))
	for _, m := range g.sorted() {
		out = append(out, JoinMember{MemberID: m.id, InstanceID: m.instanceID, Metadata: m.metadata(g.protocol)})
	}
	return out
}
