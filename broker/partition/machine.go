package partition

import (
	"fmt"

	"chronik/broker/partition/frames"
	"chronik/broker/partition/held"
	"chronik/kafka/batch"
	"chronik/raftstore/multiraft"
	"chronik/segment"
)

// machine is the Partition as its raft group sees it (multiraft.StateMachine).
type machine Partition

var (
	_ multiraft.StateMachine    = (*machine)(nil)
	_ multiraft.ProgressWatcher = (*machine)(nil)
)

// Describe reads what a frame header says of its payload from the batches. What
// is no batch, which no correct leader sends, has a base offset that no log
// takes.
func (m *machine) Describe(payload []byte) (base segment.Offset, count uint32, maxTimestamp int64) {
	base, count, maxTimestamp, err := frames.Describe(payload)
	if err != nil {
		m.opt.Logger.Error("an entry is not record batches", "topic", m.opt.Topic, "partition", m.opt.Partition, "err", err)
		return -1, 1, -1
	}
	return base, count, maxTimestamp
}

// TakeProposal hands over everything that waits, up to bytesMax in whole
// batches, as one proposal: under load frames are large.
func (m *machine) TakeProposal(term segment.Term, bytesMax int) []byte {
	p := (*Partition)(m)
	limit := min(int64(bytesMax), p.opt.Settings().SegmentBytes)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.leading || epochOf(term) != p.epoch {
		return nil
	}
	if start := p.startWanted; start >= 0 { // an entry of its own
		p.startWanted = -1
		return frames.EncodeStart(start)
	}
	if len(p.pending) == 0 {
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

// Appended notes the new end of the written log. A leader knows the batches
// already; a follower finds them in the frames. When those do not tell all, or
// the end that they replaced had batches of producers, the ledger is made anew.
func (m *machine) Appended(entries []segment.Entry, last segment.Index, next segment.Offset, replaced bool) {
	p := (*Partition)(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.written
	p.written, p.last = int64(next), last
	p.lastTerm, _ = p.log.Term(last)
	if replaced {
		p.cuts++
		p.durable = min(p.durable, p.written)
		p.committed = max(p.committed, int64(p.log.StartOffset())) // of a log that came whole
	}
	if p.leading {
		p.markLocked()
		p.ledger.Settle(p.written)
		p.sealCrowdedLocked()
		return
	}
	p.end = p.written
	if !p.current {
		return // what makes it so reads on
	}
	if p.current = p.followLocked(entries, was, replaced); !p.current {
		p.rebuildLocked()
	}
	p.sealCrowdedLocked()
}

// followLocked has the ledger cover entries, behind which the log now ends; it
// returns false if it cannot.
func (p *Partition) followLocked(entries []segment.Entry, was int64, replaced bool) bool {
	switch {
	case len(entries) == 0:
		return !replaced && p.written == was // nothing with batches
	case replaced && !p.ledger.Covers(int64(entries[0].BaseOffset)):
		return false
	case int64(entries[0].BaseOffset) > was, int64(entries[len(entries)-1].Next()) != p.written:
		return false // something is between, as in a log that came whole
	}
	now := p.opt.Clock.Now().UnixMilli()
	for i := range entries {
		if entries[i].Count == 0 {
			continue
		}
		if err := observe(p.ledger, &entries[i], p.ledger.Top(), now); err != nil {
			return false
		}
	}
	p.ledger.Settle(p.written)
	return true
}

// Durable releases acks=1 appends.
func (m *machine) Durable(next segment.Offset) {
	p := (*Partition)(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.durable = max(p.durable, int64(next))
	p.durAck.End(p.durable, nil)
	if p.watching.Load() {
		p.releaseLocked() // this replica counts as well
	}
}

// Committed moves the high watermark, releases acks=all appends, puts log starts
// in force and wakes fetches.
func (m *machine) Committed(entries []segment.Entry) {
	p := (*Partition)(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.committed
	for i := range entries {
		e := &entries[i]
		if e.Count > 0 {
			p.committed = max(p.committed, int64(e.BaseOffset)+int64(e.Count))
		} else if offset, ok := frames.ParseStart(e.Payload); ok {
			p.startCommittedLocked(offset)
		} else if frames.IsStart(e.Payload) {
			p.opt.Logger.Error("an entry is of a kind that this release does not know",
				"topic", p.opt.Topic, "partition", p.opt.Partition, "index", e.Index)
		}
	}
	if p.committed != before {
		p.releaseLocked()
		p.wakeLocked()
	}
}

// RoleChanged notes who leads, and fails what waits when it is no longer us.
func (m *machine) RoleChanged(c multiraft.RoleChange) {
	p := (*Partition)(m)
	leading := c.Role == multiraft.Leader
	p.mu.Lock()
	if p.leading && (!leading || epochOf(c.Term) != p.epoch) {
		p.dropLocked(ErrNotLeader)
	}
	p.leading, p.leader, p.epoch = false, c.Leader, epochOf(c.Term)
	p.isr, p.progress = nil, held.Progress{}
	p.permits.Clear()
	p.watching.Store(false)
	rebuild := leading && !p.current
	if !p.current && !leading {
		p.rebuildLocked()
	}
	p.mu.Unlock()
	if rebuild {
		if _, err := p.recoverLedger(); err != nil {
			p.abandon(err)
			return
		}
	}
	p.mu.Lock()
	if leading && p.failure == nil {
		p.leadLocked()
	}
	p.wakeLocked()
	leading = p.leading
	p.mu.Unlock()
	if p.onRole != nil {
		p.onRole(p, leading, epochOf(c.Term))
	}
}

// leadLocked begins a leadership: all of the log is committed.
func (p *Partition) leadLocked() {
	p.end, p.leading = p.written, true
	p.durable = int64(p.log.DurableOffset()) // a truncation may have lowered it
	p.committed = max(p.committed, p.LogStart())
	p.acked = 0
	p.markLocked()
	p.releaseLocked()
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
		p.commitAck.FailAll(p.noRoom)
		p.durAck.FailAll(p.noRoom)
		p.failStartsLocked(p.noRoom)
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
