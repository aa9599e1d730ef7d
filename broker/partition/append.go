package partition

import (
	"chronik/broker/partition/fate"
	"chronik/kafka/batch"
)

// Result, Acker and Acks are those of package fate.
type (
	Result = fate.Result
	Acker  = fate.Acker
	Acks   = fate.Acks
)

// The three values of Kafka's acks.
const (
	AcksNone   = fate.AcksNone
	AcksLeader = fate.AcksLeader
	AcksAll    = fate.AcksAll
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
		dup, isDup, begins, err := p.ledger.Check(h)
		if err != nil {
			return err
		}
		if begins {
			if err := p.beginsLocked(h); err != nil {
				return err
			}
		}
		if isDup {
			p.releaseLocked() // the settings may have changed since the last time
			p.enqueueLocked(acks, a, token, Result{BaseOffset: dup.Base, LastOffset: dup.LastOffset, Duplicate: true, Timestamp: dup.Timestamp})
			return nil
		}
	}
	p.acceptLocked(b, acks, a, token)
	return nil
}

// acceptLocked gives a batch its place behind what is accepted, for the group to
// propose.
func (p *Partition) acceptLocked(b []byte, acks Acks, a Acker, token int) {
	base := p.end
	at := len(p.pending)
	p.pending = append(p.pending, b...)
	stored := batch.View(p.pending[at:])
	stored.SetBaseOffset(base)
	stored.SetLeaderEpoch(p.epoch)
	p.ledger.Observe(stored, base, p.opt.Clock.Now().UnixMilli())
	p.end = stored.NextOffset()
	p.enqueueLocked(acks, a, token, Result{BaseOffset: base, LastOffset: p.end - 1, Timestamp: stored.MaxTimestamp()})
	if p.group != nil {
		p.group.Wake()
	}
}

// fullLocked answers an append while the disk is full: one that is in the log
// already is acknowledged, any other is refused, whatever its sequence, for the
// one before it may have been.
func (p *Partition) fullLocked(h batch.View, acks Acks, a Acker, token int) error {
	if id := h.ProducerID(); id >= 0 && a != nil {
		dup, isDup, _, err := p.ledger.Check(h)
		if err == nil && isDup && dup.LastOffset < p.reachedLocked(acks) {
			a.Acked(token, Result{BaseOffset: dup.Base, LastOffset: dup.LastOffset, Duplicate: true, Timestamp: dup.Timestamp})
			return nil
		}
	}
	return p.noRoom
}

// reachedLocked is the offset below which appends with acks are acknowledged.
func (p *Partition) reachedLocked(acks Acks) int64 {
	if acks == AcksAll {
		return p.acked
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
	q.Push(a, token, r)
	p.watchProgressLocked()
}

// dropLocked forgets what was accepted but is not known to be in the log, and
// fails those who wait for it. The ledger stays if it has nothing of that.
func (p *Partition) dropLocked(cause error) {
	p.pending, p.startWanted = nil, -1
	p.commitAck.FailAll(cause)
	p.durAck.FailAll(cause)
	p.failStartsLocked(cause)
	p.current = p.current && p.ledger.Top() <= p.written
	p.end = p.written
}
