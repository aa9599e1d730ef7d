package partition

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0: a new one each time")

// writer is an idempotent producer with one batch in flight, which it sends again until it knows its fate.
type writer struct {
	id   int64
	next int32
	to   *replica // where it sent the batch last; nil: nowhere
	told func() *Result
	at   map[int32]int64 // acknowledged offsets
}

// step sends the writer's batch to whoever it believes to lead, or takes note of an answer.
func (w *writer) step(t *testing.T, c *cluster, rnd *rand.Rand) {
	if w.told == nil {
		r := c.nodes[rnd.IntN(len(c.nodes))]
		if r.host == nil || !r.State().Leading {
			return
		}
		w.to, w.told = r, r.begin(AcksAll, sequence{w.id, 0, w.next}, w.value(w.next))
		return
	}
	res := w.told()
	switch {
	case res == nil && w.to.host == nil:
		t.Errorf("writer %d: no answer from a node that is gone", w.id)
		w.told = nil
	case res == nil:
	case res.Err == nil:
		w.at[w.next] = res.BaseOffset
		w.next++
		w.told = nil
	case errors.Is(res.Err, ErrNotLeader) || errors.Is(res.Err, ErrClosed):
		w.told = nil
	default:
		t.Errorf("writer %d, sequence %d: %v", w.id, w.next, res.Err)
		w.told = nil
	}
}

func (w *writer) value(seq int32) string { return fmt.Sprintf("%d.%d", w.id, seq) }

// Through power cuts, cuts of the network and hand-overs each batch that was acknowledged is in every log once, where it
// was said to be, each producer's in order, and no replica's high watermark goes back while it is up.
func TestRandomFailures(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./broker/partition -run '^%s$' -seed %d", t.Name(), seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	c := newCluster(t, 3, map[string]string{"segment.bytes": "1048576"})
	writers := make([]*writer, 4)
	for i := range writers {
		writers[i] = &writer{id: int64(i + 1), at: map[int32]int64{}}
	}
	x := &failures{t: t, c: c, rnd: rnd, writers: writers, high: map[*Partition]int64{}}
	for round := range 16 {
		x.work(5)
		x.fail()
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	x.work(5)
	x.drain()
	c.same()
	checkLog(t, c.leader().content(), writers)
}

// failures is a cluster that fails while writers write.
type failures struct {
	t       *testing.T
	c       *cluster
	rnd     *rand.Rand
	writers []*writer
	high    map[*Partition]int64 // watermarks seen
	txns    []*txnWriter
}

// work goes on until so many more batches have been acknowledged.
func (x *failures) work(acknowledged int) {
	x.t.Helper()
	start := 0
	for _, w := range x.writers {
		start += len(w.at)
	}
	for _, w := range x.txns {
		start += w.acked
	}
	x.c.await(fmt.Sprintf("%d batches", acknowledged), func() bool {
		n := 0
		for _, w := range x.writers {
			w.step(x.t, x.c, x.rnd)
			n += len(w.at)
		}
		for _, w := range x.txns {
			w.step(x.t, x.c, x.rnd)
			n += w.acked
		}
		for _, r := range x.c.nodes {
			if r.host == nil {
				continue
			}
			hw := r.State().HighWatermark
			if hw < x.high[r.Partition] {
				x.t.Errorf("node %d: the high watermark goes from %d to %d", r.id, x.high[r.Partition], hw)
			}
			x.high[r.Partition] = hw
		}
		return n >= start+acknowledged
	})
}

// drain waits until every batch that was sent has its answer.
func (x *failures) drain() {
	x.t.Helper()
	x.c.await("what is on its way", func() bool {
		idle := true
		for _, w := range x.writers {
			if w.told != nil {
				w.step(x.t, x.c, x.rnd)
			}
			idle = idle && w.told == nil
		}
		for _, w := range x.txns {
			if w.told != nil {
				w.step(x.t, x.c, x.rnd)
			}
			idle = idle && w.told == nil
		}
		return idle
	})
}

// fail has something fail, and mends it.
func (x *failures) fail() {
	r := x.c.nodes[x.rnd.IntN(len(x.c.nodes))]
	switch x.rnd.IntN(4) {
	case 0:
		r.kill(x.rnd.Uint64())
		x.work(5)
		r.start()
	case 1:
		x.c.isolate(r, true)
		x.work(5)
		x.c.isolate(r, false)
	case 2:
		for _, o := range x.c.nodes {
			if o.State().Leading {
				_ = o.TransferLeadership(r.id) // it may lead already
			}
		}
	case 3:
		for _, o := range x.c.nodes {
			o.kill(x.rnd.Uint64())
		}
		for _, o := range x.c.nodes {
			o.start()
		}
	}
}

// checkLog compares a log with what its writers were told.
func checkLog(t *testing.T, content string, writers []*writer) {
	t.Helper()
	where := map[string]int64{}
	last := map[int64]int32{}
	for _, rec := range strings.Fields(content) {
		var offset, id int64
		var seq int32
		if _, err := fmt.Sscanf(strings.NewReplacer("=", " ", ".", " ").Replace(rec), "%d %d %d", &offset, &id, &seq); err != nil {
			t.Fatalf("record %q: %v", rec, err)
		}
		if next, ok := last[id]; ok && seq != next+1 || !ok && seq != 0 {
			t.Errorf("%s comes after sequence %d", rec, last[id])
		}
		last[id] = seq
		where[fmt.Sprintf("%d.%d", id, seq)] = offset
	}
	for _, w := range writers {
		for seq, want := range w.at {
			if at, ok := where[w.value(seq)]; !ok || at != want {
				t.Errorf("writer %d, sequence %d: acknowledged at %d, found %v at %d", w.id, seq, want, ok, at)
			}
		}
	}
}
