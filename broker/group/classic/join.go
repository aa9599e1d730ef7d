package classic

import (
	"strings"
	"time"

	"chronik/broker/group/effect"
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
	Err            effect.Error
	Generation     int32
	ProtocolType   string
	Protocol       string
	Leader         string
	SkipAssignment bool
	MemberID       string
	Members        []JoinMember // for the leader only
}

func joinFailed(memberID string, err effect.Error) JoinResponse {
	return JoinResponse{Err: err, Generation: -1, MemberID: memberID}
}

// Refuse answers a Join with an error before it has come to a group.
func (r *JoinRequest) Refuse(err effect.Error, tok effect.Token, fx *effect.Effects) {
	fx.Answer(tok, joinFailed(r.MemberID, err))
}

// MayCreate tells whether a join to a group that does not exist creates it (J11, J13).
func (r *JoinRequest) MayCreate() effect.Error {
	switch {
	case r.MemberID != "":
		return effect.UnknownMemberID
	case r.ProtocolType == "" || len(r.Protocols) == 0:
		return effect.InconsistentGroupProtocol
	}
	return effect.None
}

// Join answers with a JoinResponse: at once when it fails or nothing changes, else when the join phase ends.
func (g *Group) Join(now time.Time, req JoinRequest, tok effect.Token, fx *effect.Effects) {
	if memberID, err := g.join(now, req, tok, fx); err != effect.None {
		fx.Answer(tok, joinFailed(memberID, err))
	}
}

// join does a Join and answers it or holds it, or returns an error for it and the member id to go with it.
func (g *Group) join(now time.Time, req JoinRequest, tok effect.Token, fx *effect.Effects) (string, effect.Error) {
	if g.state == Dead {
		return req.MemberID, effect.CoordinatorNotAvailable
	}
	if !g.hasRoom(now, req, fx) {
		return "", effect.GroupMaxSizeReached
	}
	if !g.accepts(req.ProtocolType, req.Protocols) {
		return req.MemberID, effect.InconsistentGroupProtocol
	}
	if err := g.mayWeigh(g.whoJoins(req), req); err != effect.None {
		return req.MemberID, err
	}
	if req.MemberID == "" {
		return g.joinNewcomer(now, req, tok, fx)
	}
	if req.InstanceID == "" && g.takePending(req.MemberID) {
		g.admit(now, strings.Clone(req.MemberID), req, tok, fx)
		return "", effect.None
	}
	m, err := g.validate(req.MemberID, req.InstanceID)
	if err != effect.None {
		return req.MemberID, err
	}
	g.rejoin(now, m, req, tok, fx)
	return "", effect.None
}

// hasRoom is the size limit (J12). While a rebalance gathers members, those that wait count, so that the first ones
// there stay; a member that finds no place any more is removed.
func (g *Group) hasRoom(now time.Time, req JoinRequest, fx *effect.Effects) bool {
	m := g.whoJoins(req)
	switch {
	case g.state == Empty:
		return true
	case g.state != PreparingRebalance:
		return m != nil || len(g.members) < g.env.MembersMax
	case m != nil && m.joining || g.joining < g.env.MembersMax:
		return true
	}
	if m != nil {
		g.remove(m, fx)
		g.maybeCompleteJoin(now, fx)
	}
	return false
}

// whoJoins is the member that a join is of, nil for a newcomer. A static member that came back is none.
func (g *Group) whoJoins(req JoinRequest) *member {
	if req.MemberID == "" && req.InstanceID != "" {
		return g.members[g.instances[req.InstanceID]]
	}
	return g.members[req.MemberID]
}

// joinNewcomer is a join without a member id.
func (g *Group) joinNewcomer(now time.Time, req JoinRequest, tok effect.Token, fx *effect.Effects) (string, effect.Error) {
	if req.InstanceID != "" {
		id := g.newMemberID(req.InstanceID)
		if old, ok := g.instances[req.InstanceID]; ok {
			g.replaceStatic(now, g.members[old], id, req, tok, fx)
		} else {
			g.admit(now, id, req, tok, fx)
		}
		return "", effect.None
	}
	id := g.newMemberID(req.ClientID)
	if !req.RequireKnownMemberID {
		g.admit(now, id, req, tok, fx)
		return "", effect.None
	}
	p := &pendingMember{}
	p.timer.Fire = func(now time.Time, fx *effect.Effects) {
		g.dropPending(now, id, fx)
		g.env.Idle(g)
	}
	g.pending[id] = p
	g.charge(pendingBytes + len(id))
	g.env.Timers.Arm(&p.timer, now.Add(req.SessionTimeout))
	return id, effect.MemberIDRequired
}

// newMemberID is "<prefix>-<uuid>". The prefix is cut where the id would not fit into a string of a record.
func (g *Group) newMemberID(prefix string) string {
	return prefix[:min(len(prefix), memberIDPrefixMax)] + "-" + g.env.NewID()
}

// dropPending takes back a member id that was handed out; the join phase may have waited for it only (J18).
func (g *Group) dropPending(now time.Time, id string, fx *effect.Effects) {
	if g.takePending(id) {
		g.maybeCompleteJoin(now, fx)
	}
}

// admit makes a new member, holds its join and starts or joins a rebalance. id is kept.
func (g *Group) admit(now time.Time, id string, req JoinRequest, tok effect.Token, fx *effect.Effects) {
	m := &member{
		id:         id,
		instanceID: strings.Clone(req.InstanceID),
		isNew:      true,
	}
	m.update(req)
	g.add(m, strings.Clone(req.ProtocolType))
	if g.state == PreparingRebalance && g.initial {
		g.newcomers = true
	}
	g.holdJoin(now, m, tok, fx)
	g.rebalance(now, fx)
}

// update takes over what a member says about itself with each join.
func (m *member) update(req JoinRequest) {
	m.clientID, m.clientHost = strings.Clone(req.ClientID), strings.Clone(req.ClientHost)
	m.sessionTimeout, m.rebalanceTimeout = req.SessionTimeout, req.RebalanceTimeout
	m.protocols = cloneProtocols(req.Protocols)
}

func (g *Group) updateMember(m *member, req JoinRequest) {
	g.countProtocols(m.protocols, -1)
	m.update(req)
	g.countProtocols(m.protocols, 1)
	g.weigh(m)
}

// holdJoin keeps a join until the phase ends. A second join of the same member takes the place of the first.
func (g *Group) holdJoin(now time.Time, m *member, tok effect.Token, fx *effect.Effects) {
	g.answerJoin(m, joinFailed(m.id, effect.RebalanceInProgress), fx)
	m.joining, m.joinToken = true, tok
	g.joining++
	if m.isNew {
		g.env.Timers.Arm(&m.timer, now.Add(newMemberJoinMax))
	} else {
		g.env.Timers.Disarm(&m.timer)
	}
}

// rejoin is a join of a known member (J16).
func (g *Group) rejoin(now time.Time, m *member, req JoinRequest, tok effect.Token, fx *effect.Effects) {
	unchanged := m.matches(req.Protocols) && !m.joining
	if unchanged && (g.state == CompletingRebalance || g.state == Stable && m.id != g.leader) {
		g.touch(now, m)
		fx.Answer(tok, g.joinResponse(m))
		return
	}
	g.updateMember(m, req)
	g.holdJoin(now, m, tok, fx)
	g.rebalance(now, fx)
}

// replaceStatic lets a static member that came back without its id take the place of what it was (J15). The one
// with the old id is fenced.
//
// When the assignment can stay, the new id is recorded before the answer. If that fails the answer says so and the
// member stays: its instance id lets it come back in the same way, and the old id remains fenced.
func (g *Group) replaceStatic(now time.Time, m *member, id string, req JoinRequest, tok effect.Token, fx *effect.Effects) {
	oldID := m.id
	g.answerJoin(m, joinFailed(oldID, effect.FencedInstanceID), fx)
	g.answerSync(m, SyncResponse{Err: effect.FencedInstanceID}, fx)
	delete(g.members, oldID)
	m.id = id
	g.members[id] = m
	g.instances[m.instanceID] = id
	wasLeader := g.leader == oldID
	if wasLeader {
		g.leader = id
	}
	g.updateMember(m, req)
	g.holdJoin(now, m, tok, fx)
	if g.state != Stable || g.selectProtocol() != g.protocol {
		g.rebalance(now, fx)
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
	g.env.Log.Emit(fx, []effect.Record{g.Snapshot()}, effect.Pending{
		Answer: func(now time.Time, err effect.Error, fx *effect.Effects) {
			if !m.joining || m.joinToken != tok || g.state != Stable || g.generation != generation {
				return // a rebalance has taken the join over, or has answered it
			}
			if err != effect.None {
				r = joinFailed("", err)
			}
			g.answerJoin(m, r, fx)
			m.isNew = false
			g.touch(now, m)
		},
	})
}

// joinResponse tells a member about the current generation.
func (g *Group) joinResponse(m *member) JoinResponse {
	r := JoinResponse{
		Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader, MemberID: m.id,
	}
	if m.id == g.leader {
		r.Members = g.joinMembers()
	}
	return r
}

func (g *Group) joinMembers() []JoinMember {
	out := make([]JoinMember, 0, len(g.members))
	for _, m := range g.sorted() {
		out = append(out, JoinMember{MemberID: m.id, InstanceID: m.instanceID, Metadata: m.metadata(g.protocol)})
	}
	return out
}
