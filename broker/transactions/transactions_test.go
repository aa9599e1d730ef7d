package transactions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"chronik/broker/group/effect"
	"chronik/broker/partition"
	"chronik/broker/transaction"
	"chronik/internal/clock"
	"chronik/kafka/batch"
	"chronik/segment"
)

var errFenced = errors.New("fenced")

// fakeLog is a partition of __transaction_state in memory, that commits at once.
type fakeLog struct {
	mu      sync.Mutex
	batches [][]byte
	end     int64
	epoch   int32
}

func (l *fakeLog) Append(b []byte, _ partition.Acks, requireEpoch int32, a partition.Acker, token int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if requireEpoch != l.epoch {
		return partition.ErrFencedEpoch
	}
	v := batch.View(append([]byte{}, b...))
	v.SetBaseOffset(l.end)
	l.batches, l.end = append(l.batches, v), v.NextOffset()
	a.Acked(token, partition.Result{BaseOffset: v.BaseOffset()})
	return nil
}

func (l *fakeLog) AppendMarker(partition.Marker, int32, partition.Acker, int) error {
	return errors.New("no markers here")
}

func (l *fakeLog) LastStable() int64 { return l.State().HighWatermark }

func (l *fakeLog) State() partition.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return partition.State{Leading: true, Epoch: l.epoch, HighWatermark: l.end, End: l.end}
}

func (l *fakeLog) DeleteRecords(context.Context, int64) (int64, error) { return 0, nil }

func (l *fakeLog) Read(q partition.Read, frames []segment.Entry) (partition.ReadResult, []segment.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := partition.ReadResult{HighWatermark: l.end}
	for _, b := range l.batches {
		if batch.View(b).BaseOffset() >= q.Offset {
			r.Records = append(r.Records, b)
		}
	}
	return r, frames, nil
}

// world is nodes with coordinators, and partitions that they lead, in memory.
type world struct {
	*testing.T
	clock *clock.Manual
	log   *fakeLog

	mu      sync.Mutex
	nodes   map[int32]*Coordinator
	coord   int32                              // who coordinates
	leaders map[transaction.Partition]int32    // -1: nobody
	written map[transaction.Partition][]Marker // that were committed
	refuse  func(node int32, m Marker) error   // what a partition says
	cut     map[int32]bool                     // nodes that cannot be called
	stale   bool                               // nodes cannot hear what is current
	calls   int
}

func newWorld(t *testing.T, nodes int) *world {
	w := &world{
		T: t, clock: clock.NewManual(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)), log: &fakeLog{}, nodes: map[int32]*Coordinator{}, coord: 1,
		leaders: map[transaction.Partition]int32{}, written: map[transaction.Partition][]Marker{}, cut: map[int32]bool{},
	}
	for id := range int32(nodes) {
		w.add(id + 1)
	}
	return w
}

type peers struct {
	w    *world
	from int32
}

// Call implements Peers.
func (p peers) Call(ctx context.Context, node uint64, method uint8, body []byte) ([]byte, error) {
	p.w.mu.Lock()
	to, cut := p.w.nodes[int32(node)], p.w.cut[int32(node)] || p.w.cut[p.from]
	p.w.calls++
	p.w.mu.Unlock()
	if cut || to == nil {
		return nil, errors.New("unreachable")
	}
	return to.Serve(ctx, method, body)
}

func (w *world) add(id int32) {
	ids := int64(id) * 1000
	w.nodes[id] = New(Options{
		NodeID: id, Clock: w.clock, Logger: slog.New(slog.DiscardHandler), Peers: peers{w, id},
		Limits:        func() (time.Duration, time.Duration) { return 15 * time.Minute, 7 * 24 * time.Hour },
		Partitions:    func() int { return 1 },
		BatchBytesMax: func() int { return 1 << 20 },
		FreshID:       func(context.Context) (int64, error) { ids++; return ids, nil },
		Coordinates:   func(string) int32 { w.mu.Lock(); defer w.mu.Unlock(); return w.coord },
		Leads: func(p transaction.Partition) (int32, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			node, ok := w.leaders[p]
			return node, ok
		},
		Current: func(context.Context) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.stale {
				return errors.New("nobody leads the metadata")
			}
			return nil
		},
		Write:  func(_ context.Context, ms []Marker) []error { return w.write(id, ms) },
		Fenced: func(err error) bool { return errors.Is(err, errFenced) },
	})
	w.Cleanup(w.nodes[id].Close)
}

func (w *world) write(node int32, ms []Marker) []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]error, len(ms))
	for i, m := range ms {
		switch {
		case w.leaders[m.Partition] != node:
			out[i] = errors.New("not the leader")
		case w.refuse != nil && w.refuse(node, m) != nil:
			out[i] = w.refuse(node, m)
		default:
			w.written[m.Partition] = append(w.written[m.Partition], m)
		}
	}
	return out
}

// set changes the world.
func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// lead has a node coordinate, in the next epoch, and waits until it has loaded.
func (w *world) lead(node int32) {
	w.log.mu.Lock()
	w.log.epoch++
	epoch := w.log.epoch
	w.log.mu.Unlock()
	w.set(func() { w.coord = node })
	for id, c := range w.nodes {
		c.RoleChanged(0, w.log, id == node, epoch)
	}
	w.eventually("loaded", func() bool {
		_, err := w.nodes[node].ListTransactions()
		return err == effect.None
	})
}

// eventually polls, and lets virtual time pass: what it waits for is done by other goroutines.
func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for !ok() {
		select {
		case <-poll.C:
			w.clock.Advance(20 * time.Millisecond)
		case <-limit.C:
			w.Fatalf("not in time: %s", what)
		}
	}
}

func (w *world) state(id string) transaction.State {
	return w.nodes[w.coord].DescribeTransaction(id).State
}

// begin makes a transaction with the partitions.
func (w *world) begin(id string, parts ...transaction.Partition) transaction.Producer {
	w.Helper()
	c := w.nodes[w.coord]
	pid, epoch, err := c.InitProducerID(w.Context(), transaction.InitProducerIDRequest{ID: id, Timeout: time.Minute, ProducerID: -1, Epoch: -1}, true)
	if err != nil {
		w.Fatal(err)
	}
	p := transaction.Producer{ID: id, ProducerID: pid, Epoch: epoch}
	if err := c.AddPartitions(w.Context(), p, parts); err != effect.None {
		w.Fatal(err)
	}
	return p
}

var (
	a0 = transaction.Partition{Topic: "a", Index: 0}
	a1 = transaction.Partition{Topic: "a", Index: 1}
	b0 = transaction.Partition{Topic: "b", Index: 0}
)

// TestMarkersGoToTheLeaders: here and elsewhere, with the epoch of the coordinator; the transaction is complete then.
func TestMarkersGoToTheLeaders(t *testing.T) {
	w := newWorld(t, 3)
	w.lead(1)
	w.set(func() { w.leaders[a0], w.leaders[a1], w.leaders[b0] = 1, 2, 3 })
	for _, commit := range []bool{true, false} {
		p := w.begin(fmt.Sprint(commit), a0, a1, b0)
		if err := w.nodes[1].EndTxn(t.Context(), p, commit); err != effect.None {
			t.Fatal(err)
		}
		want := map[bool]transaction.State{true: transaction.CompleteCommit, false: transaction.CompleteAbort}[commit]
		w.eventually("counted", func() bool { return w.nodes[1].TransactionStates()[want] == 1 })
		w.eventually("complete", func() bool { return w.state(p.ID) == want })
		for _, part := range []transaction.Partition{a0, a1, b0} {
			m := Marker{ProducerID: p.ProducerID, Epoch: p.Epoch, CoordinatorEpoch: 1, Commit: commit, Partition: part}
			if got := w.written[part]; !reflect.DeepEqual(got, []Marker{m}) {
				t.Errorf("%v got %+v, want %+v", part, got, m)
			}
			w.written[part] = nil
		}
	}
}

// TestMarkersAreTriedAgain: no leader, a node that is not reached, one that refuses, one that is not the leader any more:
// until it is written.
func TestMarkersAreTriedAgain(t *testing.T) {
	for what, fail := range map[string]func(w *world, broken bool){
		"no leader": func(w *world, broken bool) { w.leaders[a0] = map[bool]int32{true: -1, false: 2}[broken] },
		"cut off":   func(w *world, broken bool) { w.leaders[a0], w.cut[2] = 2, broken },
		"refuses": func(w *world, broken bool) {
			w.leaders[a0], w.refuse = 2, nil
			if broken {
				w.refuse = func(_ int32, m Marker) error {
					if m.Partition == a0 {
						return errors.New("not enough replicas")
					}
					return nil
				}
			}
		},
		"moves": func(w *world, broken bool) {
			w.leaders[a0] = map[bool]int32{true: 3, false: 2}[broken]
			w.cut[3] = broken
		},
		"a new node": func(w *world, broken bool) { w.leaders[a0] = map[bool]int32{true: 9, false: 2}[broken] },
		"unknown, and nobody knows better": func(w *world, broken bool) {
			if w.stale = broken; broken {
				delete(w.leaders, a0)
			} else {
				w.leaders[a0] = 2
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, 3)
			w.lead(1)
			w.set(func() { w.leaders[b0] = 1; fail(w, true) })
			p := w.begin("x", a0, b0)
			if err := w.nodes[1].EndTxn(t.Context(), p, true); err != effect.None {
				t.Fatal(err)
			}
			w.eventually("the other marker", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.written[b0]) > 0 })
			for range 100 {
				w.clock.Advance(100 * time.Millisecond)
			}
			if got := w.state("x"); got != transaction.PrepareCommit {
				t.Fatalf("%v without the marker", got)
			}
			if err := w.nodes[1].AddPartitions(t.Context(), p, []transaction.Partition{a0}); err != effect.ConcurrentTransactions {
				t.Errorf("the next transaction: %v", err)
			}
			w.set(func() { fail(w, false) })
			w.eventually("complete", func() bool { return w.state("x") == transaction.CompleteCommit })
			if got := w.written[a0]; len(got) == 0 || !got[0].Commit {
				t.Errorf("%v got %+v", a0, got)
			}
		})
	}
}

// TestDeletedTopic: a partition that is gone for who has heard of everything needs no marker.
func TestDeletedTopic(t *testing.T) {
	w := newWorld(t, 1)
	w.lead(1)
	w.set(func() { w.leaders[a0] = 1 })
	p := w.begin("x", a0, b0)
	if err := w.nodes[1].EndTxn(t.Context(), p, true); err != effect.None {
		t.Fatal(err)
	}
	w.eventually("complete", func() bool { return w.state("x") == transaction.CompleteCommit })
}

// TestT62AnotherNodeGoesOn: what a coordinator has decided is written by the one after it, and the first one stops.
func TestT62AnotherNodeGoesOn(t *testing.T) {
	w := newWorld(t, 3)
	w.lead(1)
	w.set(func() {
		w.leaders[a0], w.leaders[a1] = 3, 3
		w.refuse = func(_ int32, m Marker) error {
			if m.CoordinatorEpoch == 1 {
				return errors.New("not now")
			}
			return nil
		}
	})
	p := w.begin("x", a0, a1)
	if err := w.nodes[1].EndTxn(t.Context(), p, true); err != effect.None {
		t.Fatal(err)
	}
	w.lead(2)
	w.eventually("complete", func() bool { return w.state("x") == transaction.CompleteCommit })
	for _, part := range []transaction.Partition{a0, a1} {
		if got := w.written[part]; len(got) != 1 || got[0].CoordinatorEpoch != 2 {
			t.Errorf("%v got %+v", part, got)
		}
	}
	if err := w.nodes[1].EndTxn(t.Context(), p, true); err != effect.NotCoordinator {
		t.Errorf("the first one: %v", err)
	}
	w.set(func() { w.refuse = nil })
	for range 100 {
		w.clock.Advance(100 * time.Millisecond)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.written[a0]; len(got) != 1 {
		t.Errorf("the first one still writes: %+v", got)
	}
}

// TestFenced: a marker that is refused for good is not given up: nobody else would write it if the partition were wrong.
func TestFenced(t *testing.T) {
	w := newWorld(t, 2)
	w.lead(1)
	tries := 0
	w.set(func() {
		w.leaders[a0] = 2
		w.refuse = func(int32, Marker) error {
			if tries++; tries < 6 { // it is asked for twice each time
				return errFenced
			}
			return nil
		}
	})
	p := w.begin("x", a0)
	if err := w.nodes[1].EndTxn(t.Context(), p, true); err != effect.None {
		t.Fatal(err)
	}
	w.eventually("complete", func() bool { return w.state("x") == transaction.CompleteCommit })
}

// TestVerify: asked here, and asked of another node.
func TestVerify(t *testing.T) {
	w := newWorld(t, 2)
	w.lead(1)
	w.set(func() { w.leaders[a0] = 1 })
	p := w.begin("x", a0)
	stranger := p
	stranger.Epoch++
	for id, c := range w.nodes {
		for _, q := range []struct {
			p    transaction.Producer
			part transaction.Partition
			want error
		}{
			{p, a0, nil}, {p, a1, effect.TransactionAbortable}, {stranger, a0, effect.ProducerFenced},
			{transaction.Producer{ID: "y"}, a0, effect.InvalidProducerIDMapping},
		} {
			if got := c.Verify(t.Context(), q.p, q.part); got != q.want {
				t.Errorf("node %d: %+v %+v: %v, want %v", id, q.p, q.part, got, q.want)
			}
		}
		for err, want := range map[transaction.Producer]error{p: nil, stranger: effect.InvalidProducerEpoch} {
			if got := c.VerifyOffsets(t.Context(), err, a0); got != want {
				t.Errorf("node %d: offsets of %+v: %v, want %v", id, err, got, want)
			}
		}
	}
	w.set(func() { w.cut[1] = true })
	if err := w.nodes[2].Verify(t.Context(), p, a0); err == nil || errors.As(err, new(effect.Error)) {
		t.Errorf("cut off: %v", err)
	}
	if err := w.nodes[2].VerifyOffsets(t.Context(), p, a0); err != effect.CoordinatorLoadInProgress {
		t.Errorf("offsets, cut off: %v", err)
	}
	w.set(func() { w.coord = -1 })
	if err := w.nodes[2].Verify(t.Context(), p, a0); err != effect.CoordinatorNotAvailable {
		t.Errorf("nobody coordinates: %v", err)
	}
}

// TestInitProducerID: T1 and T3, with and without a transactional id.
func TestInitProducerID(t *testing.T) {
	w := newWorld(t, 1)
	w.lead(1)
	init := func(id string, transactional bool, pid int64, epoch int16) (int64, int16, error) {
		return w.nodes[1].InitProducerID(t.Context(), transaction.InitProducerIDRequest{ID: id, Timeout: time.Minute, ProducerID: pid, Epoch: epoch}, transactional)
	}
	for i, want := range []struct {
		id            string
		transactional bool
		pid           int64
		epoch         int16
	}{{"", false, 1001, 0}, {"x", true, 1002, 0}, {"x", true, 1002, 1}, {"", false, 1003, 0}, {"y", true, 1004, 0}} {
		if pid, epoch, err := init(want.id, want.transactional, -1, -1); pid != want.pid || epoch != want.epoch || err != nil {
			t.Errorf("%d: %d %d %v, want %+v", i, pid, epoch, err, want)
		}
	}
	if _, _, err := init("", false, 5, -1); err != effect.InvalidRequest {
		t.Errorf("T3: %v", err)
	}
	if pid, epoch, err := init("", true, -1, -1); err != effect.InvalidRequest || pid != -1 || epoch != -1 {
		t.Errorf("T2: %d %d %v", pid, epoch, err)
	}
}

// TestCallsCarryWhatWasSaid, and bytes that say nothing are refused without harm.
func TestCallsCarryWhatWasSaid(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var ms []Marker
	for range 100 {
		ms = append(ms, Marker{ProducerID: rng.Int64(), Epoch: int16(rng.IntN(1 << 15)), CoordinatorEpoch: rng.Int32(), Commit: rng.IntN(2) == 0,
			Partition: transaction.Partition{Topic: string(make([]byte, rng.IntN(249))), Index: rng.Int32()}})
	}
	body := encodeMarkers(ms)
	if got, err := decodeMarkers(body); err != nil || !reflect.DeepEqual(got, ms) {
		t.Errorf("%v, %d of %d markers", err, len(got), len(ms))
	}
	p := transaction.Producer{ID: "some id", ProducerID: 1 << 40, Epoch: 77}
	ask := encodeVerify(p, a1)
	if gp, part, err := decodeVerify(ask); err != nil || gp != p || part != a1 {
		t.Errorf("%+v %+v %v", gp, part, err)
	}
	for e := effect.None; e < effect.ErrorCount; e++ {
		if got := decodeVerified(encodeVerified(e)); got != asError(e) {
			t.Errorf("%v came as %v", e, got)
		}
	}
	for n := range len(body) {
		if ms, err := decodeMarkers(body[:n]); err == nil && !bytes.Equal(encodeMarkers(ms), body[:n]) {
			t.Fatalf("%d bytes are taken", n)
		}
	}
	for n := range 17 {
		if _, _, err := decodeVerify(ask[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	w := newWorld(t, 1)
	for range 10_000 {
		junk := make([]byte, rng.IntN(60))
		for i := range junk {
			junk[i] = byte(rng.Uint32() >> (rng.IntN(4) * 8) & 3)
		}
		_, _ = w.nodes[1].Serve(t.Context(), MethodMarkers, junk)
		_, _ = w.nodes[1].Serve(t.Context(), MethodVerify, junk)
		_ = decodeVerified(junk)
		_, _ = decodeOutcomes(junk, len(junk))
	}
}
