package sim

import (
	"sync"
	"time"

	"chronik/internal/clock"
)

// nodeClock is a node's idea of the time: it runs at a rate of its own and jumps.
type nodeClock struct {
	rate  float64
	begin time.Time

	mu     sync.Mutex
	offset time.Duration
}

func newClock(rate float64) *nodeClock { return &nodeClock{rate: rate, begin: time.Now()} }

// Now has no monotonic reading: a jump is seen by every duration, too.
func (c *nodeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	passed := time.Duration(float64(time.Since(c.begin)) * c.rate)
	return c.begin.Round(0).Add(passed + c.offset)
}

func (c *nodeClock) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// scale is the true time that d takes, rounded up: when a timer fires, the clock
// shows that it is due.
func (c *nodeClock) scale(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(float64(d)/c.rate) + time.Microsecond
}

// AfterFunc is not moved by jumps.
func (c *nodeClock) AfterFunc(d time.Duration, f func()) clock.Timer {
	return nodeTimer{time.AfterFunc(c.scale(d), f), c}
}

type nodeTimer struct {
	*time.Timer
	clock *nodeClock
}

func (t nodeTimer) Reset(d time.Duration) bool { return t.Timer.Reset(t.clock.scale(d)) }
