package metadata

import (
	"fmt"

	"chronik/broker/cluster"
	"chronik/broker/metadata/calls"
	"chronik/raftstore/multiraft"
	"chronik/segment"
)

// machine is the metadata as its raft group sees it.
type machine Member

var _ multiraft.StateMachine = (*machine)(nil)

// Describe: commands take no offsets; an image takes one, so that the log can
// begin at it.
func (*machine) Describe(payload []byte) (base segment.Offset, count uint32, maxTimestamp int64) {
	if ordinal, ok := cluster.ImageOrdinal(payload); ok {
		return segment.Offset(ordinal), 1, -1
	}
	return 0, 0, -1
}

// TakeProposal hands over commands that wait, or, alone, an image.
func (mm *machine) TakeProposal(_ segment.Term, bytesMax int) []byte {
	m := (*Member)(mm)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.lead {
		return nil
	}
	if m.compact.due {
		return m.takeImageLocked()
	}
	var payload []byte
	n := 0
	for n < len(m.queue) && (n == 0 || len(payload)+len(m.queue[n]) <= bytesMax) {
		payload = append(payload, m.queue[n]...)
		n++
	}
	if m.queue = m.queue[n:]; len(m.queue) == 0 {
		m.queue = nil
	}
	if n > 0 {
		m.inflight++
	}
	return payload
}

func (*machine) Appended([]segment.Entry, segment.Index, segment.Offset, bool) {}

func (*machine) Durable(segment.Offset) {}

// Committed applies commands. Entries may come that have been applied: a
// follower that was sent a snapshot is given all that stands in it.
func (mm *machine) Committed(entries []segment.Entry) {
	m := (*Member)(mm)
	brokers := m.apply(entries)
	if brokers != nil {
		m.setPeers(brokers)
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

func (m *Member) apply(entries []segment.Entry) (brokers []cluster.Broker) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.log.FirstIndex() > m.applied+1 { // the log was replaced by a leader's
		m.gap = true
	}
	for i := range entries {
		if m.failure != nil { // an entry before this one was not applied
			return nil
		}
		if e := &entries[i]; e.Index > m.applied {
			m.applied = e.Index
			m.applyEntryLocked(e)
		}
	}
	close(m.progress)
	m.progress = make(chan struct{})
	m.compactLocked()
	if v := m.state.BrokersVersion(); v != m.peers {
		m.peers = v
		return m.state.Brokers()
	}
	return nil
}

func (m *Member) applyEntryLocked(e *segment.Entry) {
	own := e.Term == m.term && m.inflight > 0
	if own {
		m.inflight--
	}
	_, image := cluster.ImageOrdinal(e.Payload)
	if m.gap && !(image && e.BaseOffset >= m.log.StartOffset()) {
		return // it is in the image that comes
	}
	for rest := e.Payload; len(rest) > 0; {
		p, tail, err := cluster.Decode(rest)
		if err != nil {
			m.opt.Logger.Error("metadata cannot be applied", "index", e.Index, "err", err)
			m.failLocked(fmt.Errorf("metadata entry %d: %w", e.Index, err))
			return
		}
		rest = tail
		if c, ok := p.Command.(*cluster.Image); ok {
			m.applyImageLocked(e, c)
		} else {
			m.applyLocked(p)
		}
	}
	if !image {
		m.compact.commandBytes += len(e.Payload)
	}
}

func (m *Member) applyLocked(p cluster.Proposed) {
	res, err := m.state.Apply(p.Command)
	at := calls.Mark{Node: p.Node, Seq: p.Seq}
	if done := m.waiting[at]; done != nil {
		delete(m.waiting, at)
		done <- applied{res, m.state.Version(), err}
	}
}

// RoleChanged notes who leads. What has been proposed may come or not; who
// waits for it finds out (Propose).
func (mm *machine) RoleChanged(c multiraft.RoleChange) {
	m := (*Member)(mm)
	m.mu.Lock()
	defer m.mu.Unlock()
	lead := c.Role == multiraft.Leader && m.failure == nil
	if !lead || c.Term != m.term {
		m.queue, m.inflight, m.admitted, m.compact.due = nil, 0, calls.Admissions{}, false
	}
	m.lead, m.term, m.leader = lead, c.Term, int32(c.Leader)
	if c.Leader == 0 {
		m.leader = -1
	}
	m.turnLocked()
	m.duty.wake()
}

func (m *Member) turnLocked() {
	close(m.turn)
	m.turn = make(chan struct{})
}

func (m *Member) failLocked(err error) {
	if m.failure == nil || err == ErrClosed {
		m.failure = err
	}
	m.lead, m.leader, m.queue = false, -1, nil
	m.turnLocked()
}

// NoRoom refuses changes while the disk is full. Those that wait are told so;
// the ones that have been proposed may be made later.
func (mm *machine) NoRoom(err error) {
	m := (*Member)(mm)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noRoom = nil
	if err != nil {
		m.noRoom = fmt.Errorf("%w: %w", ErrStorage, err)
		m.queue = nil
		for at, done := range m.waiting {
			done <- applied{err: m.noRoom}
			delete(m.waiting, at)
		}
	}
	m.turnLocked()
}

func (mm *machine) Failed(err error) {
	m := (*Member)(mm)
	m.opt.Logger.Error("metadata group has failed", "err", err)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failLocked(fmt.Errorf("%w: %w", ErrStorage, err))
}
