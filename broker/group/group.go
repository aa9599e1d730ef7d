package group

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"

	"chronik/broker/group/record"
)

// State of a classic group. Its String is the name DescribeGroups and ListGroups use.
type State uint8

const (
	Empty State = iota
	PreparingRebalance
	CompletingRebalance
	Stable
	Dead
)

func (s State) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}[s]
}

// Protocol is an assignment strategy a member supports, with its metadata for it (for consumers: the subscription).
type Protocol struct {
	Name     string
	Metadata []byte
}

// member is one member of a group. It is in group.members under its id.
type member struct {
	id               string
	instanceID       string // "" for a dynamic member
	clientID         string
	clientHost       string
	rebalanceTimeout time.Duration
	sessionTimeout   time.Duration
	protocols        []Protocol
	assignment       []byte

	isNew    bool  // has never been answered a join: its timer bounds how long the join may be held (J21)
	unsynced bool  // was answered a join of this generation and has not yet sent its sync (J22)
	joining  bool  // joinToken waits for an answer
	syncing  bool  // syncToken waits for an answer
	timer    timer // session; not armed while a call is held, except for a new member

	joinToken, syncToken Token
}

// pendingMember is an id that has been handed out with MEMBER_ID_REQUIRED and has not joined yet (J14).
type pendingMember struct{ timer timer }

// group is one classic group, or a simple one that only holds offsets (protocolType "" and never a member).
//
//	Empty -> PreparingRebalance -> CompletingRebalance -> Stable -> PreparingRebalance ...
//	         PreparingRebalance -> Empty          any -> Dead
type group struct {
	id           string
	state        State
	stateSince   time.Time // of the last change that was recorded
	protocolType string
	protocol     string // the chosen one; "" in Empty
	generation   int32
	leader       string // a member id; "" when there is no member
	recorded     bool   // a group record of it has been emitted or loaded, so that removing it needs a tombstone

	members   map[string]*member
	instances map[string]string // static instance id -> member id
	pending   map[string]*pendingMember
	supported map[string]int // protocol name -> members that support it
	joining   int            // members with a held join
	unsynced  int            // members with unsynced

	// timer ends the join phase in PreparingRebalance, and after it the wait for syncs (J22).
	timer     timer
	initial   bool          // this rebalance began in Empty: wait for members to come, not for all to be there (J17)
	newcomers bool          // one came since the initial delay was last armed
	remaining time.Duration // how long the initial delay may still be extended

	syncAppend AppendID // the append of this generation's assignment while it is outstanding, else 0

	topics      map[string]struct{} // subscribed by the members of this generation
	topicsKnown bool                // all subscriptions could be read

	offsets map[string]*topicOffsets
	sweep   timer // looks for expired offsets, and for the group's own end (J64)
}

func (s *Shard) newGroup(id string, now time.Time) *group {
	g := &group{
		id:         strings.Clone(id),
		stateSince: now,
		members:    map[string]*member{},
		instances:  map[string]string{},
		pending:    map[string]*pendingMember{},
		supported:  map[string]int{},
		offsets:    map[string]*topicOffsets{},
	}
	g.timer.fire = func(now time.Time, fx *Effects) { s.phaseTimeout(now, g, fx) }
	g.sweep.fire = func(now time.Time, fx *Effects) { s.sweepGroup(now, g, fx) }
	s.groups[g.id] = g
	return g
}

// forget drops a group from memory; the log has no trace of it, or a tombstone.
func (s *Shard) forget(g *group) {
	s.timers.disarm(&g.timer)
	s.timers.disarm(&g.sweep)
	for _, p := range g.pending {
		s.timers.disarm(&p.timer)
	}
	for topic := range g.offsets {
		s.unindexTopic(topic, g)
	}
	delete(s.groups, g.id)
}

// forgetIfUnused drops a group that nobody uses and the log does not know.
func (s *Shard) forgetIfUnused(g *group) {
	if g.state == Empty && !g.recorded && len(g.members) == 0 && len(g.pending) == 0 && len(g.offsets) == 0 {
		s.forget(g)
	}
}

// sorted is the members by id: the order wherever order shows.
func (g *group) sorted() []*member {
	return slices.SortedFunc(maps.Values(g.members), func(a, b *member) int { return strings.Compare(a.id, b.id) })
}

// validate is the check of a member's identity (J2): instance, then membership.
func (g *group) validate(memberID, instanceID string) (*member, Error) {
	if instanceID != "" {
		switch id, ok := g.instances[instanceID]; {
		case !ok:
			return nil, UnknownMemberID
		case id != memberID:
			return nil, FencedInstanceID
		}
	}
	if m := g.members[memberID]; m != nil {
		return m, None
	}
	return nil, UnknownMemberID
}

// accepts tells whether a member with these protocols fits the group (J13).
func (g *group) accepts(protocolType string, protocols []Protocol) bool {
	if len(g.members) == 0 {
		return protocolType != "" && len(protocols) > 0
	}
	return protocolType == g.protocolType && slices.ContainsFunc(protocols, func(p Protocol) bool {
		return g.supported[p.Name] == len(g.members)
	})
}

func (s *Shard) add(g *group, m *member, protocolType string) {
	if len(g.members) == 0 {
		g.protocolType = protocolType
	}
	g.members[m.id] = m
	if m.instanceID != "" {
		g.instances[m.instanceID] = m.id
	}
	if g.leader == "" {
		g.leader = m.id
	}
	g.countProtocols(m.protocols, 1)
	m.timer.fire = func(now time.Time, fx *Effects) { s.sessionTimeout(now, g, m, fx) }
}

// remove takes a member out and answers what it waits for (J52). The caller decides about the rebalance.
func (s *Shard) remove(g *group, m *member, fx *Effects) {
	g.answerJoin(m, joinFailed(m.id, UnknownMemberID), fx)
	g.answerSync(m, SyncResponse{Err: UnknownMemberID}, fx)
	g.markSynced(m)
	s.timers.disarm(&m.timer)
	g.countProtocols(m.protocols, -1)
	delete(g.members, m.id)
	if m.instanceID != "" {
		delete(g.instances, m.instanceID)
	}
	if g.leader == m.id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.sorted()[0].id
		}
	}
}

func (g *group) countProtocols(protocols []Protocol, n int) {
	for i, p := range protocols {
		if slices.ContainsFunc(protocols[:i], func(q Protocol) bool { return q.Name == p.Name }) {
			continue // a name given twice is supported once
		}
		if g.supported[p.Name] += n; g.supported[p.Name] == 0 {
			delete(g.supported, p.Name)
		}
	}
}

// selectProtocol is the vote of J19: every member votes for the first of its protocols that all support. Equal
// votes go to the name that sorts first.
func (g *group) selectProtocol() string {
	votes := map[string]int{}
	for _, m := range g.members {
		for _, p := range m.protocols {
			if g.supported[p.Name] == len(g.members) {
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for _, name := range slices.Sorted(maps.Keys(votes)) {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// rebalanceTimeout is the longest of the members' (J18).
func (g *group) rebalanceTimeout() time.Duration {
	var longest time.Duration
	for _, m := range g.members {
		longest = max(longest, m.rebalanceTimeout)
	}
	return longest
}

func (g *group) markSynced(m *member) {
	if m.unsynced {
		m.unsynced = false
		g.unsynced--
	}
}

func (g *group) answerJoin(m *member, r JoinResponse, fx *Effects) {
	if m.joining {
		m.joining = false
		g.joining--
		fx.reply(m.joinToken, r)
	}
}

func (g *group) answerSync(m *member, r SyncResponse, fx *Effects) {
	if m.syncing {
		m.syncing = false
		fx.reply(m.syncToken, r)
	}
}

// touch restarts the session of a member, unless a held call keeps it alive (J41).
func (s *Shard) touch(now time.Time, m *member) {
	if !m.joining && !m.syncing {
		s.timers.arm(&m.timer, now.Add(m.sessionTimeout))
	}
}

// metadata is the member's for a protocol; empty when it does not support it.
func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return []byte{}
}

func (m *member) matches(protocols []Protocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b Protocol) bool {
		return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata)
	})
}

func cloneProtocols(protocols []Protocol) []Protocol {
	out := make([]Protocol, len(protocols))
	for i, p := range protocols {
		out[i] = Protocol{Name: strings.Clone(p.Name), Metadata: append([]byte{}, p.Metadata...)}
	}
	return out
}

// consumerProtocolType is the protocol type of consumers, the only one whose metadata a broker may read.
const consumerProtocolType = "consumer"

// subscribe reads from the members' metadata which topics the generation consumes. It serves offset deletion and
// expiry only: assignment is the leader's business.
func (g *group) subscribe() {
	g.topics, g.topicsKnown = nil, false
	if g.protocolType != consumerProtocolType {
		return
	}
	all := map[string]struct{}{}
	for _, m := range g.members {
		topics, err := record.Subscription(m.metadata(g.protocol))
		if err != nil {
			return
		}
		for _, t := range topics {
			all[t] = struct{}{} // aliases the member's metadata, which does not change and lives as long
		}
	}
	g.topics, g.topicsKnown = all, true
}

// subscribedTo tells whether a live group consumes a topic. When that cannot be known of a consumer group it may.
func (g *group) subscribedTo(topic string) bool {
	if len(g.members) == 0 || g.protocolType != consumerProtocolType {
		return false
	}
	_, ok := g.topics[topic]
	return ok || !g.topicsKnown
}

// record is the group as of now with the given assignments, for the log.
func (g *group) record(at time.Time, assignments map[string][]byte) Record {
	g.recorded = true
	v := record.Group{
		ProtocolType: g.protocolType, Generation: g.generation, StateMs: at.UnixMilli(),
		Protocol: g.protocol, Leader: g.leader,
	}
	for _, m := range g.sorted() {
		v.Members = append(v.Members, record.Member{
			MemberID: m.id, InstanceID: m.instanceID, ClientID: m.clientID, ClientHost: m.clientHost,
			RebalanceTimeoutMs: int32(m.rebalanceTimeout.Milliseconds()),
			SessionTimeoutMs:   int32(m.sessionTimeout.Milliseconds()),
			Subscription:       m.metadata(g.protocol), Assignment: assignments[m.id],
		})
	}
	return Record{Key: record.GroupKey(g.id), Value: v.Encode()}
}
