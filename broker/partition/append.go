package partition

import (
	"fmt"
	"runtime/debug"

	"chronik/kafka/batch"
	"chronik/segment"
)

// Result is the fate of one append.
type Result struct {
	BaseOffset int64
	LastOffset int64
	Duplicate  bool  // P21: the batch was in the log already
	Timestamp  int64 // ms; of the batch that is in the log
	Err        error // nil: durable as the acks asked for
}

// Acker is told the fate of accepted appends: once for each, with the token of
// the append. It is called with the partition's lock held: it must not call
// back into the partition, and be quick.
type Acker interface {
	Acked(token int, r Result)
}

// Acks says when an append is acknowledged.
type Acks int8

// The three values of Kafka's acks.
const (
	AcksNone   Acks = 0  // at once; durable on the leader while pendingBytesMax wait
	AcksLeader Acks = 1  // durable on the leader
	AcksAll    Acks = -1 // committed
)

// pendingBytesMax is how much may wait to be proposed before appends that ask
// for no acknowledgement are held back: nothing else keeps their producers from
// being ahead of the disk by more and more.
const pendingBytesMax = 8 << 20

// Append hands one validated batch to the partition, which copies it, and
// sets its base offset and leader epoch. An error means that nothing was
// accepted; else the fate of the batch is told to a, possibly before Append
// returns.
//
// requireEpoch, unless -1, is the leader epoch the caller believes in.
func (p *Partition) Append(b []byte, acks Acks, requireEpoch int32, a Acker, token int) error {
	h := batch.View(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkEpochLocked(requireEpoch); err != nil {
		return err
	}
	if acks == AcksAll {
		if err := p.enoughLocked(ErrNotEnoughReplicas); err != nil {
			return err
		}
	}
	if p.noRoom != nil {
		return p.fullLocked(h, acks, a, token)
	}
	if id := h.ProducerID(); id >= 0 {
		dup, isDup, err := p.producers.check(id, h.ProducerEpoch(), h.BaseSequence(), h.LastSequence())
		if err != nil {
			return err
		}
		if isDup {
			p.enqueueLocked(acks, a, token, Result{BaseOffset: dup.base, LastOffset: dup.lastOffset, Duplicate: true, Timestamp: dup.timestamp})
			return nil
		}
	}
	base := p.end
	at := len(p.pending)
	p.pending = append(p.pending, b...)
	stored := batch.View(p.pending[at:])
	stored.SetBaseOffset(base)
	stored.SetLeaderEpoch(p.epoch)
	p.producers.observe(stored, base, p.opt.Clock.Now().UnixMilli())
	p.end = base + int64(h.LastOffsetDelta()) + 1
	p.enqueueLocked(acks, a, token, Result{BaseOffset: base, LastOffset: p.end - 1, Timestamp: h.MaxTimestamp()})
	if p.group != nil {
		p.group.Wake()
	}
	return nil
}

// fullLocked answers an append while the disk is full: one that is in the log
// already is acknowledged, any other is refused, whatever its sequence, for the
// one before it may have been.
func (p *Partition) fullLocked(h batch.View, acks Acks, a Acker, token int) error {
	if id := h.ProducerID(); id >= 0 && a != nil {
		dup, isDup, err := p.producers.check(id, h.ProducerEpoch(), h.BaseSequence(), h.LastSequence())
		if err == nil && isDup && dup.lastOffset < p.reachedLocked(acks) {
			a.Acked(token, Result{BaseOffset: dup.base, LastOffset: dup.lastOffset, Duplicate: true, Timestamp: dup.timestamp})
			return nil
		}
	}
	return p.noRoom
}

// reachedLocked is the offset below which appends with acks are acknowledged.
func (p *Partition) reachedLocked(acks Acks) int64 {
	if acks == AcksAll {
		return p.committed
	}
	return p.durable
}

// Behind reports whether so much waits to be proposed that producers are to be
// held back.
func (p *Partition) Behind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pending) > pendingBytesMax
}

// enqueueLocked files the acknowledgement of an accepted append, or gives it
// at once when its condition holds already.
func (p *Partition) enqueueLocked(acks Acks, a Acker, token int, r Result) {
	if a == nil {
		return
	}
	q := &p.commitAck
	if acks != AcksAll {
		q = &p.durAck
	}
	if r.LastOffset < p.reachedLocked(acks) || (acks == AcksNone && len(p.pending) <= pendingBytesMax) {
		a.Acked(token, r)
		return
	}
	q.push(waitingAck{a, token, r})
}

// dropLocked forgets what was accepted but is not known to be in the log, and
// fails those who wait for it.
func (p *Partition) dropLocked(cause error) {
	p.pending = nil
	p.commitAck.failAll(cause)
	p.durAck.failAll(cause)
	p.current = false
	p.end = p.written
}

type waitingAck struct {
	to    Acker
	token int
	r     Result
}

// ackQueue holds acknowledgements in the order they were asked for, which is
// that of their last offsets but for duplicates: one may stand behind a newer
// batch, and then is told no sooner than that one.
type ackQueue struct {
	q    []waitingAck
	head int
}

func (a *ackQueue) push(w waitingAck) { a.q = append(a.q, w) }

// release acknowledges every entry whose last offset lies below reached.
func (a *ackQueue) release(reached int64) { a.end(reached, nil) }

// fail answers every entry whose last offset lies below reached with an error.
func (a *ackQueue) fail(reached int64, cause error) { a.end(reached, cause) }

func (a *ackQueue) end(reached int64, cause error) {
	for a.head < len(a.q) && a.q[a.head].r.LastOffset < reached {
		w := a.q[a.head]
		a.q[a.head] = waitingAck{}
		a.head++
		if cause != nil {
			w.r = refused(cause)
		}
		w.to.Acked(w.token, w.r)
	}
	switch {
	case a.head == len(a.q):
		a.q, a.head = a.q[:0], 0
	case a.head > 64 && a.head > len(a.q)/2:
		a.q = a.q[:copy(a.q, a.q[a.head:])]
		a.head = 0
	}
}

func refused(cause error) Result {
	return Result{BaseOffset: -1, LastOffset: -1, Timestamp: -1, Err: cause}
}

func (a *ackQueue) failAll(cause error) {
	q := a.q[a.head:]
	a.q, a.head = nil, 0
	for _, w := range q {
		w.to.Acked(w.token, refused(cause))
	}
}

// recoverProducers rebuilds the sequence table from the newest checkpoint and
// the batches behind it, and marks it current.
func (p *Partition) recoverProducers() error {
	blob, end, ok := p.log.Checkpoint()
	if !ok || len(blob) == 0 {
		blob, end = nil, p.log.StartOffset()
	}
	from, next := max(end, p.log.StartOffset()), p.log.NextOffset()
	t := newProducers(producersMax, int64(next))
	if err := t.load(blob); err != nil {
		return fmt.Errorf("%s-%d: %w", p.opt.Topic, p.opt.Partition, err)
	}
	now := p.opt.Clock.Now().UnixMilli() // when they wrote is not in the log: their records' times are their own
	var frames []segment.Entry
	for from < next {
		fs, ref, err := p.log.Read(from, next, replayBytes, frames[:0])
		if err != nil {
			return fmt.Errorf("replay %s-%d from offset %d: %w", p.opt.Topic, p.opt.Partition, from, err)
		}
		frames = fs
		if from, err = t.replay(fs, int64(end), now); err != nil {
			ref.Release()
			return fmt.Errorf("replay %s-%d: %w", p.opt.Topic, p.opt.Partition, err)
		}
		ref.Release()
		if len(fs) == 0 {
			break
		}
	}
	p.mu.Lock()
	p.producers, p.current = t, true
	p.mu.Unlock()
	return nil
}

// replay observes the batches in frames that are not below the offset end, and
// returns the offset behind the frames.
func (t *producers) replay(frames []segment.Entry, end, now int64) (next segment.Offset, err error) {
	defer segment.Caught(debug.SetPanicOnFault(true), "batch headers", &err)
	for _, f := range frames {
		for rest := f.Payload; len(rest) > 0; {
			h, tail, err := batch.Next(rest)
			if err != nil {
				return next, fmt.Errorf("index %d: %w", f.Index, err)
			}
			if h.BaseOffset() >= end {
				t.observe(h, h.BaseOffset(), now)
			}
			rest = tail
		}
		next = f.BaseOffset + segment.Offset(f.Count)
	}
	return next, nil
}

// replayBytes is how much of the log one step of a replay looks at.
const replayBytes = 4 << 20

// checkpoint is asked for by the log when it seals a segment that ends at
// end. It runs on the shard, inside the append of the frame behind it. Nothing
// is checkpointed while the table does not cover the log: recovery then reads
// from an older checkpoint or the log start.
func (p *Partition) checkpoint(end segment.Offset) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.current {
		return nil
	}
	return p.producers.checkpoint(int64(end))
}

// ExpireProducers forgets producers that last wrote before the given time in
// ms (P27); those that were found by replaying the log wrote when it was opened.
func (p *Partition) ExpireProducers(before int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.producers.expire(before)
}
