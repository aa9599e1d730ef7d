package group

import "time"

// timer is a deadline of a group or a member; fire runs in Tick, on the Shard's goroutine.
type timer struct {
	at   time.Time
	seq  uint64 // order of arming, so that equal deadlines fire in a fixed order
	pos  int    // index in the heap + 1; 0 when not armed
	fire func(now time.Time, fx *Effects)
}

// timers is a binary heap by (at, seq). Arming, moving and disarming cost O(log n).
type timers struct {
	heap []*timer
	seq  uint64
}

func (ts *timers) arm(t *timer, at time.Time) {
	ts.seq++
	t.at, t.seq = at, ts.seq
	if t.pos == 0 {
		ts.heap = append(ts.heap, t)
		t.pos = len(ts.heap)
	}
	ts.up(t.pos - 1)
	ts.down(t.pos - 1)
}

func (ts *timers) disarm(t *timer) {
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

// due takes the first timer whose deadline has come, or returns nil.
func (ts *timers) due(now time.Time) *timer {
	if len(ts.heap) == 0 || ts.heap[0].at.After(now) {
		return nil
	}
	t := ts.heap[0]
	ts.disarm(t)
	return t
}

func (ts *timers) less(i, j int) bool {
	a, b := ts.heap[i], ts.heap[j]
	if c := a.at.Compare(b.at); c != 0 {
		return c < 0
	}
	return a.seq < b.seq
}

func (ts *timers) swap(i, j int) {
	h := ts.heap
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i+1, j+1
}

func (ts *timers) up(i int) {
	for i > 0 && ts.less(i, (i-1)/2) {
		ts.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (ts *timers) down(i int) {
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
