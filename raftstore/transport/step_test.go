package transport

import (
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"chronik/internal/clock"
)

// stepped is the real clock after the time of day was set: the monotonic reading
// of its times is as before.
type stepped struct {
	clock.Clock
	seconds atomic.Int64
}

func (s *stepped) Now() time.Time {
	t := s.Clock.Now()
	// The first word of a time with a monotonic reading: a flag, seconds since
	// 1885 (33 bits), nanoseconds (30 bits).
	*(*uint64)(unsafe.Pointer(&t)) += uint64(s.seconds.Load()) << 30
	return t
}

// step sets the time of day, and makes sure that it did what it says.
func (s *stepped) step(t *testing.T, by time.Duration) {
	t.Helper()
	before := s.Now()
	s.seconds.Store(int64(by / time.Second))
	after := s.Now()
	wall := after.Round(0).Sub(before.Round(0))
	if elapsed := after.Sub(before); elapsed < 0 || elapsed > time.Hour || (wall-elapsed-by).Abs() > time.Second {
		t.Fatalf("time.Time has another layout: a step by %v moved the time of day by %v, and the monotonic reading by %v", by, wall, elapsed)
	}
}

// TestTimeOfDayIsSet: setting the clock, in either direction, neither ends a
// connection nor hides that one is silent.
func TestTimeOfDayIsSet(t *testing.T) {
	for _, by := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		clk := &stepped{Clock: clock.Real}
		a, b := pair(t, func(o *Options) { o.Clock = clk })
		until(t, "the connections", func() bool { return a.connectedTo(2) && b.connectedTo(1) })
		c := a.peer(2).small.current()
		clk.step(t, by)
		now := clk.Now()
		if c.watch(now); c.reason() != nil {
			t.Errorf("a step by %v ended a connection: %v", by, c.reason())
		}
		if c.watch(now.Add(2 * bulkSilenceMax)); c.reason() != errSilent {
			t.Errorf("behind a step by %v a silent connection was not seen: %v", by, c.reason())
		}
		last := a.Peers()[0].LastHeard
		if heard := clk.Now().Sub(last); heard < 0 || heard > time.Hour {
			t.Errorf("behind a step by %v a peer was last heard %v ago", by, heard)
		}
	}
}
