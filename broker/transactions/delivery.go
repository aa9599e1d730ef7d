package transactions

import (
	"context"
	"sync"
	"time"

	"chronik/broker/group/effect"
	"chronik/broker/transaction"
	"chronik/internal/clock"
)

const (
	sendTimeout = 5 * time.Second // of one call with markers
	sendMax     = 500             // markers of one call; names have at most 249 bytes, so a call has less than 150 KB
	sendersMax  = 4               // calls to one node at a time
	pauseMin    = 20 * time.Millisecond
	pauseMax    = 2 * time.Second
)

// Nodes that are none.
const (
	nobody  int32 = -1 // the partition has no leader for now
	nowhere int32 = -2 // there is no such partition, as far as this node knows
)

// errand is one marker on its way to one partition.
type errand struct {
	from  *shard
	txn   transaction.Markers
	to    transaction.Partition
	tries int
}

func (e *errand) marker() Marker {
	return Marker{
		ProducerID: e.txn.ProducerID, Epoch: e.txn.Epoch, CoordinatorEpoch: e.from.Epoch(), Commit: e.txn.Commit, Partition: e.to,
	}
}

// over reports whether another coordinator has the transaction by now.
func (e *errand) over() bool {
	select {
	case <-e.from.Stopped():
		return true
	default:
		return false
	}
}

// delivery brings markers to the partitions. Its lock is taken with those of
// shards held, and none is taken under it.
type delivery struct {
	opt  *Options
	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	fresh   []*errand // nobody has looked yet who leads
	sorting bool
	queues  map[int32]*queue // by node
}

// queue is what waits for one node.
type queue struct {
	errands []*errand
	senders int
}

func newDelivery(o *Options) *delivery {
	d := &delivery{opt: o, queues: map[int32]*queue{}}
	d.ctx, d.stop = context.WithCancel(context.Background())
	return d
}

// end has nothing new begin; done says when all has ended.
func (d *delivery) end() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.stop()
}

// take is called after each call of a shard, with its lock held.
func (d *delivery) take(s *shard, state *transaction.Shard) {
	var errands []*errand
	for _, m := range state.Ended() {
		for _, p := range m.Partitions {
			errands = append(errands, &errand{from: s, txn: m, to: p})
		}
	}
	if len(errands) > 0 {
		d.add(errands)
	}
}

// add has somebody look who leads the partitions.
func (d *delivery) add(errands []*errand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fresh = append(d.fresh, errands...)
	if !d.closed && !d.sorting {
		d.sorting = true
		d.done.Go(d.sort)
	}
}

// sort gives each errand to the queue of the node that leads its partition.
func (d *delivery) sort() {
	for {
		d.mu.Lock()
		fresh := d.fresh
		d.fresh = nil
		if len(fresh) == 0 || d.closed {
			d.sorting = false
			d.mu.Unlock()
			return
		}
		d.mu.Unlock()
		byNode := map[int32][]*errand{}
		for _, e := range fresh {
			node, exists := d.opt.Leads(e.to)
			if !exists {
				node = nowhere
			}
			byNode[node] = append(byNode[node], e)
		}
		for node, errands := range byNode {
			if node == nobody {
				d.later(errands)
				continue
			}
			d.enqueue(node, errands)
		}
	}
}

func (d *delivery) enqueue(node int32, errands []*errand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.queues[node]
	if q == nil {
		q = &queue{}
		d.queues[node] = q
	}
	q.errands = append(q.errands, errands...)
	if !d.closed && q.senders < sendersMax {
		q.senders++
		d.done.Go(func() { d.send(node, q) })
	}
}

// later looks for the leaders again after a pause.
func (d *delivery) later(errands []*errand) {
	tries := 0
	for _, e := range errands {
		e.tries++
		tries = max(tries, e.tries)
	}
	pause := min(pauseMin<<min(tries, 10), pauseMax)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		wait(d.opt.Clock, pause, d.ctx.Done(), &d.done, func() { d.add(errands) })
	}
}

// send works off the queue of a node.
func (d *delivery) send(node int32, q *queue) {
	for {
		d.mu.Lock()
		n := min(len(q.errands), sendMax)
		if n == 0 || d.closed {
			if q.senders--; q.senders == 0 {
				delete(d.queues, node)
			}
			d.mu.Unlock()
			return
		}
		errands := q.errands[:n:n]
		q.errands = q.errands[n:]
		d.mu.Unlock()
		live := errands[:0]
		var ms []Marker
		for _, e := range errands {
			if !e.over() {
				live, ms = append(live, e), append(ms, e.marker())
			}
		}
		if len(live) > 0 {
			d.settle(live, d.deliver(node, ms))
		}
	}
}

// deliver brings markers to a node.
func (d *delivery) deliver(node int32, ms []Marker) []outcome {
	ctx, cancel := clock.WithTimeout(d.ctx, d.opt.Clock, sendTimeout)
	defer cancel()
	all := make([]outcome, len(ms))
	var err error
	switch {
	case node == d.opt.NodeID:
		return d.write(ctx, ms)
	case node == nowhere: // gone for good is what is unknown also to who has heard of everything
		if err = d.opt.Current(ctx); err == nil {
			for i, m := range ms {
				if _, exists := d.opt.Leads(m.Partition); exists {
					all[i] = again
				}
			}
			return all
		}
	case d.opt.Peers != nil:
		var answer []byte
		if answer, err = d.opt.Peers.Call(ctx, uint64(node), MethodMarkers, encodeMarkers(ms)); err == nil {
			var out []outcome
			if out, err = decodeOutcomes(answer, len(ms)); err == nil {
				return out
			}
		}
	}
	if err != nil && d.ctx.Err() == nil {
		d.opt.Logger.Debug("markers of transactions were not brought", "node", node, "markers", len(ms), "err", err)
	}
	for i := range all {
		all[i] = again
	}
	return all
}

// write writes markers to partitions that are led here.
func (d *delivery) write(ctx context.Context, ms []Marker) []outcome {
	out := make([]outcome, len(ms))
	for i, err := range d.opt.Write(ctx, ms) {
		switch {
		case err == nil:
		case d.opt.Fenced(err):
			out[i] = fenced
			d.opt.Logger.Warn("a partition refuses a marker of a transaction", "topic", ms[i].Partition.Topic, "partition", ms[i].Partition.Index,
				"producer", ms[i].ProducerID, "epoch", ms[i].Epoch, "err", err)
		default:
			out[i] = again
		}
	}
	return out
}

// settle tells the shards what is written, and tries the rest again. One that
// is fenced is, too, but seldom: it is refused because another coordinator has
// gone on, and this one is about to hear of it.
func (d *delivery) settle(errands []*errand, outcomes []outcome) {
	var rest []*errand
	done := map[*shard][]*errand{}
	for i, e := range errands {
		switch outcomes[i] {
		case written:
			done[e.from] = append(done[e.from], e)
			continue
		case fenced:
			e.tries = 10
		}
		rest = append(rest, e)
	}
	for s, errands := range done {
		s.Do(func(now time.Time, state *transaction.Shard, fx *effect.Effects) {
			for _, e := range errands {
				state.MarkerWritten(now, e.txn, e.to, fx)
			}
		})
	}
	if len(rest) > 0 {
		d.later(rest)
	}
}
