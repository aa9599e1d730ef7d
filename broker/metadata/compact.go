package metadata

import (
	"chronik/broker/cluster"
	"chronik/segment"
)

// The log is shortened by an image of the state in it. The leader proposes one
// when nothing else of its own is under way, so that it contains exactly what
// stands before it; each node that has applied it lets its log begin there.

// compaction is where that stands.
type compaction struct {
	commandBytes int  // applied since the latest image
	imageBytes   int  // of the latest image
	due          bool // the leader is to propose an image: nothing else goes before it
	start        segment.Offset
}

// compactBytesMin is how many bytes of commands there are before an image, at
// least; and four times as many as the image before had, so that images are a
// fifth of the log at most.
const (
	compactBytesMin = 4 << 20
	compactFactor   = 4
)

// compactLocked has an image proposed when it is time.
func (m *Member) compactLocked() {
	c := &m.compact
	if m.lead && !c.due && c.commandBytes >= max(m.opt.compactBytesMin, compactFactor*c.imageBytes) {
		c.due = true
	}
	if m.lead && (c.due || len(m.queue) > 0) && m.group != nil {
		m.group.Wake()
	}
}

// takeImageLocked is an image once everything proposed before is applied.
func (m *Member) takeImageLocked() []byte {
	if m.inflight > 0 {
		return nil
	}
	m.inflight++
	m.seq++
	image := &cluster.Image{Ordinal: int64(m.log.NextOffset()), State: m.state} // written at once: no copy is needed
	return cluster.Proposed{Node: m.self, Seq: m.life | m.seq&(1<<32-1), Command: image}.Append(nil)
}

// applyImageLocked applies an image: on most nodes it says what they know.
func (m *Member) applyImageLocked(e *segment.Entry, c *cluster.Image) {
	if e.Term == m.term {
		m.compact.due = false
	}
	behind := c.State.Version() > m.state.Version()
	switch {
	case m.gap:
	case behind:
		m.opt.Logger.Error("a metadata image is of commands that this node does not have", "index", e.Index, "image", c.State.Version(), "here", m.state.Version())
	case c.State.Version() == m.state.Version() && !m.state.Of(e.Payload):
		m.opt.Logger.Error("the metadata of this node differs from the leader's", "index", e.Index, "version", m.state.Version())
	}
	if _, err := m.state.Apply(c); err != nil {
		m.opt.Logger.Info("a metadata image came late and is passed over", "index", e.Index, "err", err)
		return
	}
	if m.gap = false; behind {
		m.jumps++
	}
	m.compact.commandBytes, m.compact.imageBytes = 0, len(e.Payload)
	m.compact.start = e.BaseOffset
	m.duty.wake()
}

// shorten lets the log begin at the latest image.
func (m *Member) shorten() {
	m.mu.RLock()
	start := m.compact.start
	m.mu.RUnlock()
	if start <= m.log.StartOffset() {
		return
	}
	if err := m.log.SetStart(start); err != nil {
		m.opt.Logger.Warn("the metadata log cannot be shortened", "err", err)
		return
	}
	m.opt.Logger.Info("metadata log shortened", "offset", start, "first", m.log.FirstIndex(), "bytes", m.log.Bytes())
}
