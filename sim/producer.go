package sim

import (
	"context"
	"fmt"
	"time"

	"chronik/broker"
	"chronik/kafka/batch"
	"chronik/sim/history"
)

// producer sends batches to partitions, one at a time to each, and tries again
// until it has an answer that says what became of a batch.
type producer struct {
	*client
	idempotent bool
	acks       int16
	session    int
	id         int64 // producer id; -1 none
	epoch      int16
	next       map[history.Partition]int
	sequence   map[history.Partition]int32
	acked      map[history.Partition]bool // the latest batch of the session was
	builder    batch.Builder
}

func (c *simulation) newProducer(id int) *producer {
	p := &producer{client: c.newClient(id), id: -1, epoch: -1}
	p.idempotent = p.rand.IntN(2) == 0
	p.acks = -1
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
	p.next, p.sequence, p.acked = map[history.Partition]int{}, map[history.Partition]int32{}, map[history.Partition]bool{}
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
		r.id, r.epoch, r.err = b.InitProducerID(ctx, "", false, -1, -1)
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
}

func (p *producer) build(at history.Partition) outgoing {
	o := outgoing{count: 1 + p.rand.IntN(5)}
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
	return o
}

// send sends a batch until its fate is known, or given up.
func (p *producer) send(at history.Partition) {
	o := p.build(at)
	p.c.hist.Sending(o.first, o.count)
	for tries := 0; ; tries++ {
		err := p.try(at, o)
		if err == nil {
			p.next[at] += o.count
			p.sequence[at] += int32(o.count)
			p.acked[at] = true
			return
		}
		p.c.journal.mix("%s %s: %v", p.name(), o.first, err)
		p.forget(at)
		if !retriable(err) {
			p.c.hist.Violate("refused", "%s of %s, sequence %d, try %d: %v", o.first, p.name(), p.sequence[at], tries, err)
		}
		if tries >= 30 || !p.pause(min(500*time.Millisecond, 20*time.Millisecond<<min(tries, 5))) {
			if p.idempotent {
				p.begin()
			}
			p.next[at] += o.count
			return
		}
	}
}

func (p *producer) try(at history.Partition, o outgoing) error {
	l, ok := p.leader(at)
	if !ok {
		return errNoAnswer
	}
	got, err := call(p.client, uint64(l.ID), 3*time.Second, func(ctx context.Context, b *broker.Broker) broker.ProducePartition {
		tp := broker.TopicPartition{Topic: at.Topic, Partition: at.Index}
		call := b.Produce(ctx, &broker.ProduceRequest{
			Version: 9, Acks: p.acks, Timeout: 2 * time.Second, ClientID: p.name(),
			Partitions: []broker.ProducePartition{{TopicPartition: tp, Records: append([]byte(nil), o.bytes...)}},
		})
		select {
		case <-call.Done():
			return call.Partitions[0]
		case <-ctx.Done():
			return broker.ProducePartition{Err: errNoAnswer}
		}
	})
	if err == nil {
		err = got.Err
	}
	if err != nil {
		return err
	}
	p.c.journal.mix("%s acked %s+%d at %d", p.name(), o.first, o.count, got.BaseOffset)
	p.c.hist.Acked(history.Ack{First: o.first, Count: o.count, Offset: got.BaseOffset, All: p.acks == -1, Epoch: l.Epoch})
	return nil
}

// once sends one batch, once.
func (p *producer) once(at history.Partition) error {
	o := p.build(at)
	p.c.hist.Sending(o.first, o.count)
	p.next[at] += o.count
	return p.try(at, o)
}
