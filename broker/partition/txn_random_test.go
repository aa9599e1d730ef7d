package partition

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"chronik/broker/partition/txns"
	"chronik/kafka/batch"
)

// txnWriter is a transactional producer and its coordinator: transactions of a few batches, each sent again until its fate
// is known, and then a marker, which is sent again too.
type txnWriter struct {
	id          int64
	epoch       int16
	coordinator int32
	next        int32 // sequence
	left        int   // batches until the marker
	marker      *Marker

	to     *replica
	told   func() *Result
	acked  int             // batches and markers
	values []string        // of this transaction
	done   map[string]bool // what was written: whether it was committed
}

// step does the next thing that the writer has to do.
func (w *txnWriter) step(t *testing.T, c *cluster, rnd *rand.Rand) {
	if w.told == nil {
		r := c.nodes[rnd.IntN(len(c.nodes))]
		if r.host == nil || !r.State().Leading {
			return
		}
		w.send(t, r, rnd)
		return
	}
	res := w.told()
	switch {
	case res == nil && w.to.host == nil:
		t.Errorf("writer %d: no answer from a node that is gone", w.id)
	case res == nil:
		return
	case res.Err == nil:
		w.ended()
	case errors.Is(res.Err, ErrNotLeader) || errors.Is(res.Err, ErrClosed):
	default:
		t.Errorf("writer %d, epoch %d sequence %d, marker %v: %v", w.id, w.epoch, w.next, w.marker, res.Err)
	}
	w.told = nil
}

// send sends what is to come next: a batch, or a marker.
func (w *txnWriter) send(t *testing.T, r *replica, rnd *rand.Rand) {
	a := make(acks, 1)
	w.to = r
	if w.left == 0 && w.marker == nil && len(w.values) > 0 {
		w.marker = &Marker{ProducerID: w.id, Epoch: w.epoch, CoordinatorEpoch: w.coordinator, Commit: rnd.IntN(2) == 0}
		if !w.marker.Commit && rnd.IntN(2) == 0 {
			w.marker.Epoch++ // T60
		}
	}
	if w.marker != nil {
		w.coordinator += int32(rnd.IntN(2)) // T50: it is written again by another one
		w.marker.CoordinatorEpoch = w.coordinator
		w.told = a.of(r.AppendMarker(*w.marker, -1, a, 7))
		return
	}
	if len(w.values) == 0 {
		w.left = 1 + rnd.IntN(3)
	}
	w.told = a.of(r.Append(txnRecords(t, sequence{w.id, w.epoch, w.next}, 100, w.value()), AcksAll, -1, a, 7))
}

func (w *txnWriter) value() string { return fmt.Sprintf("%d.%d.%d", w.id, w.epoch, w.next) }

// ended takes note of a batch or marker that was acknowledged.
func (w *txnWriter) ended() {
	w.acked++
	if w.marker == nil {
		w.values = append(w.values, w.value())
		w.next++
		w.left--
		return
	}
	for _, v := range w.values {
		w.done[v] = w.marker.Commit
	}
	if w.marker.Epoch != w.epoch {
		w.epoch, w.next = w.marker.Epoch, 0
	}
	w.values, w.marker = nil, nil
}

// simple is what the simplest reading of a log below an offset says of transactions.
func simple(t *testing.T, r *replica, upTo int64) (stable int64, aborted []Aborted) {
	t.Helper()
	res, _, err := r.Read(Read{Offset: 0, BytesMax: 1 << 30, Follower: true, CurrentEpoch: -1, LastEpoch: -1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Release()
	open := map[int64]int64{}
	for _, piece := range res.Records {
		for v, err := range batch.All(piece) {
			if err != nil {
				t.Fatal(err)
			}
			if v.BaseOffset() >= upTo || !v.Attributes().Transactional() {
				continue
			}
			first, is := open[v.ProducerID()]
			typ, _, err := batch.EndTxn(v)
			switch {
			case err != nil && !is:
				open[v.ProducerID()] = v.BaseOffset()
			case err == nil && is:
				delete(open, v.ProducerID())
				if typ == batch.Abort {
					aborted = append(aborted, Aborted{ProducerID: v.ProducerID(), First: first, Last: v.BaseOffset()})
				}
			}
		}
	}
	if stable = upTo; len(open) > 0 {
		stable = slices.Min(slices.Collect(maps.Values(open)))
	}
	txns.Sort(aborted)
	return stable, aborted
}

// checkCommitted compares reads of committed records with the simplest reading, on every replica that is up.
func (x *failures) checkCommitted() {
	x.t.Helper()
	for _, r := range x.c.nodes {
		if r.host == nil {
			continue
		}
		hw := r.State().HighWatermark
		if hw == 0 {
			continue
		}
		from := x.rnd.Int64N(hw)
		q := Read{Offset: from, BytesMax: 1 + x.rnd.IntN(2000), AtLeastOne: true, Isolation: ReadCommitted, Follower: true, CurrentEpoch: -1, LastEpoch: -1}
		res, _, err := r.Read(q, nil)
		if errors.Is(err, ErrOffsetNotAvailable) {
			continue // it makes its ledger anew
		}
		if err != nil {
			x.t.Errorf("node %d: %v", r.id, err)
			continue
		}
		next := from
		for _, piece := range res.Records {
			for v := range batch.All(piece) {
				next = v.NextOffset()
			}
		}
		stable, aborted := simple(x.t, r, res.HighWatermark)
		aborted = slices.DeleteFunc(aborted, func(a Aborted) bool { return a.Last < from || a.First >= next })
		if next == from {
			aborted = nil
		}
		if res.LastStable != stable || len(res.Aborted)+len(aborted) > 0 && !reflect.DeepEqual(res.Aborted, aborted) || next > stable && next > from {
			x.t.Errorf("node %d, high watermark %d: [%d, %d), stable %d, aborted %v; the log says stable %d, aborted %v",
				r.id, res.HighWatermark, from, next, res.LastStable, res.Aborted, stable, aborted)
		}
		res.Release()
	}
}

// T43, T50, T51, T70: through power cuts, cuts of the network, hand-overs and sealed segments every replica knows of
// transactions what its log says, each transaction that was committed is seen whole, and of those that were aborted nothing.
func TestRandomTransactions(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./broker/partition -run '^%s$' -seed %d", t.Name(), seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	x := &failures{t: t, c: newCluster(t, 3, map[string]string{"segment.bytes": "1048576"}), rnd: rnd, high: map[*Partition]int64{}}
	x.writers = []*writer{{id: 1, at: map[int32]int64{}}}
	for id := range int64(4) {
		x.txns = append(x.txns, &txnWriter{id: 10 + id, done: map[string]bool{}})
	}
	for round := range 16 {
		x.work(8)
		x.checkCommitted()
		for _, r := range x.c.nodes {
			if rnd.IntN(2) == 0 {
				_ = r.log.Roll() // it may be about to lose its end
			}
		}
		x.work(4)
		x.fail()
		x.checkCommitted()
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	x.work(5)
	x.drain()
	x.c.same()
	for range 20 {
		x.checkCommitted()
	}
	for _, r := range x.c.nodes {
		checkVisible(t, r, x.txns)
	}
}

// checkVisible compares what a client sees that reads committed records with what its writers were told.
func checkVisible(t *testing.T, r *replica, writers []*txnWriter) {
	t.Helper()
	seen := map[string]int{}
	for _, rec := range strings.Fields(allCommitted(t, r.Partition, 3000)) {
		_, value, _ := strings.Cut(rec, "=")
		seen[value]++
	}
	stable := r.LastStable()
	for _, w := range writers {
		for v, want := range w.done {
			at := strings.Index(" "+r.content(), "="+v+" ")
			if n := seen[v]; n != 1 && want && stable == r.State().HighWatermark || n != 0 && !want || n > 1 {
				t.Errorf("node %d, T70: %s of a transaction that was committed (%v) is seen %d times; stable up to %d, in the log: %v", r.id, v, want, n, stable, at >= 0)
			}
		}
	}
}

// T40: what a leader was allowed before another one led is void: the transaction may have ended there.
func TestT40PermitsEndWithTheLeadership(t *testing.T) {
	c := newCluster(t, 3, nil)
	l := c.leader()
	for _, r := range c.nodes {
		r.opt.Verify = func(context.Context, string, int64, int16, string, int32) error { return nil }
	}
	b := txnRecords(t, sequence{7, 0, 0}, 100, "v")
	try := func() error {
		a := make(acks, 1)
		told := a.of(l.Append(b, AcksAll, -1, a, 7))
		var got *Result
		c.await("the result", func() bool { got = told(); return got != nil })
		return got.Err
	}
	if err := l.Verify(t.Context(), time.Minute, "x", b); err != nil {
		t.Fatal(err)
	}
	c.transfer(c.others(l)[0])
	c.await("the old leader to know", func() bool { return !l.State().Leading })
	c.transfer(l)
	if err := try(); !errors.Is(err, ErrUnverified) {
		t.Errorf("T40 what was allowed in an earlier term: %v", err)
	}
	if err := l.Verify(t.Context(), time.Minute, "x", b); err != nil {
		t.Fatal(err)
	}
	if err := try(); err != nil {
		t.Errorf("T40 what is allowed now: %v", err)
	}
}
