package group

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"chronik/broker/group/record"
)

var (
	modelSeed  = flag.Uint64("model.seed", 0, "run the model test with this seed only")
	modelRuns  = flag.Int("model.runs", 20, "runs of the model test, besides one with a random seed")
	modelSteps = flag.Int("model.steps", 2000, "steps of each run of the model test")
)

// TestModel lets random clients do random things to a Shard, in virtual time, over a log whose appends are committed
// late, fail or stay in doubt, with crashes in between. Invariants checked:
//
//   - a token is answered once, and in the end all are
//   - a group has one leader; only one member of a generation is told to assign
//   - a group's generation never falls
//   - in Stable every member has what the leader of that generation gave it
//   - what FetchOffsets says is what the committed records say; an acknowledged commit is among them
//   - offsets of a transaction show when its marker commits it, and not before; asked for stable ones, they are unstable
//   - what a new Shard loads from the committed records is the durable state of the old one
//   - the Shard's own counts and indexes agree with its maps
func TestModel(t *testing.T) {
	seeds := []uint64{*modelSeed}
	if *modelSeed == 0 {
		seeds = nil
		for i := range uint64(*modelRuns) {
			seeds = append(seeds, i+1)
		}
		seeds = append(seeds, uint64(time.Now().UnixNano()))
	}
	for _, seed := range seeds {
		m := newModel(t, seed)
		for m.step = range *modelSteps {
			m.act()
			m.check()
		}
		m.finish()
		did := fmt.Sprintf("%d replies, %d stable generations, %d commits, %d transactions, %d reloads", m.replies, m.stable, m.acked, m.ended, m.reloads)
		t.Logf("seed %d: %s", seed, did)
		if m.replies == 0 || m.stable == 0 || m.acked == 0 || m.ended == 0 || m.reloads == 0 {
			m.fatalf("nothing happened: %s", did)
		}
	}
}

type client struct {
	group, instance, name string
	id                    string // as far as it knows
	generation            int32
	leader                bool
	members               []JoinMember
	next                  string // what a well-behaved client would do: "" join, "sync", "heartbeat", "wait"
}

// call is what a token is about.
type call struct {
	c       *client
	req     CommitOffsetsRequest
	doing   string
	answers int
}

type generationOf struct {
	g          *group
	generation int32
}

type modelTP struct {
	group, topic string
	partition    int32
}

type model struct {
	t       *testing.T
	seed    uint64
	step    int
	rng     *rand.Rand
	now     time.Time
	cfg     Config
	ids     int
	s       *Shard
	clients []*client
	calls   map[Token]*call
	tokens  Token
	trace   []string

	open    []Append // not settled, in order
	doubted map[AppendID]bool
	log     []Append                    // committed
	pending map[int64]map[modelTP]int64 // by replay: offsets of transactions that have not ended

	offsets map[modelTP]int64    // by replay of the committed records
	hidden  map[modelTP]AppendID // deleted with their topic: appends before this one do not show
	clean   map[string]bool      // group -> its last record was committed, not failed

	generations map[*group]int32
	assigners   map[generationOf]string
	settled     map[generationOf]bool // have been Stable
	omitted     map[string]bool

	replies, stable, acked, ended, reloads int // so that a run in which nothing happens fails
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), now: epoch}
	m.cfg = DefaultConfig(func() string { m.ids++; return strconv.Itoa(m.ids) })
	m.cfg.InitialRebalanceDelay = time.Duration(m.rng.IntN(2)) * 3 * time.Second
	m.cfg.MembersMax = 3 + m.rng.IntN(4)
	m.cfg.OffsetsRetention = time.Hour
	m.calls, m.omitted, m.settled = map[Token]*call{}, map[string]bool{}, map[generationOf]bool{}
	for i := range 12 {
		c := &client{group: fmt.Sprintf("g%d", i%3), name: fmt.Sprintf("c%d", i)}
		if i%4 == 3 {
			c.instance = fmt.Sprintf("i%d", i/8)
		}
		m.clients = append(m.clients, c)
	}
	m.load()
	return m
}

func (m *model) fatalf(format string, v ...any) {
	m.t.Helper()
	for _, line := range m.trace[max(0, len(m.trace)-40):] {
		m.t.Log(line)
	}
	m.t.Fatalf("seed %d, step %d: %s\nreplay: go test ./broker/group -run TestModel -model.seed=%d -model.steps=%d",
		m.seed, m.step, fmt.Sprintf(format, v...), m.seed, *modelSteps)
}

func (m *model) tracef(format string, v ...any) {
	m.trace = append(m.trace, fmt.Sprintf("%4d %v ", m.step, m.now.Sub(epoch))+fmt.Sprintf(format, v...))
}

// load makes a new Shard from the committed log, as after a crash.
func (m *model) load() {
	m.s = NewShard(m.cfg)
	m.open, m.doubted = nil, map[AppendID]bool{}
	m.offsets, m.hidden, m.clean = map[modelTP]int64{}, map[modelTP]AppendID{}, map[string]bool{}
	m.generations, m.assigners = map[*group]int32{}, map[generationOf]string{}
	m.pending = map[int64]map[modelTP]int64{}
	for _, a := range m.log {
		m.loadOne(m.s, a)
		a.ID = 0
		m.replay(a)
	}
	fx := &Effects{}
	m.s.Loaded(m.now, fx)
	m.take(fx)
}

// loadOne loads one batch of the log.
func (m *model) loadOne(s *Shard, a Append) {
	if a.Marker != nil {
		s.LoadMarker(a.Marker.ProducerID, a.Marker.Commit)
	}
	for _, r := range a.Records {
		err := s.Load
		if a.Txn != nil {
			err = func(key, value []byte) error { return s.LoadInTxn(*a.Txn, key, value) }
		}
		if err := err(r.Key, r.Value); err != nil {
			m.fatalf("load: %v", err)
		}
	}
}

// replay is the dumb reading of a committed batch.
func (m *model) replay(a Append) {
	if k := a.Marker; k != nil {
		for tp, p := range m.pending[k.ProducerID] {
			if k.Commit {
				m.offsets[tp] = p
			}
		}
		if len(m.pending[k.ProducerID]) > 0 {
			m.ended++
		}
		delete(m.pending, k.ProducerID)
	}
	for _, r := range a.Records {
		m.replayRecord(a, r)
	}
}

func (m *model) replayRecord(a Append, r Record) {
	k, err := record.DecodeKey(r.Key)
	if err != nil {
		m.fatalf("%v", err)
	}
	if k.Kind == record.KindGroup {
		m.clean[k.Group] = true
		return
	}
	tp := modelTP{k.Group, k.Topic, k.Partition}
	if r.Value == nil {
		delete(m.offsets, tp)
		for _, p := range m.pending {
			delete(p, tp)
		}
		return
	}
	o, err := record.DecodeOffset(r.Value)
	if err != nil {
		m.fatalf("%v", err)
	}
	switch {
	case a.ID != 0 && a.ID < m.hidden[tp]:
	case a.Txn != nil:
		if m.pending[a.Txn.ProducerID] == nil {
			m.pending[a.Txn.ProducerID] = map[modelTP]int64{}
		}
		m.pending[a.Txn.ProducerID][tp] = o.Offset
	default:
		m.offsets[tp] = o.Offset
	}
}

func (m *model) token(c *client, doing string) Token {
	m.tokens++
	m.calls[m.tokens] = &call{c: c, doing: doing}
	m.tracef("%d: %s %s %q gen %d %s", m.tokens, c.name, doing, c.id, c.generation, c.instance)
	return m.tokens
}

func (m *model) act() {
	fx := &Effects{}
	c := m.clients[m.rng.IntN(len(m.clients))]
	switch n := m.rng.IntN(100); {
	case n < 50:
		m.behave(c, fx)
	case n < 52:
		m.join(c, fx)
	case n < 54:
		m.sync(c, fx)
	case n < 56:
		m.heartbeat(c)
	case n < 57:
		m.s.Leave(m.now, LeaveRequest{
			Group: c.group, Members: []MemberIdentity{{MemberID: c.id, InstanceID: c.instance}},
		}, m.token(c, "leave"), fx)
	case n < 68:
		m.commit(c, fx)
	case n < 68+2:
		m.end(fx)
	case n < 71:
		m.s.Delete(m.now, c.group, m.token(c, "delete"), fx)
	case n < 72:
		m.deleteOffsets(c, fx)
	case n < 73:
		m.deleteTopic(fx)
	case n < 90:
		m.settle()
	case n < 98:
		m.advance()
	case m.rng.IntN(3) == 0: // in 2,000 steps 13 times
		reached := m.rng.IntN(len(m.open) + 1) // appends that the next leader finds in its log
		m.tracef("crash, %d of %d appends survive", reached, len(m.open))
		for _, a := range m.open[:reached] {
			m.log = append(m.log, a)
		}
		m.s.Resign(m.now, fx)
		m.take(fx)
		m.allAnswered()
		m.load()
		m.reloads++
		return
	}
	m.take(fx)
}

// behave is what a client of good manners would do next.
func (m *model) behave(c *client, fx *Effects) {
	switch c.next {
	case "":
		m.join(c, fx)
	case "sync":
		m.sync(c, fx)
	case "heartbeat":
		m.heartbeat(c)
	}
}

func (m *model) heartbeat(c *client) {
	switch m.s.Heartbeat(m.now, HeartbeatRequest{
		Group: c.group, Generation: c.generation, MemberID: c.id, InstanceID: c.instance,
	}) {
	case None:
	case UnknownMemberID, FencedInstanceID:
		c.id, c.next = "", ""
	default:
		c.next = ""
	}
}

func (m *model) join(c *client, fx *Effects) {
	if m.rng.IntN(30) == 0 {
		c.id = ""
	}
	c.next = "wait"
	protocols := []Protocol{{Name: "range", Metadata: metadataOf("@t")}, {Name: "rr", Metadata: metadataOf("@t+u")}}
	if m.rng.IntN(10) == 0 {
		protocols = protocols[m.rng.IntN(2):][:1]
	}
	m.s.Join(m.now, JoinRequest{
		Group: c.group, MemberID: c.id, InstanceID: c.instance, ClientID: c.name, ClientHost: "/h",
		SessionTimeout:   time.Duration(6+m.rng.IntN(30)) * time.Second,
		RebalanceTimeout: time.Duration(5+m.rng.IntN(60)) * time.Second,
		ProtocolType:     "consumer", Protocols: protocols,
		RequireKnownMemberID: m.rng.IntN(2) == 0, SkipAssignment: m.rng.IntN(2) == 0,
	}, m.token(c, "join"), fx)
}

// given is the assignment that a member of a generation must have. The name outlives the replacement of an id.
func given(generation int32, memberID, instanceID string) string {
	if instanceID != "" {
		memberID = instanceID
	}
	return fmt.Sprintf("%d for %s", generation, memberID)
}

func (m *model) sync(c *client, fx *Effects) {
	c.next = "wait"
	r := SyncRequest{Group: c.group, Generation: c.generation, MemberID: c.id, InstanceID: c.instance}
	if c.leader {
		for _, jm := range c.members {
			b := given(c.generation, jm.MemberID, jm.InstanceID)
			if m.rng.IntN(20) == 0 {
				m.omitted[c.group+" "+b] = true
				continue
			}
			r.Assignments = append(r.Assignments, Assignment{MemberID: jm.MemberID, Bytes: []byte(b)})
		}
	}
	m.s.Sync(m.now, r, m.token(c, "sync"), fx)
}

func (m *model) commit(c *client, fx *Effects) {
	r := CommitOffsetsRequest{Group: c.group, Generation: c.generation, MemberID: c.id, InstanceID: c.instance, Retention: -1}
	if m.rng.IntN(3) == 0 {
		r.Generation, r.MemberID, r.InstanceID = -1, "", ""
	}
	for range 1 + m.rng.IntN(3) {
		r.Topics = append(r.Topics, TopicToCommit{Name: string("tuv"[m.rng.IntN(3)]), Partitions: []OffsetToCommit{
			{Partition: int32(m.rng.IntN(2)), Offset: int64(m.rng.IntN(1000)), LeaderEpoch: -1},
		}})
	}
	doing := "commit"
	if m.rng.IntN(3) == 0 { // in a transaction, the coordinator of which has just said that it is one
		r.Txn = &Txn{ProducerID: m.rng.Int64N(3)}
		r.Permit, doing = m.s.AskPermit(*r.Txn), fmt.Sprint("commit in ", r.Txn.ProducerID)
	}
	tok := m.token(c, doing)
	m.calls[tok].req = r
	m.s.CommitOffsets(m.now, r, tok, fx)
}

// end writes a marker. A commit that was allowed before it is not any more.
func (m *model) end(fx *Effects) {
	k := Marker{Txn: Txn{ProducerID: m.rng.Int64N(3)}, Commit: m.rng.IntN(2) == 0}
	late := m.s.AskPermit(k.Txn)
	tok := m.token(&client{}, fmt.Sprint("end ", k.ProducerID, " ", k.Commit))
	m.s.EndTransaction(m.now, k, tok, fx)
	tok = m.token(&client{}, "late commit")
	emitted := len(fx.Appends)
	m.s.CommitOffsets(m.now, CommitOffsetsRequest{Group: "g0", Generation: -1, Retention: -1, Txn: &k.Txn, Permit: late,
		Topics: []TopicToCommit{{Name: "t", Partitions: []OffsetToCommit{{Offset: 7}}}}}, tok, fx)
	if len(fx.Appends) != emitted {
		m.fatalf("a commit was taken into a transaction that ends")
	}
}

func (m *model) deleteOffsets(c *client, fx *Effects) {
	m.s.DeleteOffsets(m.now, DeleteOffsetsRequest{c.group, []TopicPartitions{
		{Name: string("tuv"[m.rng.IntN(3)]), Partitions: []int32{0, 1}},
	}}, m.token(c, "delete-offsets"), fx)
}

func (m *model) deleteTopic(fx *Effects) {
	topic := string("tuv"[m.rng.IntN(3)])
	m.tracef("topic %s deleted", topic)
	m.s.TopicDeleted(m.now, topic, fx)
	for g := range 3 {
		for p := range int32(2) {
			tp := modelTP{fmt.Sprintf("g%d", g), topic, p}
			m.hidden[tp] = m.s.log.Last() + 1
			delete(m.offsets, tp)
			for _, p := range m.pending {
				delete(p, tp)
			}
		}
	}
}

// settle decides about the oldest outstanding appends.
func (m *model) settle() {
	for n := m.rng.IntN(4); n > 0 && len(m.open) > 0; n-- {
		a := m.open[0]
		var err error
		switch m.rng.IntN(12) {
		case 0:
			err = []error{ErrNotEnoughReplicas, ErrStorage, ErrTooLarge, errors.New("other")}[m.rng.IntN(4)]
		case 1:
			err = ErrTimeout
		}
		if isTimeout(err) && m.doubted[a.ID] {
			err = nil
		}
		m.outcome(a, err)
	}
}

func (m *model) outcome(a Append, err error) {
	m.tracef("append %d: %v", a.ID, err)
	if isTimeout(err) {
		m.doubted[a.ID] = true
	} else {
		m.open = m.open[1:]
	}
	for _, r := range a.Records {
		if k, _ := record.DecodeKey(r.Key); k.Kind == record.KindGroup && err != nil {
			m.clean[k.Group] = false
		}
	}
	if err == nil {
		m.log = append(m.log, a)
		m.replay(a)
	}
	fx := &Effects{}
	m.s.Appended(m.now, a.ID, err, fx)
	m.take(fx)
}

func isTimeout(err error) bool { return errors.Is(err, ErrTimeout) }

func (m *model) advance() {
	end := m.now.Add(time.Duration(m.rng.IntN(3000)) * time.Millisecond)
	if m.rng.IntN(100) == 0 {
		end = m.now.Add(time.Hour)
	}
	m.advanceTo(end)
}

func (m *model) advanceTo(end time.Time) {
	for {
		at, ok := m.s.Deadline()
		if !ok || at.After(end) {
			break
		}
		m.now = at
		fx := &Effects{}
		m.s.Tick(m.now, fx)
		m.take(fx)
	}
	m.now = end
}

// take hears the effects.
func (m *model) take(fx *Effects) {
	for _, r := range fx.Replies {
		m.replies++
		k := m.calls[r.Token]
		if k == nil {
			m.fatalf("token %d was never given", r.Token)
		}
		if k.answers++; k.answers > 1 {
			m.fatalf("token %d (%s) answered twice: %+v", r.Token, k.doing, r.Response)
		}
		m.tracef("%d answered: %s", r.Token, showResponse(r.Response))
		switch resp := r.Response.(type) {
		case JoinResponse:
			m.joined(k.c, resp)
		case SyncResponse:
			if k.c.next = ""; resp.Err == None {
				k.c.next = "heartbeat"
			}
		case CommitOffsetsResponse:
			m.committed(k, resp)
		}
	}
	for _, a := range fx.Appends {
		if n := len(m.open); n > 0 && m.open[n-1].ID >= a.ID {
			m.fatalf("append %d after %d", a.ID, m.open[n-1].ID)
		}
		m.open = append(m.open, a)
		m.tracef("append %d emitted, %d records", a.ID, len(a.Records))
	}
}

func (m *model) joined(c *client, r JoinResponse) {
	if c.next = ""; r.Err == None {
		c.next = "sync"
	}
	switch {
	case r.Err == MemberIDRequired:
		c.id = r.MemberID
	case r.Err == UnknownMemberID || r.Err == FencedInstanceID:
		c.id, c.leader = "", false
	case r.Err == None:
		c.id, c.generation, c.members = r.MemberID, r.Generation, r.Members
		c.leader = len(r.Members) > 0 && !r.SkipAssignment
		if g := m.s.groups[c.group]; c.leader && m.s.phase == active {
			if r.Leader != r.MemberID {
				m.fatalf("%s got the members but %s leads", r.MemberID, r.Leader)
			}
			key := generationOf{g, r.Generation}
			if other, ok := m.assigners[key]; ok && other != r.MemberID {
				m.fatalf("generation %d of %s is assigned by %s and %s", r.Generation, c.group, other, r.MemberID)
			}
			m.assigners[key] = r.MemberID
		}
	}
}

func (m *model) committed(k *call, r CommitOffsetsResponse) {
	if r.Err != None {
		return
	}
	m.acked++
	last := map[modelTP]int64{}
	for _, t := range k.req.Topics {
		last[modelTP{k.req.Group, t.Name, t.Partitions[0].Partition}] = t.Partitions[0].Offset
	}
	for tp, want := range last {
		got, ok := m.offsets[tp]
		if x := k.req.Txn; x != nil {
			p, open := m.pending[x.ProducerID][tp]
			got, ok = p, open
			if !open { // ended meanwhile: an answer in doubt comes later
				continue
			}
		}
		if hidden := m.hidden[tp] > 0 && !ok; !hidden && got != want {
			m.fatalf("%v: %d acknowledged, the log has %d", tp, want, got)
		}
	}
}

func (m *model) check() {
	for id, g := range m.s.groups {
		m.checkGroup(id, g)
	}
	if err := m.s.timers.Valid(); err != nil {
		m.fatalf("%v", err)
	}
	checkBytes(m.t, m.s)
	m.checkOffsets(m.s, "fetch")
	m.checkStable()
	if m.step%50 == 0 {
		m.checkReload()
	}
}

func (m *model) checkGroup(id string, g *group) {
	if g.Generation() < m.generations[g] {
		m.fatalf("%s: generation fell from %d to %d", id, m.generations[g], g.Generation())
	}
	if key := (generationOf{g, g.Generation()}); g.State() == Stable && !m.settled[key] {
		m.settled[key] = true
		m.stable++
	}
	m.generations[g] = g.Generation()
	if err := g.Valid(); err != nil {
		m.fatalf("%v", err)
	}
	if g.State() != Stable {
		return
	}
	for _, mem := range g.Describe().Members {
		if !m.hasGiven(g, mem) {
			m.fatalf("%s: %s has %q in generation %d", id, mem.MemberID, mem.Assignment, g.Generation())
		}
	}
}

func (m *model) hasGiven(g *group, mem DescribedMember) bool {
	want := given(g.Generation(), mem.MemberID, mem.InstanceID)
	return string(mem.Assignment) == want || len(mem.Assignment) == 0 && m.omitted[g.ID()+" "+want]
}

func (m *model) checkOffsets(s *Shard, what string) {
	n := 0
	for g := range 3 {
		id := fmt.Sprintf("g%d", g)
		for _, t := range s.FetchOffsets(FetchOffsetsRequest{Group: id, All: true}).Topics {
			for _, p := range t.Partitions {
				n++
				if want, ok := m.offsets[modelTP{id, t.Name, p.Partition}]; !ok || want != p.Offset {
					m.fatalf("%s: %s %s-%d is %d, the log says %d %v", what, id, t.Name, p.Partition, p.Offset, want, ok)
				}
			}
		}
	}
	if n != len(m.offsets) {
		m.fatalf("%s: %d offsets, the log has %d", what, n, len(m.offsets))
	}
}

// checkStable wants every offset that a transaction may change to be told as unstable, and only those, once nothing is
// on its way to the log.
func (m *model) checkStable() {
	if len(m.open) > 0 {
		return
	}
	unstable := map[modelTP]bool{}
	for _, p := range m.pending {
		for tp := range p {
			unstable[tp] = true
		}
	}
	for g := range 3 {
		id := fmt.Sprintf("g%d", g)
		r := FetchOffsetsRequest{Group: id, Stable: true}
		for _, topic := range []string{"t", "u", "v"} {
			r.Topics = append(r.Topics, TopicPartitions{Name: topic, Partitions: []int32{0, 1}})
		}
		for _, t := range m.s.FetchOffsets(r).Topics {
			for _, p := range t.Partitions {
				tp := modelTP{id, t.Name, p.Partition}
				if want := unstable[tp]; (p.Err == UnstableOffsetCommit) != want || want && p.Offset != -1 {
					m.fatalf("%v: %+v, unstable %v", tp, p, want)
				}
			}
		}
	}
}

// checkReload loads the committed records into a second Shard.
func (m *model) checkReload() {
	s := NewShard(m.cfg)
	for _, a := range m.log {
		m.loadOne(s, a)
	}
	s.cfg.MembersMax, s.env.MembersMax = 1<<30, 1<<30
	s.Loaded(m.now, &Effects{})
	if len(m.open) > 0 {
		return // the live one is ahead
	}
	compacted := NewShard(m.cfg)
	for r := range m.s.Snapshot() {
		if err := compacted.Load(r.Key, r.Value); err != nil {
			m.fatalf("load of the snapshot: %v", err)
		}
	}
	compacted.cfg.MembersMax, compacted.env.MembersMax = 1<<30, 1<<30
	compacted.Loaded(m.now, &Effects{})
	m.checkOffsets(compacted, "snapshot")
	checkBytes(m.t, s)
	checkBytes(m.t, compacted)
	for id, g := range m.s.groups {
		if !g.Recorded() {
			continue
		}
		got := compacted.groups[id]
		switch {
		case got == nil || got.Generation() != g.Generation():
			m.fatalf("%s is in generation %d and its snapshot %+v", id, g.Generation(), got)
		case g.State() != Stable && g.State() != Empty:
			if got.State() != Empty {
				m.fatalf("%s is in %v and its snapshot in %v", id, g.State(), got.State())
			}
		case describeAll(g) != describeAll(got):
			m.fatalf("%s is\n%s\nand its snapshot\n%s", id, describeAll(g), describeAll(got))
		}
	}
	for id, g := range m.s.groups {
		if !m.clean[id] || !g.Recorded() || g.State() != Stable && g.State() != Empty {
			continue
		}
		live, loaded := describeAll(g), "missing"
		if s.groups[id] != nil {
			loaded = describeAll(s.groups[id])
		}
		if live != loaded {
			m.fatalf("%s is\n%s\nbut loads as\n%s", id, live, loaded)
		}
	}
}

func describeAll(g *group) string {
	return fmt.Sprintf("%v %+q\n%q", g.State(), g.Describe(), g.Snapshot())
}

func (m *model) allAnswered() {
	var open []Token
	for tok, k := range m.calls {
		if k.answers == 0 {
			open = append(open, tok)
		}
	}
	if slices.Sort(open); len(open) > 0 {
		m.fatalf("not answered: %d (%s)", open, m.calls[open[0]].doing)
	}
}

// finish lets the log work again and time pass: then nobody may be left waiting.
func (m *model) finish() {
	for range 50 {
		for len(m.open) > 0 {
			m.outcome(m.open[0], nil)
		}
		m.advanceTo(m.now.Add(2 * time.Minute))
		m.check()
	}
	m.allAnswered()
	m.checkReload()
}
