package partition

import (
	"fmt"

	"chronik/kafka/batch"
	"chronik/raftstore/multiraft"
	"chronik/segment"
)

// machine is the Partition as its raft group sees it (multiraft.StateMachine).
type machine Partition

var _ multiraft.StateMachine = (*machine)(nil)

// Describe reads what a frame header says of its payload from the batches.
func (m *machine) Describe(payload []byte) (base segment.Offset, count uint32, maxTimestamp int64) {
	maxTimestamp = -1
	next := int64(0)
	for rest := payload; len(rest) > 0; {
		h, tail, err := batch.Next(rest)
		if err != nil {
			panic(fmt.Sprintf("BUG: %s-%d: proposal is not record batches: %v", m.opt.Topic, m.opt.Partition, err))
		}
		if len(rest) == len(payload) {
			base, next = segment.Offset(h.BaseOffset()), h.BaseOffset()
		}
		next = h.BaseOffset() + int64(h.LastOffsetDelta()) + 1
		maxTimestamp = max(maxTimestamp, h.MaxTimestamp())
		rest = tail
	}
	return base, uint32(next - int64(base)), maxTimestamp
}

// TakeProposal hands over everything that waits, up to bytesMax in whole
// batches, as one proposal: under load frames are large.
func (m *machine) TakeProposal(term segment.Term, bytesMax int) []byte {
	p := (*Partition)(m)
	limit := min(int64(bytesMax), p.opt.Settings().SegmentBytes)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.leading || epochOf(term) != p.epoch || len(p.pending) == 0 {
		return nil
	}
	if int64(len(p.pending)) <= limit {
		out := p.pending
		p.pending = nil
		return out
	}
	cut := 0
	for cut < len(p.pending) {
		b, _, err := batch.Next(p.pending[cut:])
		if err != nil {
			panic(fmt.Sprintf("BUG: %s-%d: pending is not record batches: %v", p.opt.Topic, p.opt.Partition, err))
		}
		if cut > 0 && int64(cut+len(b)) > limit {
			break
		}
		cut += len(b)
	}
	out := p.pending[:cut:cut]
	if p.pending = p.pending[cut:]; len(p.pending) == 0 {
		p.pending = nil // an empty slice would hold what was proposed until the next append
	}
	return out
}

// Appended notes the new end of the written log. An entry without batches, as
// every term begins with, leaves the producers as they are.
func (m *machine) Appended(_ []segment.Entry, _ segment.Index, next segment.Offset, replaced bool) {
	p := (*Partition)(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := replaced || int64(next) != p.written
	p.written = int64(next)
	p.producers.settle(p.written)
	if !p.leading {
		p.end, p.current = p.written, p.current && !changed
	}
}

// Durable releases acks=1 appends.
func (m *machine) Durable(next segment.Offset) {
	p := (*Partition)(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.durable = max(p.durable, int64(next))
	p.durAck.release(p.durable)
}

// Committed moves the high watermark, releases acks=all appends and wakes
// fetches.
func (m *machine) Committed(entries []segment.Entry) {
	p := (*Partition)(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.committed
	for i := range entries {
		if e := &entries[i]; e.Count > 0 {
			p.committed = max(p.committed, int64(e.BaseOffset)+int64(e.Count))
		}
	}
	if p.committed == before {
		return
	}
	if err := p.enoughLocked(ErrNotEnoughReplicasAfterAppend); err != nil {
		p.commitAck.fail(p.committed, err)
	}
	p.commitAck.release(p.committed)
	p.wakeLocked()
}

// RoleChanged notes who leads, and fails what waits when it is no longer us.
func (m *machine) RoleChanged(c multiraft.RoleChange) {
	p := (*Partition)(m)
	leading := c.Role == multiraft.Leader
	p.mu.Lock()
	if p.leading && (!leading || epochOf(c.Term) != p.epoch) {
		p.dropLocked(ErrNotLeader)
	}
	p.leader, p.epoch, p.isr = c.Leader, epochOf(c.Term), nil
	rebuild := leading && !p.current
	p.mu.Unlock()
	if rebuild {
		if err := p.recoverProducers(); err != nil {
			m.Failed(err)
			return
		}
	}
	p.mu.Lock()
	if leading && p.failure == nil {
		p.end, p.leading = p.written, true
		p.durable = int64(p.log.DurableOffset()) // a truncation may have lowered it
		p.committed = max(p.committed, int64(p.log.StartOffset()))
	} else {
		p.leading = false
	}
	p.wakeLocked()
	leading = p.leading
	p.mu.Unlock()
	if p.onRole != nil {
		p.onRole(p, leading, epochOf(c.Term))
	}
}

// NoRoom refuses appends while the disk is full. Those that wait are told so:
// like one that has timed out, each may be in the log later, and is recognised
// when it is sent again.
func (m *machine) NoRoom(err error) {
	p := (*Partition)(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noRoom = nil
	if err != nil {
		p.noRoom = fmt.Errorf("%w: %w", ErrStorage, err)
		p.commitAck.failAll(p.noRoom)
		p.durAck.failAll(p.noRoom)
	}
	p.wakeLocked()
}

// Failed takes the partition out of service: what waits fails, and so does
// every later call.
func (m *machine) Failed(err error) {
	p := (*Partition)(m)
	p.opt.Logger.Error("partition has failed", "topic", p.opt.Topic, "partition", p.opt.Partition, "err", err)
	p.mu.Lock()
	p.stopLocked(fmt.Errorf("%w: %w", ErrStorage, err))
	epoch := p.epoch
	p.mu.Unlock()
	if p.onRole != nil {
		p.onRole(p, false, epoch)
	}
}
