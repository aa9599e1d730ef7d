package transaction

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"chronik/broker/group/effect"
)

var (
	modelSeed  = flag.Uint64("model.seed", 0, "run the model test with this seed only")
	modelRuns  = flag.Int("model.runs", 20, "runs of the model test, besides one with a random seed")
	modelSteps = flag.Int("model.steps", 3000, "steps of each run of the model test")
)

// TestModel lets random producers use a few transactional ids in virtual time, over a log whose appends are committed
// late, fail or stay in doubt, with crashes in between, and writes markers
// late and twice. Invariants checked:
//
//   - a token is answered once, and in the end all are
//   - the pair of producer id and epoch that an id was given never goes back, and is given to one producer
//   - a transaction that was answered as committed (aborted) gets markers of that kind only, for every partition that was
//     added to it; no partition gets both kinds for one transaction
//   - once there are no crashes and no failures, every id comes to rest, and no marker is missing
//   - what a new Shard loads is the durable state of the old one
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
		}
		m.finish()
		did := fmt.Sprintf("%d given, %d committed, %d aborted, %d timed out, %d crashes", m.given, m.committed, m.aborted, m.timedOut, m.crashes)
		t.Logf("seed %d: %s", seed, did)
		if m.given == 0 || m.committed == 0 || m.aborted == 0 || m.timedOut == 0 || m.crashes == 0 {
			m.fatalf("nothing happened: %s", did)
		}
	}
}

// identity is a producer id and epoch.
type identity struct {
	id    int64
	epoch int16
}

// run is one transaction of an identity: what it has been told, and which markers its partitions got.
type run struct {
	added   map[Partition]bool
	outcome string // "", "commit", "abort": as answered
	asked   string
	begun   time.Time
}

type modelProducer struct {
	id   string
	who  identity
	run  *run
	busy bool
}

type model struct {
	*rig
	seed      uint64
	step      int
	rng       *rand.Rand
	producers []*modelProducer
	newest    map[string]identity
	owner     map[identity]*modelProducer
	runs      map[identity]*run // the latest one
	fresh     int64
	calls     map[Token]func(any)
	heard     int
	doubted   map[AppendID]bool
	trace     []string
	markers   []Markers // to be written, perhaps of a coordinator that is gone

	given, committed, aborted, timedOut, crashes int
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		rig: newRig(t), seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), newest: map[string]identity{}, owner: map[identity]*modelProducer{},
		runs: map[identity]*run{}, calls: map[Token]func(any){}, doubted: map[AppendID]bool{},
	}
	m.manual = true
	for i := range 6 {
		m.producers = append(m.producers, &modelProducer{id: string("xyz"[i%3]), who: identity{-1, -1}})
	}
	return m
}

func (m *model) fatalf(format string, v ...any) {
	m.Helper()
	for _, line := range m.trace[max(0, len(m.trace)-40):] {
		m.Log(line)
	}
	m.Fatalf("seed %d, step %d: %s\nreplay: go test ./broker/transaction -run TestModel -model.seed=%d -model.steps=%d",
		m.seed, m.step, fmt.Sprintf(format, v...), m.seed, *modelSteps)
}

func (m *model) tracef(format string, v ...any) {
	m.trace = append(m.trace, fmt.Sprintf("%4d %v ", m.step, m.now.Sub(start))+fmt.Sprintf(format, v...))
}

// call is a token, and what its answer means.
func (m *model) call(p *modelProducer, what string, then func(any)) Token {
	p.busy = true
	tok := m.token()
	m.tracef("%d: %s as %v: %s", tok, p.id, p.who, what)
	m.calls[tok] = func(a any) {
		p.busy = false
		m.tracef("%d answered %+v", tok, a)
		then(a)
	}
	return tok
}

// hear takes the effects.
func (m *model) hear() {
	m.settle()
	for tok, a := range m.answers {
		if then := m.calls[tok]; then != nil {
			delete(m.calls, tok)
			then(a)
		}
	}
	m.markers, m.ended = append(m.markers, m.ended...), nil
	m.markers = slices.DeleteFunc(m.markers, func(k Markers) bool { // those of a transaction that is complete
		d := m.s.Describe(k.ID)
		return !d.State.prepared() || d.ProducerID != k.ProducerID || d.Epoch != k.Epoch
	})
}

func (m *model) act() {
	p := m.producers[m.rng.IntN(len(m.producers))]
	switch n := m.rng.IntN(100); {
	case n < 40:
		m.behave(p)
	case n < 70:
		m.outcomes(1 + m.rng.IntN(3))
	case n < 90:
		m.mark()
	case n < 97:
		m.now = m.now.Add(time.Duration(m.rng.IntN(5000)) * time.Millisecond)
		m.s.Tick(m.now, &m.fx)
	case n < 98:
		m.now = m.now.Add(time.Minute)
		m.s.Tick(m.now, &m.fx)
	case m.rng.IntN(3) == 0:
		m.crash()
	}
	m.hear()
}

func (m *model) behave(p *modelProducer) {
	switch {
	case p.busy:
	case p.who.id < 0:
		m.init(p)
	case p.run == nil || p.run.asked == "" && m.rng.IntN(2) == 0:
		m.add(p)
	case m.rng.IntN(12) == 0:
		m.init(p)
	default:
		m.endRun(p)
	}
}

func (m *model) init(p *modelProducer) {
	r := InitProducerIDRequest{ID: p.id, Timeout: time.Minute, ProducerID: -1, Epoch: -1}
	if p.who.id >= 0 && m.rng.IntN(2) == 0 {
		r.ProducerID, r.Epoch = p.who.id, p.who.epoch
	}
	m.fresh++
	r.Fresh = m.fresh
	expected := r.Epoch >= 0
	m.s.InitProducerID(m.now, r, m.call(p, fmt.Sprintf("init %+v", r), func(a any) {
		out := a.(InitProducerIDResponse)
		if out.Err == effect.ProducerFenced {
			p.who, p.run = identity{-1, -1}, nil
		}
		if out.Err != effect.None {
			return
		}
		m.given++
		who, old := identity{out.ProducerID, out.Epoch}, m.newest[p.id]
		if o := m.owner[who]; o != nil && !(expected && o == p) {
			m.fatalf("%v was given to two producers", who)
		}
		if who.id < old.id || who.id == old.id && who.epoch < old.epoch {
			m.fatalf("%s went back from %v to %v", p.id, old, who)
		}
		m.newest[p.id], m.owner[who], p.who, p.run = who, p, who, nil
	}), &m.fx)
}

func (m *model) add(p *modelProducer) {
	part := Partition{string("ab"[m.rng.IntN(2)]), m.rng.Int32N(2)}
	if p.run == nil {
		p.run = &run{added: map[Partition]bool{}, begun: m.now}
	}
	x := p.run
	who := p.who
	m.s.AddPartitions(m.now, Producer{p.id, p.who.id, p.who.epoch}, []Partition{part}, m.call(p, fmt.Sprint("add ", part), func(a any) {
		switch err := a.(Response).Err; err {
		case effect.None:
			x.added[part], m.runs[who] = true, x
		case effect.CoordinatorNotAvailable, effect.NotCoordinator, effect.UnknownServerError: // in the log, or not
			m.runs[who] = x
		case effect.ProducerFenced, effect.InvalidProducerIDMapping:
			p.who, p.run = identity{-1, -1}, nil
		}
	}), &m.fx)
}

func (m *model) endRun(p *modelProducer) {
	x, commit := p.run, m.rng.IntN(2) == 0
	what := map[bool]string{true: "commit", false: "abort"}[commit]
	if x.asked != "" { // the answer was lost: asked again, the same
		what, commit = x.asked, x.asked == "commit"
	}
	x.asked = what
	m.s.End(m.now, Producer{p.id, p.who.id, p.who.epoch}, commit, m.call(p, what, func(a any) {
		switch err := a.(Response).Err; err {
		case effect.None:
			if len(x.added) > 0 {
				x.outcome = what
				m.count(x)
			}
			p.run = nil
		case effect.ProducerFenced, effect.InvalidProducerIDMapping:
			p.who, p.run = identity{-1, -1}, nil
		case effect.InvalidTxnState: // nothing was added, or it went the other way
			if len(x.added) > 0 && x.outcome == "" {
				m.fatalf("%v: asked to %s, and it went the other way", p.who, what)
			}
			p.run = nil
		}
	}), &m.fx)
}

func (m *model) count(x *run) {
	if x.outcome == "commit" {
		m.committed++
	} else {
		m.aborted++
	}
}

// mark writes markers of a transaction, again perhaps.
func (m *model) mark() {
	if len(m.markers) == 0 {
		return
	}
	k := m.markers[m.rng.IntN(len(m.markers))]
	m.check(k)
	for _, part := range k.Partitions {
		if m.rng.IntN(3) > 0 {
			m.s.MarkerWritten(m.now, k, part, &m.fx)
		}
	}
}

// check compares markers with what producers were told.
func (m *model) check(k Markers) {
	who := identity{k.ProducerID, k.Epoch}
	x := m.runs[who]
	if x == nil { // of whom was fenced
		if k.Commit {
			m.fatalf("markers commit %v, which nobody has asked for: %+v", who, k)
		}
		m.timedOut++
		return
	}
	switch d := m.s.Describe(k.ID); {
	case d.ProducerID != k.ProducerID || d.Epoch != k.Epoch || !d.State.prepared():
		return // of an earlier transaction
	case x.outcome != "" && (x.outcome == "commit") != k.Commit, x.asked == "":
		m.fatalf("%v: answered %q, asked %q, and the markers say commit=%v", who, x.outcome, x.asked, k.Commit)
	}
	in := map[Partition]bool{}
	for _, p := range k.Partitions {
		in[p] = true
	}
	for p := range x.added {
		if !in[p] {
			m.fatalf("%v: %v was added and gets no marker of %+v", who, p, k)
		}
	}
}

// outcomes decides about the oldest appends.
func (m *model) outcomes(n int) {
	for ; n > 0 && len(m.open) > 0; n-- {
		a := m.open[0]
		var err error
		switch m.rng.IntN(12) {
		case 0:
			err = []error{effect.ErrNotEnoughReplicas, effect.ErrStorage, errors.New("other")}[m.rng.IntN(3)]
		case 1:
			if !m.doubted[a.ID] {
				err = effect.ErrTimeout
			}
		}
		m.outcome(a, err)
	}
}

func (m *model) outcome(a effect.Append, err error) {
	m.tracef("append %d: %v", a.ID, err)
	if errors.Is(err, effect.ErrTimeout) {
		m.doubted[a.ID] = true
	} else {
		m.open = m.open[1:]
	}
	if err == nil {
		m.log = append(m.log, a.Records...)
	}
	m.s.Appended(m.now, a.ID, err, &m.fx)
	m.hear()
}

// crash has another coordinator go on, which finds some of the appends in its log.
func (m *model) crash() {
	reached := m.rng.IntN(len(m.open) + 1)
	m.tracef("crash, %d of %d appends survive", reached, len(m.open))
	for _, a := range m.open[:reached] {
		m.log = append(m.log, a.Records...)
	}
	m.restart()
	m.markers = nil
	m.doubted = map[AppendID]bool{}
	m.hear()
	if len(m.calls) > 0 {
		m.fatalf("%d calls were not answered", len(m.calls))
	}
	m.crashes++
	for _, p := range m.producers { // who has lost answers begins anew, as clients may
		if m.rng.IntN(3) == 0 {
			p.who, p.run = identity{-1, -1}, nil
		}
	}
}

// finish lets everything go well: then every id comes to rest, and a load finds the same.
func (m *model) finish() {
	for range 20 {
		for len(m.open) > 0 {
			m.outcome(m.open[0], nil)
		}
		for _, k := range slices.Clone(m.markers) {
			for _, part := range k.Partitions {
				m.s.MarkerWritten(m.now, k, part, &m.fx)
			}
			m.hear()
		}
		m.now = m.now.Add(time.Minute)
		m.s.Tick(m.now, &m.fx)
		m.hear()
	}
	if len(m.calls) > 0 || len(m.open) > 0 {
		m.fatalf("%d calls and %d appends are open", len(m.calls), len(m.open))
	}
	loaded := NewShard(m.config())
	for _, rec := range m.log {
		if err := loaded.Load(rec.Key, rec.Value); err != nil {
			m.fatalf("%v", err)
		}
	}
	loaded.Loaded(m.now, &m.fx)
	snapshot := NewShard(m.config())
	for rec := range m.s.Snapshot() {
		if err := snapshot.Load(rec.Key, rec.Value); err != nil {
			m.fatalf("%v", err)
		}
	}
	snapshot.Loaded(m.now, &m.fx)
	for _, p := range m.producers {
		d := m.s.Describe(p.id)
		if d.State != Empty && d.State != CompleteCommit && d.State != CompleteAbort {
			m.fatalf("%s is in %v at the end", p.id, d.State)
		}
		for what, other := range map[string]*Shard{"log": loaded, "snapshot": snapshot} {
			if got := other.Describe(p.id); !reflect.DeepEqual(got, d) || other.Bytes() != m.s.Bytes() {
				m.fatalf("%s is %+v (%d bytes), and from the %s %+v (%d bytes)", p.id, d, m.s.Bytes(), what, got, other.Bytes())
			}
		}
	}
}
