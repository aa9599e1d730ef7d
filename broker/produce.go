package broker

import (
	"context"
	"errors"
	"fmt"

	"chronik/broker/acks"
	"chronik/broker/config"
	"chronik/broker/partition"
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

	wait *acks.Wait
}

// Done is closed when every partition has its result.
func (p *Produce) Done() <-chan struct{} { return p.wait.Done() }

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
func (b *Broker) Produce(ctx context.Context, r *ProduceRequest) *Produce {
	p := &Produce{Partitions: r.Partitions}
	p.wait = acks.New(b.opt.Clock, len(r.Partitions), p.told)
	required, refused := partition.Acks(r.Acks), b.checkTransactions(r)
	for i := range r.Partitions {
		part := &r.Partitions[i]
		part.BaseOffset, part.LogAppendTime, part.LogStart = -1, -1, -1
		t, target, bytes, err := b.admit(r, part)
		if refused != nil { // the whole request
			err = refused
		}
		if err == nil && r.TransactionalID != "" {
			err = target.Verify(ctx, r.Timeout, r.TransactionalID, bytes)
		}
		if err == nil {
			part.LogStart = target.LogStart()
			if t.LogAppendTime {
				part.LogAppendTime = batch.View(bytes).MaxTimestamp()
			}
			p.wait.To(i, target)
			err = target.Append(bytes, required, -1, p.wait, i)
		}
		if err != nil {
			p.wait.Acked(i, partition.Result{BaseOffset: -1, Err: err})
		}
	}
	timeout := r.Timeout
	if required == partition.AcksNone { // nobody would be told
		timeout = -1
	}
	p.wait.Arm(timeout)
	return p
}

// told takes note of what became of a partition's batch.
func (p *Produce) told(i int, r partition.Result) {
	r.Err = fromBelow(r.Err)
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
