package server

import "time"

const (
	sweepInterval = time.Second

	// stallRateBytesPerSecond is the least a peer must send of a frame, or
	// take of a response, on average after Limits.StallGrace.
	stallRateBytesPerSecond = 256 << 10
)

// sweep closes connections that are idle or too slow.
func (s *Server) sweep() {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	conns := s.connsLocked()
	s.mu.Unlock()
	now := s.clock.Now()
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

// transfer is the progress of one frame or response.
type transfer struct {
	active bool
	paused bool // waiting for ourselves, not for the peer
	since  time.Time
	bytes  int64
}

func (t *transfer) tooSlow(now time.Time, grace time.Duration) bool {
	if !t.active || t.paused {
		return false
	}
	return now.Sub(t.since) > grace+time.Duration(t.bytes)*time.Second/stallRateBytesPerSecond
}
