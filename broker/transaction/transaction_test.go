package transaction

import (
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"time"

	"chronik/broker/group/effect"
)

var start = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// rig is a Shard with a log in memory that commits at once, unless manual.
type rig struct {
	testing.TB
	s       *Shard
	now     time.Time
	fx      Effects
	log     []Record
	manual  bool
	refuse  error
	open    []effect.Append
	answers map[Token]any
	last    Token
	full    bool
	ended   []Markers
}

func newRig(t testing.TB) *rig {
	r := &rig{TB: t, now: start, answers: map[Token]any{}}
	r.s = NewShard(r.config())
	r.s.Loaded(r.now, &r.fx)
	return r
}

func (r *rig) config() Config {
	return Config{
		TimeoutMax: 15 * time.Minute, Expiration: 7 * 24 * time.Hour,
		RecordBytesMax: func() int { return 10_000 }, Full: func() bool { return r.full },
	}
}

// settle carries out effects, as a host does.
func (r *rig) settle() {
	for len(r.fx.Replies)+len(r.fx.Appends) > 0 {
		for _, a := range r.fx.Replies {
			if _, ok := r.answers[a.Token]; ok {
				r.Fatalf("token %d answered twice", a.Token)
			}
			r.answers[a.Token] = a.Response
		}
		r.open = append(r.open, r.fx.Appends...)
		r.fx.Reset()
		if !r.manual {
			r.commit(r.refuse)
		}
	}
	r.ended = append(r.ended, r.s.Ended()...)
}

// commit ends everything that waits for the log.
func (r *rig) commit(err error) {
	open := r.open
	r.open = nil
	for _, a := range open {
		if err == nil {
			r.log = append(r.log, a.Records...)
		}
		r.s.Appended(r.now, a.ID, err, &r.fx)
	}
	if r.manual {
		r.settle()
	}
}

// restart is another leader, with what is in the log.
func (r *rig) restart() {
	r.s.Resign(r.now, &r.fx)
	r.settle()
	r.open, r.ended = nil, nil
	r.s = NewShard(r.config())
	for _, rec := range r.log {
		if err := r.s.Load(rec.Key, rec.Value); err != nil {
			r.Fatal(err)
		}
	}
	r.s.Loaded(r.now, &r.fx)
	r.settle()
}

func (r *rig) token() Token { r.last++; return r.last }

func (r *rig) init(id string, pid int64, epoch int16, fresh int64) InitProducerIDResponse {
	tok := r.token()
	r.s.InitProducerID(r.now, InitProducerIDRequest{ID: id, Timeout: time.Minute, ProducerID: pid, Epoch: epoch, Fresh: fresh}, tok, &r.fx)
	r.settle()
	out, _ := r.answers[tok].(InitProducerIDResponse)
	return out
}

func (r *rig) add(p Producer, parts ...Partition) Error {
	tok := r.token()
	r.s.AddPartitions(r.now, p, parts, tok, &r.fx)
	r.settle()
	out, _ := r.answers[tok].(Response)
	return out.Err
}

func (r *rig) end(p Producer, commit bool) Error {
	tok := r.token()
	r.s.End(r.now, p, commit, tok, &r.fx)
	r.settle()
	out, _ := r.answers[tok].(Response)
	return out.Err
}

// write reports the markers of everything that has ended.
func (r *rig) write() {
	ended := r.ended
	r.ended = nil
	for _, m := range ended {
		for _, p := range m.Partitions {
			r.s.MarkerWritten(r.now, m, p, &r.fx)
			r.settle()
		}
	}
}

func (r *rig) want(what string, got, want any) {
	r.Helper()
	if !reflect.DeepEqual(got, want) {
		r.Fatalf("%s: %+v, want %+v", what, got, want)
	}
}

func (r *rig) state(id string, want State) {
	r.Helper()
	r.want("state of "+id, r.s.Describe(id).State, want)
}

var (
	p0 = Partition{"a", 0}
	p1 = Partition{"a", 1}
	p2 = Partition{"b", 7}
)

func begun(t *testing.T) (*rig, Producer) {
	r := newRig(t)
	r.want("init", r.init("x", -1, -1, 40), InitProducerIDResponse{ProducerID: 40})
	return r, Producer{"x", 40, 0}
}

// TestT4 gives a new id epoch 0, and raises it at each beginning.
func TestT4(t *testing.T) {
	r := newRig(t)
	r.want("without a producer id", r.init("x", -1, -1, -1), InitProducerIDResponse{NeedsFresh: true, ProducerID: -1, Epoch: -1})
	r.want("first", r.init("x", -1, -1, 40), InitProducerIDResponse{ProducerID: 40})
	r.want("second", r.init("x", -1, -1, -1), InitProducerIDResponse{ProducerID: 40, Epoch: 1})
	r.restart()
	r.want("third", r.init("x", -1, -1, -1), InitProducerIDResponse{ProducerID: 40, Epoch: 2})
	r.state("x", Empty)
	for e := int16(3); e <= exhaustedEpoch; e++ {
		r.want("another", r.init("x", -1, -1, -1), InitProducerIDResponse{ProducerID: 40, Epoch: e})
	}
	r.want("used up", r.init("x", -1, -1, -1), InitProducerIDResponse{NeedsFresh: true, ProducerID: -1, Epoch: -1})
	r.want("another id", r.init("x", 40, exhaustedEpoch, 41), InitProducerIDResponse{ProducerID: 41})
	r.want("a retry of that", r.init("x", 40, exhaustedEpoch, -1), InitProducerIDResponse{ProducerID: 41})
	r.want("a producer from before", r.init("x", 40, 5, -1).Err, effect.ProducerFenced)
}

// TestT2T3 refuses what is not a request.
func TestT2T3(t *testing.T) {
	r := newRig(t)
	r.want("empty id", r.init("", -1, -1, 1).Err, effect.InvalidRequest)
	r.want("id without epoch", r.init("x", 1, -1, 1).Err, effect.InvalidRequest)
	for _, d := range []time.Duration{0, -1, 15*time.Minute + 1} {
		tok := r.token()
		r.s.InitProducerID(r.now, InitProducerIDRequest{ID: "x", Timeout: d, ProducerID: -1, Epoch: -1, Fresh: 1}, tok, &r.fx)
		r.settle()
		r.want("timeout", r.answers[tok].(InitProducerIDResponse).Err, effect.InvalidTransactionTimeout)
	}
	r.want("in the log", len(r.log), 0)
}

// TestT5T6 aborts what is ongoing when the id is taken over.
func TestT5T6(t *testing.T) {
	r, p := begun(t)
	r.want("add", r.add(p, p0), effect.None)
	r.want("taken over", r.init("x", -1, -1, -1).Err, effect.ConcurrentTransactions)
	r.want("markers", r.ended, []Markers{{ID: "x", ProducerID: 40, Epoch: 1, Partitions: []Partition{p0}}})
	r.want("meanwhile", r.init("x", -1, -1, -1).Err, effect.ConcurrentTransactions)
	r.want("the old one", r.end(p, true), effect.ProducerFenced)
	r.write()
	r.state("x", CompleteAbort)
	r.want("again", r.init("x", -1, -1, -1), InitProducerIDResponse{ProducerID: 40, Epoch: 2})
}

// TestT7 lets only the newest producer, or a retry of its call, raise the epoch.
func TestT7(t *testing.T) {
	r, _ := begun(t)
	r.want("raise", r.init("x", 40, 0, -1), InitProducerIDResponse{ProducerID: 40, Epoch: 1})
	r.want("retry", r.init("x", 40, 0, -1), InitProducerIDResponse{ProducerID: 40, Epoch: 1})
	r.want("raise again", r.init("x", 40, 1, -1), InitProducerIDResponse{ProducerID: 40, Epoch: 2})
	r.want("too old", r.init("x", 40, 0, -1).Err, effect.ProducerFenced)
	r.want("another's id", r.init("x", 39, 2, -1).Err, effect.ProducerFenced)
	r.want("too new", r.init("x", 40, 3, -1).Err, effect.ProducerFenced)
	r.want("add", r.add(Producer{"x", 40, 2}, p0), effect.None)
	r.want("an old one does not abort", r.init("x", 40, 1, -1).Err, effect.ProducerFenced)
	r.state("x", Ongoing)
}

// TestT11 checks in Kafka's order, and writes only what is new.
func TestT11(t *testing.T) {
	r, p := begun(t)
	r.want("empty id", r.add(Producer{"", 40, 0}, p0), effect.InvalidRequest)
	r.want("unknown", r.add(Producer{"y", 40, 0}, p0), effect.InvalidProducerIDMapping)
	r.want("another's id", r.add(Producer{"x", 41, 0}, p0), effect.InvalidProducerIDMapping)
	r.want("another epoch", r.add(Producer{"x", 40, 1}, p0), effect.ProducerFenced)
	r.want("add", r.add(p, p0, p2), effect.None)
	r.now = r.now.Add(time.Second)
	written := len(r.log)
	r.want("again", r.add(p, p2, p0), effect.None)
	r.want("log", len(r.log), written)
	r.want("more", r.add(p, p1), effect.None)
	d := r.s.Describe("x")
	r.want("all", d.Partitions, []Partition{p0, p1, p2})
	r.want("since", d.StartMs, start.UnixMilli())
	r.manual = true
	r.want("on its way", r.add(p, Partition{"c", 1}), effect.None) // not answered yet
	r.want("busy", r.add(p, p0), effect.ConcurrentTransactions)
	r.want("busy, whoever asks", r.add(Producer{"x", 41, 0}, p0), effect.ConcurrentTransactions)
	r.want("not seen before it is committed", r.s.Verify(p, Partition{"c", 1}), effect.TransactionAbortable)
	r.commit(nil)
	r.want("then it is", r.s.Verify(p, Partition{"c", 1}), effect.None)
	r.manual = false
	r.want("end", r.end(p, true), effect.None)
	r.want("being ended", r.add(p, p0), effect.ConcurrentTransactions)
}

// TestT12 verifies.
func TestT12(t *testing.T) {
	r, p := begun(t)
	r.want("no transaction", r.s.Verify(p, p0), effect.TransactionAbortable)
	r.want("add", r.add(p, p0), effect.None)
	r.want("in it", r.s.Verify(p, p0), effect.None)
	r.want("not in it", r.s.Verify(p, p1), effect.TransactionAbortable)
	r.want("fenced", r.s.Verify(Producer{"x", 40, 1}, p0), effect.ProducerFenced)
	r.want("unknown", r.s.Verify(Producer{"y", 40, 0}, p0), effect.InvalidProducerIDMapping)
	r.want("end", r.end(p, false), effect.None)
	r.want("being ended", r.s.Verify(p, p0), effect.ConcurrentTransactions)
	r.write()
	r.want("ended", r.s.Verify(p, p0), effect.TransactionAbortable)
}

// TestT30T31 ends transactions: who may, when, and how often.
func TestT30T31(t *testing.T) {
	for _, commit := range []bool{true, false} {
		r, p := begun(t)
		r.want("empty", r.end(p, commit), effect.InvalidTxnState)
		r.want("unknown", r.end(Producer{"y", 40, 0}, commit), effect.InvalidProducerIDMapping)
		r.want("another's id", r.end(Producer{"x", 41, 0}, commit), effect.InvalidProducerIDMapping)
		r.want("another epoch", r.end(Producer{"x", 40, 1}, commit), effect.ProducerFenced)
		r.want("add", r.add(p, p0, p1), effect.None)
		r.manual = true
		tok := r.token()
		r.s.End(r.now, p, commit, tok, &r.fx)
		r.settle()
		if r.answers[tok] != nil || len(r.ended) > 0 {
			t.Fatalf("answered %v with markers %v before it is in the log", r.answers[tok], r.ended)
		}
		r.want("busy", r.end(p, commit), effect.ConcurrentTransactions)
		r.commit(nil)
		r.manual = false
		r.want("answer", r.answers[tok], Response{})
		r.want("markers", r.ended, []Markers{{ID: "x", ProducerID: 40, Commit: commit, Partitions: []Partition{p0, p1}}})
		r.want("again", r.end(p, commit), effect.ConcurrentTransactions)
		r.want("otherwise", r.end(p, !commit), effect.InvalidTxnState)
		m := r.ended[0]
		r.s.MarkerWritten(r.now, m, p0, &r.fx)
		r.s.MarkerWritten(r.now, m, p0, &r.fx)
		r.settle()
		r.state("x", map[bool]State{true: PrepareCommit, false: PrepareAbort}[commit])
		r.want("what lacks its marker", r.s.Describe("x").Partitions, []Partition{p1})
		r.write()
		r.state("x", map[bool]State{true: CompleteCommit, false: CompleteAbort}[commit])
		r.want("a retry", r.end(p, commit), effect.None)
		r.want("another end", r.end(p, !commit), effect.InvalidTxnState)
		r.want("the next", r.add(p, p2), effect.None)
		r.want("has its own", r.s.Describe("x").Partitions, []Partition{p2})
		r.s.MarkerWritten(r.now, m, p2, &r.fx) // of the one before: nothing
		r.settle()
		r.state("x", Ongoing)
	}
}

// TestT60 aborts what takes too long, and fences its producer.
func TestT60(t *testing.T) {
	r, p := begun(t)
	r.want("add", r.add(p, p0), effect.None)
	r.now = r.now.Add(30 * time.Second)
	r.want("more", r.add(p, p1), effect.None)
	at, ok := r.s.Deadline()
	r.want("deadline", []any{at.UTC(), ok}, []any{start.Add(time.Minute), true})
	r.now = start.Add(time.Minute)
	r.refuse = effect.ErrNotEnoughReplicas
	r.s.Tick(r.now, &r.fx)
	r.settle()
	r.state("x", Ongoing)
	at, _ = r.s.Deadline()
	r.want("tried again", at, r.now.Add(retryPause))
	r.refuse, r.now = nil, at
	r.s.Tick(r.now, &r.fx)
	r.settle()
	r.want("markers", r.ended, []Markers{{ID: "x", ProducerID: 40, Epoch: 1, Partitions: []Partition{p0, p1}}})
	r.want("too late", r.end(p, true), effect.ProducerFenced)
	r.write()
	r.state("x", CompleteAbort)
}

// TestT61 forgets ids that are not used.
func TestT61(t *testing.T) {
	r, p := begun(t)
	r.want("add", r.add(p, p0), effect.None)
	r.want("end", r.end(p, true), effect.None)
	r.write()
	r.now = r.now.Add(7*24*time.Hour - 1)
	r.s.Tick(r.now, &r.fx)
	r.settle()
	r.state("x", CompleteCommit)
	r.now = r.now.Add(1)
	r.s.Tick(r.now, &r.fx)
	r.settle()
	r.want("gone", r.s.Describe("x").Err, effect.TransactionalIDNotFound)
	r.want("add", r.add(p, p0), effect.InvalidProducerIDMapping)
	r.want("bytes", r.s.Bytes(), int64(0))
	r.restart()
	r.want("gone for good", r.s.Describe("x").Err, effect.TransactionalIDNotFound)
}

// TestT62 has another coordinator go on where the one before ended.
func TestT62(t *testing.T) {
	r, p := begun(t)
	r.want("add", r.add(p, p0, p2), effect.None)
	r.want("end", r.end(p, true), effect.None)
	r.s.MarkerWritten(r.now, r.ended[0], p0, &r.fx)
	r.settle()
	r.restart()
	r.want("markers", r.ended, []Markers{{ID: "x", ProducerID: 40, Commit: true, Partitions: []Partition{p0, p2}}})
	ended := r.ended
	r.refuse = effect.ErrNotEnoughReplicas
	r.write() // the log does not take that it is complete
	r.state("x", PrepareCommit)
	r.refuse, r.now = nil, r.now.Add(retryPause)
	r.s.Tick(r.now, &r.fx)
	r.settle()
	r.state("x", CompleteCommit)
	r.restart()
	r.want("nothing is left", len(r.ended), 0)
	r.s.MarkerWritten(r.now, ended[0], p0, &r.fx)
	r.settle()
	r.state("x", CompleteCommit)
}

// TestPhases answers before the load and after the end.
func TestPhases(t *testing.T) {
	r, p := begun(t)
	r.manual = true
	tok := r.token()
	r.s.AddPartitions(r.now, p, []Partition{p0}, tok, &r.fx)
	r.settle()
	r.s.Resign(r.now, &r.fx)
	r.settle()
	r.want("held", r.answers[tok], Response{effect.NotCoordinator})
	r.want("later", r.end(p, true), effect.NotCoordinator)
	r.want("later init", r.init("x", -1, -1, 1).Err, effect.NotCoordinator)
	_, err := r.s.List()
	r.want("later list", err, effect.NotCoordinator)
	r.commit(nil) // of no account
	r.s = NewShard(r.config())
	r.want("loading", r.add(p, p0), effect.CoordinatorLoadInProgress)
	r.want("loading", r.s.Describe("x").Err, effect.CoordinatorLoadInProgress)
}

// TestBounds refuses what is too much for a record and for the memory.
func TestBounds(t *testing.T) {
	r, p := begun(t)
	n, err := 0, effect.None
	for ; n < 10_000 && err == effect.None; n++ {
		err = r.add(p, Partition{"topic", int32(n)})
	}
	if err != effect.InvalidRequest || n < 2000 || n > 2500 {
		t.Fatalf("%v after %d partitions of a record of 10,000 bytes", err, n)
	}
	r.full = true
	r.want("another id", r.init("y", -1, -1, 1).Err, effect.CoordinatorNotAvailable)
	r.want("an id that is there", r.end(p, false), effect.None)
	r.write()
	r.want("no more partitions", r.add(p, p0), effect.CoordinatorNotAvailable)
	r.want("the id itself", r.init("x", -1, -1, 1).Err, effect.None)
	r.want("bytes", r.s.Bytes(), int64(idBytes+1))
}

// TestRefusedBeginning leaves no trace of an id that is not in the log.
func TestRefusedBeginning(t *testing.T) {
	r := newRig(t)
	r.refuse = effect.ErrNotEnoughReplicas
	r.want("refused", r.init("x", -1, -1, 5).Err, effect.CoordinatorNotAvailable)
	r.want("unknown", r.s.Describe("x").Err, effect.TransactionalIDNotFound)
	r.want("bytes", r.s.Bytes(), int64(0))
	r.refuse, r.manual = nil, true
	r.want("on its way", r.init("x", -1, -1, 6), InitProducerIDResponse{})
	r.want("nobody has it yet", r.add(Producer{"x", 6, 0}, p0), effect.ConcurrentTransactions)
	r.want("nor is it told", r.s.Describe("x").Err, effect.TransactionalIDNotFound)
	list, _ := r.s.List()
	r.want("list", len(list), 0)
	r.commit(nil)
	r.want("told", r.s.Describe("x").ProducerID, int64(6))
}

// TestLoadMalformed skips what does not decode.
func TestLoadMalformed(t *testing.T) {
	s := NewShard(Config{})
	for _, c := range []struct {
		key, value []byte
		ok         bool
	}{
		{[]byte{0, 9, 1}, nil, true}, // of another type
		{[]byte{0}, nil, false},
		{[]byte{0, 0, 0, 9, 'x'}, nil, false},
		{encodeKey("x"), []byte{0}, false},
		{encodeKey("x"), (&entry{state: Dead}).encode(), false},
		{encodeKey("x"), (&entry{state: 77}).encode(), false},
		{encodeKey("x"), nil, true}, // of nothing
	} {
		if err := s.Load(c.key, c.value); (err == nil) != c.ok {
			t.Errorf("%x = %x: %v", c.key, c.value, err)
		}
	}
	if got := s.LoadStats(); got != (LoadStats{Records: 7, Skipped: 1, Malformed: 5}) || len(s.txns) != 0 {
		t.Errorf("%+v, %d ids", got, len(s.txns))
	}
}

func TestStateNames(t *testing.T) {
	for s := Empty; s <= PrepareEpochFence; s++ {
		if got, ok := StateNamed(s.String()); got != s || !ok {
			t.Errorf("%v is %v", s, got)
		}
	}
	if _, ok := StateNamed("Odd"); ok || State(9).String() != fmt.Sprint("State(", 9, ")") {
		t.Error("a state that does not exist has a name")
	}
}

// BenchmarkMemory reports what ids and partitions take, and the part of it that is counted.
func BenchmarkMemory(b *testing.B) {
	const many = 20_000
	for name, add := range map[string]func(r *rig, i int){
		"ids": func(r *rig, i int) { r.init(fmt.Sprint("transactional-id-", i), -1, -1, int64(i)) },
		"topics": func(r *rig, i int) {
			p := Producer{fmt.Sprint("x", i/100), int64(i / 100), 0}
			if i%100 == 0 {
				r.init(p.ID, -1, -1, p.ProducerID)
			}
			r.add(p, Partition{fmt.Sprint("topic", i), 0})
		},
		"partitions": func(r *rig, i int) {
			p := Producer{fmt.Sprint("x", i/1000), int64(i / 1000), 0}
			if i%1000 == 0 {
				r.init(p.ID, -1, -1, p.ProducerID)
			}
			r.add(p, Partition{"topic", int32(i % 1000)})
		},
	} {
		b.Run(name, func(b *testing.B) {
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				r := newRig(b)
				for i := range many {
					add(r, i)
				}
				r.log, r.answers, r.fx = nil, nil, Effects{}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(r.s.Bytes())/many, "counted-B/each")
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/many, "B/each")
				runtime.KeepAlive(r)
			}
		})
	}
}
