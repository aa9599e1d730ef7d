package server

import "time"

const (
	sweepInterval = time.Second

	// stallRateBytesPerSecond is the least a peer must send of a frame, or
	// take of a response, on average after Limits.StallGrace.
	stallRateBytesPerSecond = 256 << 10
)

// sweep closes connections that are idle or too slow, and wakes long polls
// that hold memory which others wait for: they are answered with what there is.
func (s *Server) sweep() {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	conns := s.connsLocked()
	s.mu.Unlock()
	now := s.clock.Now()
	for _, b := range []*budget{s.small, s.large, s.work} {
		if !b.short() {
			continue
		}
		for _, c := range conns {
			c.wake(b)
		}
	}
	for _, c := range conns {
		if reason := c.overdue(now); reason != 0 {
			c.abort(reason)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.sweeper.Reset(sweepInterval)
	}
}

// overdue says why c should be closed, or 0.
func (c *Conn) overdue(now time.Time) CloseReason {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.server.limits
	switch {
	case c.reading.tooSlow(now, l.StallGrace):
		return ClosedStalledRead
	case c.writing.tooSlow(now, l.StallGrace):
		return ClosedStalledWrite
	case l.IdleMax > 0 && c.underWay == 0 && !c.reading.active && now.Sub(c.lastActive) > l.IdleMax:
		return ClosedIdle
	}
	return 0
}

// holdUnsent counts n bytes of a response that is to be written. When all
// together hold more than requests may, those are closed that hold most and
// have not been taken for longer than unsentGrace.
func (s *Server) holdUnsent(n int64) {
	over := s.unsent.Add(n) - s.limits.RequestBytesMax
	if over <= 0 {
		return
	}
	s.mu.Lock()
	conns := s.connsLocked()
	s.mu.Unlock()
	for over > 0 {
		c, held := mostUnsent(conns, s.clock.Now())
		if c == nil {
			return
		}
		c.abort(ClosedStalledWrite)
		over -= held
	}
}

// unsentGrace is how long a response may be under way before it can be given
// up for the memory that it holds.
const unsentGrace = time.Second

// mostUnsent takes from the connections the one to close and what it holds,
// nil: none.
func mostUnsent(conns []*Conn, now time.Time) (worst *Conn, most int64) {
	for _, c := range conns {
		c.mu.Lock()
		if w := &c.writing; w.active && w.heap > most && now.Sub(w.began) > unsentGrace && c.ctx.Err() == nil {
			worst, most = c, w.heap
		}
		c.mu.Unlock()
	}
	return worst, most
}

// transfer is the progress of one frame, or of the responses of a connection.
type transfer struct {
	active bool
	paused bool // waiting for ourselves, not for the peer
	since  time.Time
	bytes  int64

	// Of responses only.
	began time.Time     // this one
	ended time.Time     // the one before
	heap  int64         // bytes of memory that wait with it
	owed  time.Duration // by which the peer was slower than it may be, when the last one ended
}

func (t *transfer) tooSlow(now time.Time, grace time.Duration) bool {
	if !t.active || t.paused {
		return false
	}
	return now.Sub(t.since) > grace+t.allowed()
}

// allowed is the time that the bytes so far may have taken.
func (t *transfer) allowed() time.Duration {
	return time.Duration(t.bytes) * time.Second / stallRateBytesPerSecond
}

// begin starts a response. A peer that takes each at the last moment is as slow
// as one that does not take the first: what it was slower in the ones before
// counts, less the time since when nothing was waiting for it.
func (t *transfer) begin(now time.Time, heap int64) {
	owed := max(0, t.owed-now.Sub(t.ended))
	*t = transfer{active: true, since: now.Add(-owed), began: now, heap: heap, ended: t.ended}
}

func (t *transfer) end(now time.Time) {
	t.active, t.heap, t.ended = false, 0, now
	t.owed = max(0, now.Sub(t.since)-t.allowed())
}
