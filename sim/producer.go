package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"chronik/broker"
	"chronik/broker/transaction"
	"chronik/kafka/batch"
	"chronik/sim/history"
)

// producer sends batches to partitions and tries again until it has answers that
// say what became of them; one at a time, or as an idempotent one up to window.
type producer struct {
	*client
	idempotent bool
	window     int
	acks       int16
	session    int
	id         int64 // producer id; -1 none
	epoch      int16
	next       map[history.Partition]int
	sequence   map[history.Partition]int32
	builder    batch.Builder
}

func (c *simulation) newProducer(id int) *producer {
	p := &producer{client: c.newClient(id), id: -1, epoch: -1}
	p.idempotent = p.rand.IntN(2) == 0
	p.acks, p.window = -1, 1
	if p.idempotent {
		p.window = 1 + p.rand.IntN(5)
	}
	if !p.idempotent && p.rand.IntN(2) == 0 {
		p.acks = 1
	}
	p.begin()
	return p
}

// begin starts a new session: what became of the latest batch of the one before
// is not known.
func (p *producer) begin() {
	p.session++
	p.id, p.epoch = -1, -1
	p.next, p.sequence = map[history.Partition]int{}, map[history.Partition]int32{}
}

func (p *producer) run(parts []history.Partition) {
	for p.pause(time.Duration(1+p.rand.IntN(100)) * time.Millisecond) {
		if p.idempotent && p.id < 0 && !p.takeID() {
			continue
		}
		p.send(parts[p.rand.IntN(len(parts))])
	}
}

func (p *producer) takeID() bool {
	type ids struct {
		id    int64
		epoch int16
		err   error
	}
	got, err := call(p.client, uint64(1+p.rand.IntN(len(p.c.nodes))), 5*time.Second, func(ctx context.Context, b *broker.Broker) (r ids) {
		r.id, r.epoch, r.err = b.InitProducerID(ctx, transaction.InitProducerIDRequest{ProducerID: -1, Epoch: -1}, false)
		return r
	})
	if err != nil || got.err != nil {
		return false
	}
	p.id, p.epoch = got.id, got.epoch
	return true
}

// outgoing is a batch on its way.
type outgoing struct {
	first history.Value
	count int
	bytes []byte
	err   error // of the latest try; nil: acknowledged
}

// build makes the next batch for a partition.
func (p *producer) build(at history.Partition) *outgoing {
	o := &outgoing{count: 1 + p.rand.IntN(5)}
	o.first = history.Value{Producer: history.Producer{Client: p.client.id, Session: p.session, Idempotent: p.idempotent}, Partition: at, N: p.next[at]}
	p.builder.Reset()
	pad := make([]byte, p.rand.IntN(400))
	for i := range o.count {
		v := o.first
		v.N += i
		p.builder.Add(time.Now().UnixMilli(), pad, []byte(v.String()))
	}
	opt := batch.Plain(batch.None)
	if p.idempotent {
		opt.ProducerID, opt.ProducerEpoch, opt.BaseSequence = p.id, p.epoch, p.sequence[at]
	}
	var err error
	if o.bytes, err = p.builder.Build(nil, opt); err != nil {
		panic(fmt.Sprintf("BUG: batch: %v", err))
	}
	p.next[at] += o.count
	p.sequence[at] += int32(o.count)
	p.c.hist.Sending(o.first, o.count)
	return o
}

// triesMax is how often a batch is tried before the producer gives up on it.
const triesMax = 30

// send sends batches until the fate of all is known, or given up.
func (p *producer) send(at history.Partition) {
	left := make([]*outgoing, 1+p.rand.IntN(p.window))
	for i := range left {
		left[i] = p.build(at)
	}
	for tries := 0; ; tries++ {
		p.tryAll(at, left)
		if len(left) > 0 && !p.mayRetry(left) {
			p.c.hist.Violate("refused", "%s of %s, try %d: %v", left[0].first, p.name(), tries, left[0].err)
		}
		left = slices.DeleteFunc(left, func(o *outgoing) bool { return o.err == nil })
		if len(left) == 0 {
			return
		}
		p.c.journal.mix("%s %s and %d more: %v", p.name(), left[0].first, len(left)-1, left[0].err)
		p.forget(at)
		if tries >= triesMax || !p.pause(min(500*time.Millisecond, 20*time.Millisecond<<min(tries, 5))) {
			if p.idempotent {
				p.begin()
			}
			return
		}
	}
}

// mayRetry tells whether the answers are such that a client tries again. A
// sequence that is out of order is no wonder when an earlier one was not taken.
func (p *producer) mayRetry(left []*outgoing) bool {
	failed := false
	for _, o := range left {
		if o.err != nil && !retriable(o.err) && !(failed && errors.Is(o.err, broker.ErrOutOfOrderSequence)) {
			left[0].err = o.err
			return false
		}
		failed = failed || o.err != nil
	}
	return true
}

// tryAll sends batches one behind the other, without waiting for answers between.
func (p *producer) tryAll(at history.Partition, left []*outgoing) {
	l, ok := p.leader(at)
	if !ok {
		for _, o := range left {
			o.err = errNoAnswer
		}
		return
	}
	var all sync.WaitGroup
	for _, o := range left {
		all.Add(1)
		p.try(at, l, o, all.Done)
	}
	all.Wait()
}

// once sends one batch, once.
func (p *producer) once(at history.Partition) error {
	o := p.build(at)
	p.tryAll(at, []*outgoing{o})
	return o.err
}

// try sends a batch; done is called when o.err says what became of it.
func (p *producer) try(at history.Partition, l broker.LeaderEpoch, o *outgoing, done func()) {
	answer := begin(p.client, uint64(l.ID), func(ctx context.Context, b *broker.Broker) broker.ProducePartition {
		call := b.Produce(ctx, &broker.ProduceRequest{
			Version: 9, Acks: p.acks, Timeout: 2 * time.Second, ClientID: p.name(),
			Partitions: []broker.ProducePartition{{TopicPartition: broker.TopicPartition{Topic: at.Topic, Partition: at.Index}, Records: slices.Clone(o.bytes)}},
		})
		select {
		case <-call.Done():
			return call.Partitions[0]
		case <-ctx.Done():
			return broker.ProducePartition{Err: errNoAnswer}
		}
	})
	go func() {
		defer done()
		got, err := answer(3 * time.Second)
		if o.err = err; err == nil {
			o.err = got.Err
		}
		if o.err != nil {
			return
		}
		p.c.journal.mix("%s acked %s+%d at %d", p.name(), o.first, o.count, got.BaseOffset)
		p.c.hist.Acked(history.Ack{First: o.first, Count: o.count, Offset: got.BaseOffset, All: p.acks == -1, Epoch: l.Epoch})
	}()
}
