package classic

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"

	"chronik/broker/group/effect"
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
	weight, least    int // as last weighed

	isNew    bool         // has never been answered a join: its timer bounds how long the join may be held (J21)
	unsynced bool         // was answered a join of this generation and has not yet sent its sync (J22)
	joining  bool         // joinToken waits for an answer
	syncing  bool         // syncToken waits for an answer
	timer    effect.Timer // session; not armed while a call is held, except for a new member

	joinToken, syncToken effect.Token
}

// pendingMember is an id that has been handed out with MEMBER_ID_REQUIRED and has not joined yet (J14).
type pendingMember struct{ timer effect.Timer }

// Env is what the groups of one Shard share: limits, and where their effects go.
type Env struct {
	InitialRebalanceDelay time.Duration
	MembersMax            int
	RecordBytesMax        func() int    // the largest batch that the log takes
	NewID                 func() string // a fresh UUID for a member id

	Charge func(bytes int) // is told what groups take in memory more, or less
	Full   func() bool     // whether that is too much: members are kept, and no more taken

	Timers *effect.Timers
	Log    *effect.Log
	// Emptied is told that a group's last member has gone.
	Emptied func(now time.Time, g *Group)
	// Idle is told that a member id which had been handed out in an Empty group is not going to be used.
	Idle func(g *Group)
}

// Group is one classic group, or a simple one that only holds offsets (protocol type "" and never a member).
//
//	Empty -> PreparingRebalance -> CompletingRebalance -> Stable -> PreparingRebalance ...
//	         PreparingRebalance -> Empty          Empty <-> Dead
//
// Its invariants are those that Valid checks.
type Group struct {
	env          *Env
	id           string
	state        State
	stateSince   time.Time // of the last change that was recorded
	protocolType string
	protocol     string // the chosen one; "" in Empty
	generation   int32
	leader       string // a member id; "" when there is no member
	recorded     bool   // a record of it has been emitted or loaded, so that removing it needs a tombstone

	members   map[string]*member
	instances map[string]string // static instance id -> member id
	pending   map[string]*pendingMember
	supported map[string]int // protocol name -> members that support it
	joining   int            // members with a held join
	unsynced  int            // members with unsynced
	weight    int            // of members and pending ids
	least     int            // of members, in a record

	// timer ends the join phase in PreparingRebalance, and after it the wait for syncs (J22).
	timer     effect.Timer
	initial   bool          // this rebalance began in Empty: wait for members to come, not for all to be there (J17)
	newcomers bool          // one came since the initial delay was last armed
	remaining time.Duration // how long the initial delay may still be extended

	syncAppend effect.AppendID // the append of this generation's assignment while it is outstanding, else 0

	topics      map[string]struct{} // subscribed by the members of this generation
	topicsKnown bool                // all subscriptions could be read
}

// New is a group without members.
func New(env *Env, id string, now time.Time) *Group {
	g := &Group{
		env:        env,
		id:         strings.Clone(id),
		stateSince: now,
		members:    map[string]*member{},
		instances:  map[string]string{},
		pending:    map[string]*pendingMember{},
		supported:  map[string]int{},
	}
	g.timer.Fire = g.phaseTimeout
	return g
}

// ID is the group's id.
func (g *Group) ID() string { return g.id }

// State is the group's state.
func (g *Group) State() State { return g.state }

// StateSince is when the state was last recorded.
func (g *Group) StateSince() time.Time { return g.stateSince }

// Generation is the number of the last generation.
func (g *Group) Generation() int32 { return g.generation }

// ProtocolType is "consumer" for consumers, and "" for a group that never had members.
func (g *Group) ProtocolType() string { return g.protocolType }

// Members is how many there are.
func (g *Group) Members() int { return len(g.members) }

// Recorded tells whether removing the group takes a tombstone.
func (g *Group) Recorded() bool { return g.recorded }

// Unused tells whether the group is Empty, and nobody has been given an id to join it with.
func (g *Group) Unused() bool { return g.state == Empty && len(g.pending) == 0 }

// Bury makes an Empty group Dead while it is being removed; every call is refused from now on.
func (g *Group) Bury() {
	if g.state != Empty {
		panic("BUG: group: burying a group in " + g.state.String())
	}
	g.Forget()
	g.state = Dead
}

// Revive makes a Dead group Empty again: it could not be removed.
func (g *Group) Revive() { g.state = Empty }

// Forget disarms the timers of a group without members that is not used any more, and takes back its pending ids.
func (g *Group) Forget() {
	g.env.Timers.Disarm(&g.timer)
	for id := range g.pending {
		g.takePending(id)
	}
}

// Resign answers everything that is held with err.
func (g *Group) Resign(err effect.Error, fx *effect.Effects) {
	for _, m := range g.sorted() {
		g.answerJoin(m, joinFailed(m.id, err), fx)
		g.answerSync(m, SyncResponse{Err: err}, fx)
	}
	g.syncAppend = 0
}

// sorted is the members by id: the order wherever order shows.
func (g *Group) sorted() []*member {
	return slices.SortedFunc(maps.Values(g.members), func(a, b *member) int { return strings.Compare(a.id, b.id) })
}

// validate is the check of a member's identity (J2): instance, then membership.
func (g *Group) validate(memberID, instanceID string) (*member, effect.Error) {
	if instanceID != "" {
		switch id, ok := g.instances[instanceID]; {
		case !ok:
			return nil, effect.UnknownMemberID
		case id != memberID:
			return nil, effect.FencedInstanceID
		}
	}
	if m := g.members[memberID]; m != nil {
		return m, effect.None
	}
	return nil, effect.UnknownMemberID
}

// accepts tells whether a member with these protocols fits the group (J13).
func (g *Group) accepts(protocolType string, protocols []Protocol) bool {
	if len(g.members) == 0 {
		return protocolType != "" && len(protocols) > 0
	}
	return protocolType == g.protocolType && slices.ContainsFunc(protocols, func(p Protocol) bool {
		return g.supported[p.Name] == len(g.members)
	})
}

func (g *Group) add(m *member, protocolType string) {
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
	g.weigh(m)
	m.timer.Fire = func(now time.Time, fx *effect.Effects) { g.sessionTimeout(now, m, fx) }
}

// remove takes a member out and answers what it waits for (J52). The caller decides about the rebalance.
func (g *Group) remove(m *member, fx *effect.Effects) {
	g.answerJoin(m, joinFailed(m.id, effect.UnknownMemberID), fx)
	g.answerSync(m, SyncResponse{Err: effect.UnknownMemberID}, fx)
	g.markSynced(m)
	g.env.Timers.Disarm(&m.timer)
	g.countProtocols(m.protocols, -1)
	g.charge(-m.weight)
	g.least -= m.least
	delete(g.members, m.id)
	if m.instanceID != "" {
		delete(g.instances, m.instanceID)
	}
	if g.leader == m.id {
		g.leader = ""
		for id := range g.members {
			if g.leader == "" || id < g.leader {
				g.leader = id
			}
		}
	}
}

func (g *Group) countProtocols(protocols []Protocol, n int) {
	for _, p := range protocols {
		if g.supported[p.Name] += n; g.supported[p.Name] == 0 {
			delete(g.supported, p.Name)
		}
	}
}

// selectProtocol is the vote of J19: every member votes for the first of its protocols that all support. Equal
// votes go to the name that sorts first.
func (g *Group) selectProtocol() string {
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
func (g *Group) rebalanceTimeout() time.Duration {
	var longest time.Duration
	for _, m := range g.members {
		longest = max(longest, m.rebalanceTimeout)
	}
	return longest
}

func (g *Group) markSynced(m *member) {
	if m.unsynced {
		m.unsynced = false
		g.unsynced--
	}
}

func (g *Group) answerJoin(m *member, r JoinResponse, fx *effect.Effects) {
	if m.joining {
		m.joining = false
		g.joining--
		fx.Answer(m.joinToken, r)
	}
}

func (g *Group) answerSync(m *member, r SyncResponse, fx *effect.Effects) {
	if m.syncing {
		m.syncing = false
		fx.Answer(m.syncToken, r)
	}
}

// touch restarts the session of a member, unless a held call keeps it alive (J41).
func (g *Group) touch(now time.Time, m *member) {
	if !m.joining && !m.syncing {
		g.env.Timers.Arm(&m.timer, now.Add(m.sessionTimeout))
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

// cloneProtocols copies what a member brought. A name given twice counts once, as it first stands.
func cloneProtocols(protocols []Protocol) []Protocol {
	out := make([]Protocol, 0, len(protocols))
	seen := make(map[string]bool, len(protocols))
	for _, p := range protocols {
		if !seen[p.Name] {
			seen[p.Name] = true
			out = append(out, Protocol{Name: strings.Clone(p.Name), Metadata: append([]byte{}, p.Metadata...)})
		}
	}
	return out
}

// ConsumerProtocolType is the protocol type of consumers, the only one whose metadata a broker may read.
const ConsumerProtocolType = "consumer"

// subscribe reads from the members' metadata which topics the generation consumes. It serves offset deletion and
// expiry only: assignment is the leader's business.
func (g *Group) subscribe() {
	g.topics, g.topicsKnown = nil, false
	if g.protocolType != ConsumerProtocolType {
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

// SubscribedTo tells whether a live group consumes a topic. When that cannot be known of a consumer group it may.
func (g *Group) SubscribedTo(topic string) bool {
	if len(g.members) == 0 || g.protocolType != ConsumerProtocolType {
		return false
	}
	_, ok := g.topics[topic]
	return ok || !g.topicsKnown
}

// Snapshot is a record that restores the group as it is in Empty and Stable. In the middle of a rebalance it says
// that the group is Empty in this generation: its members have to join anew anyway.
func (g *Group) Snapshot() effect.Record {
	if g.state == PreparingRebalance || g.state == CompletingRebalance {
		v := record.Group{ProtocolType: g.protocolType, Generation: g.generation, StateMs: g.stateSince.UnixMilli()}
		return effect.Record{Key: record.GroupKey(g.id), Value: v.Encode()}
	}
	return g.record(g.stateSince, g.assignments())
}

// record is the group as of now with the given assignments, for the log.
func (g *Group) record(at time.Time, assignments map[string][]byte) effect.Record {
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
	return effect.Record{Key: record.GroupKey(g.id), Value: v.Encode()}
}
