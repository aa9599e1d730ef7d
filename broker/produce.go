package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"chronik/broker/config"
	"chronik/broker/partition"
	"chronik/internal/clock"
	"chronik/kafka/batch"
)

// adminClientID is the client id whose produces to internal topics are
// accepted (P6).
const adminClientID = "__admin_client"

// Produce is a Produce call under way.
type Produce struct {
	// Partitions are those of the request; their results are valid once Done
	// is closed, and not touched afterwards.
	Partitions []ProducePartition

	clock   clock.Clock
	targets []*partition.Partition // nil where nothing was tried; not changed after Produce

	mu      sync.Mutex
	waiting []bool // by partition: not yet acknowledged
	left    int
	timer   clock.Timer
	done    chan struct{}
}

// Done is closed when every partition has its result.
func (p *Produce) Done() <-chan struct{} { return p.done }

// Failed reports whether any partition failed. Valid once Done is closed.
func (p *Produce) Failed() bool {
	for i := range p.Partitions {
		if p.Partitions[i].Err != nil {
			return true
		}
	}
	return false
}

// Produce validates and appends the batches of a request, each partition for
// itself (P9), in the order given. It returns once all are in their
// partitions' hands; Done tells of the acknowledgements. With acks 0 Done is
// closed on return, unless the disk is so far behind that the producer has to
// be held back.
func (b *Broker) Produce(_ context.Context, r *ProduceRequest) *Produce {
	p := &Produce{
		Partitions: r.Partitions, waiting: make([]bool, len(r.Partitions)), left: len(r.Partitions) + 1, done: make(chan struct{}),
		clock: b.opt.Clock, targets: make([]*partition.Partition, len(r.Partitions)),
	}
	for i := range p.waiting {
		p.waiting[i] = true
	}
	acks, unnamed := partition.Acks(r.Acks), r.TransactionalID == "" && transactional(r.Partitions)
	for i := range r.Partitions {
		part := &r.Partitions[i]
		part.BaseOffset, part.LogAppendTime, part.LogStart = -1, -1, -1
		t, target, bytes, err := b.admit(r, part)
		if unnamed { // P1: the whole request
			err = ErrTransactionalIDMissing
		}
		if err == nil {
			part.LogStart = target.LogStart()
			if t.LogAppendTime {
				part.LogAppendTime = batch.View(bytes).MaxTimestamp()
			}
			p.targets[i] = target
			err = fromBelow(target.Append(bytes, acks, -1, p, i))
		}
		if err != nil {
			p.finish(i, partition.Result{BaseOffset: -1, Err: err})
		}
	}
	p.arm(r.Timeout, acks)
	return p
}

// arm drops the hold that Produce itself has on Done, and sets the timeout
// for what is still waiting: acks 0 has none, for nobody would be told.
func (p *Produce) arm(timeout time.Duration, acks partition.Acks) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left--
	if p.left == 0 {
		p.closeLocked()
		return
	}
	if acks != partition.AcksNone {
		p.timer = p.clock.AfterFunc(timeout, p.timeout)
	}
}

// behindPause is the time between two looks at a partition that is behind.
const behindPause = 50 * time.Millisecond

// timeout answers what is still waiting (P11). The batches stay appended. A
// partition with much that has not even been written is waited for: the
// request's memory is held as long as its batch takes as much, so that clients
// that do not wait cannot fill the memory ahead of the disk.
func (p *Produce) timeout() {
	held := false
	for i, target := range p.targets {
		if target != nil && target.Behind() {
			held = true
			continue
		}
		p.finish(i, partition.Result{BaseOffset: -1, Err: ErrRequestTimedOut})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if held && p.left > 0 {
		p.timer = p.clock.AfterFunc(behindPause, p.timeout)
	}
}

// Acked implements partition.Acker.
func (p *Produce) Acked(i int, r partition.Result) {
	r.Err = fromBelow(r.Err)
	p.finish(i, r)
}

func (p *Produce) finish(i int, r partition.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting[i] {
		return
	}
	p.waiting[i] = false
	part := &p.Partitions[i]
	part.Err, part.BaseOffset = r.Err, r.BaseOffset
	switch {
	case r.Err != nil:
		part.LogAppendTime = -1
		if be := (*batch.Error)(nil); errors.As(r.Err, &be) {
			part.RecordErrors = be.RecordErrors // P12: the log start stays
		} else {
			part.LogStart = -1
		}
	case r.Duplicate:
		part.LogAppendTime = r.Timestamp // P21
	}
	p.left--
	if p.left == 0 {
		p.closeLocked()
	}
}

func (p *Produce) closeLocked() {
	if p.timer != nil {
		p.timer.Stop()
	}
	close(p.done)
}

func transactional(parts []ProducePartition) bool {
	return slices.ContainsFunc(parts, func(p ProducePartition) bool {
		v, _, err := batch.Next(p.Records)
		return err == nil && v.Attributes().Transactional()
	})
}

// admit checks one partition's records in Kafka's order (P1 to P9), and
// returns the bytes to append.
func (b *Broker) admit(r *ProduceRequest, part *ProducePartition) (*config.TopicConfig, *partition.Partition, []byte, error) {
	t, target, err := b.lookup(&part.TopicPartition, part.ByID)
	if err != nil {
		return nil, nil, nil, err
	}
	conf := t.Config()
	first, berr := batch.First(part.Records, r.Version)
	if berr != nil {
		return nil, nil, nil, berr
	}
	switch {
	case first.Attributes().Transactional():
		return nil, nil, nil, ErrTransactionsNotBuilt
	case r.Acks < -1 || r.Acks > 1:
		return nil, nil, nil, fmt.Errorf("%w: %d", ErrInvalidRequiredAcks, r.Acks)
	case isInternal(part.Topic) && r.ClientID != adminClientID:
		return nil, nil, nil, fmt.Errorf("%w: %s is internal", ErrInvalidTopic, part.Topic)
	}
	bytes, berr := b.validate(first, conf)
	if berr != nil {
		part.LogStart = target.LogStart()
		return nil, nil, nil, berr
	}
	return conf, target, bytes, nil
}

func (b *Broker) validate(v batch.View, conf *config.TopicConfig) ([]byte, *batch.Error) {
	info, err := batch.Validate(v, batch.Options{
		BytesMax: conf.MaxMessageBytes, SegmentBytes: conf.SegmentBytes,
		LogAppendTime: conf.LogAppendTime, Now: b.opt.Clock.Now().UnixMilli(),
		BeforeMaxMs: conf.TimestampBeforeMaxMs, AfterMaxMs: conf.TimestampAfterMaxMs,
		Compacted: conf.Compact, Target: conf.Compression, Levels: conf.Levels,
	})
	return info.Batch, err
}
