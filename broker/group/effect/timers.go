package effect

import (
	"fmt"
	"time"
)

// Timer is a deadline. It is not armed when it is made, and must not be copied while it is.
type Timer struct {
	// Fire runs in Tick.
	Fire func(now time.Time, fx *Effects)

	at  time.Time
	seq uint64 // order of arming, so that equal deadlines fire in a fixed order
	pos int    // index in the heap + 1; 0 when not armed
}

// Timers is a binary heap of timers by (at, seq). Arming, moving and disarming cost O(log n). The zero value is empty.
type Timers struct {
	heap []*Timer
	seq  uint64
}

// Armed reports whether t will fire.
func (t *Timer) Armed() bool { return t.pos != 0 }

// At is when t fires. Valid while it is armed.
func (t *Timer) At() time.Time { return t.at }

// Arm sets t to fire at a time, whatever it was set to before.
func (ts *Timers) Arm(t *Timer, at time.Time) {
	ts.seq++
	t.at, t.seq = at, ts.seq
	if t.pos == 0 {
		ts.heap = append(ts.heap, t)
		t.pos = len(ts.heap)
	}
	ts.up(t.pos - 1)
	ts.down(t.pos - 1)
}

// Disarm keeps t from firing.
func (ts *Timers) Disarm(t *Timer) {
	if t.pos == 0 {
		return
	}
	i, last := t.pos-1, len(ts.heap)-1
	ts.swap(i, last)
	ts.heap[last] = nil
	ts.heap = ts.heap[:last]
	t.pos = 0
	if i < last {
		ts.up(i)
		ts.down(i)
	}
}

// Next is the earliest deadline; false when there is none.
func (ts *Timers) Next() (time.Time, bool) {
	if len(ts.heap) == 0 {
		return time.Time{}, false
	}
	return ts.heap[0].at, true
}

// Tick fires what is due by now, in the order of the deadlines.
func (ts *Timers) Tick(now time.Time, fx *Effects) {
	for t := ts.due(now); t != nil; t = ts.due(now) {
		t.Fire(now, fx)
	}
}

// due takes the first timer whose deadline has come, or returns nil.
func (ts *Timers) due(now time.Time) *Timer {
	if len(ts.heap) == 0 || ts.heap[0].at.After(now) {
		return nil
	}
	t := ts.heap[0]
	ts.Disarm(t)
	return t
}

func (ts *Timers) less(i, j int) bool {
	a, b := ts.heap[i], ts.heap[j]
	if c := a.at.Compare(b.at); c != 0 {
		return c < 0
	}
	return a.seq < b.seq
}

func (ts *Timers) swap(i, j int) {
	h := ts.heap
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i+1, j+1
}

func (ts *Timers) up(i int) {
	for i > 0 && ts.less(i, (i-1)/2) {
		ts.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (ts *Timers) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(ts.heap) {
			return
		}
		if c+1 < len(ts.heap) && ts.less(c+1, c) {
			c++
		}
		if !ts.less(c, i) {
			return
		}
		ts.swap(i, c)
		i = c
	}
}

// Valid checks the heap: every timer knows its place, and none is before its parent.
func (ts *Timers) Valid() error {
	for i, t := range ts.heap {
		if t.pos != i+1 || i > 0 && ts.less(i, (i-1)/2) {
			return fmt.Errorf("timer %d says it is %d, at %v below %v", i, t.pos-1, t.at, ts.heap[max(i-1, 0)/2].at)
		}
	}
	return nil
}
