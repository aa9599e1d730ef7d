package reads

import "sync"

// WaitersMax is how many may wait in one Rounds.
const WaitersMax = 4096

// Rounds are the reads of one group that wait. Ask and Waiting may be called by
// anyone, the rest by the runner of the group alone.
type Rounds struct {
	mu      sync.Mutex
	asking  []func(error) // for the next round
	waiting int           // all of them, in every stage
	closed  error

	seq       uint64 // of the round under way, or of the latest
	asked     []func(error)
	age       int // of the round under way, in ticks
	confirmed []confirmed
}

// confirmed is a round whose index is known: it waits until that is applied.
type confirmed struct {
	index   uint64
	waiters []func(error)
}

// Ask has done called once, by the runner; or at once, with the error of Close.
// It reports whether there was room for one more: otherwise done is not called.
func (r *Rounds) Ask(done func(error)) bool {
	r.mu.Lock()
	closed, room := r.closed, r.waiting < WaitersMax
	if closed == nil && room {
		r.asking = append(r.asking, done)
		r.waiting++
	}
	r.mu.Unlock()
	if closed != nil {
		done(closed)
		return true
	}
	return room
}

// Due tells that a round should begin: somebody asks and none is under way.
func (r *Rounds) Due() bool {
	if r.asked != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asking) > 0
}

// Begin makes those who ask the round under way and gives its number.
func (r *Rounds) Begin() uint64 {
	r.mu.Lock()
	r.asked, r.asking = r.asking, nil
	r.mu.Unlock()
	r.seq++
	r.age = 0
	return r.seq
}

// Confirm tells the index that a round must see applied. A round that is over
// is ignored.
func (r *Rounds) Confirm(seq, index uint64) {
	if seq != r.seq || r.asked == nil {
		return
	}
	r.confirmed = append(r.confirmed, confirmed{index, r.asked})
	r.asked = nil
}

// Applied ends the rounds that waited for an index up to this one.
func (r *Rounds) Applied(index uint64) {
	if len(r.confirmed) == 0 {
		return
	}
	rest := r.confirmed[:0]
	for _, c := range r.confirmed {
		if c.index > index {
			rest = append(rest, c)
			continue
		}
		r.end(c.waiters, nil)
	}
	clear(r.confirmed[len(rest):])
	if r.confirmed = rest; len(rest) == 0 {
		r.confirmed = nil
	}
}

// Tick ends the round under way with err when it is ticksMax old: the request
// or its answer was lost.
func (r *Rounds) Tick(ticksMax int, err error) {
	if r.asked == nil {
		return
	}
	if r.age++; r.age >= ticksMax {
		r.abandon(err)
	}
}

// Abandon ends the round under way and those who ask: there is no leader, or
// another one. What is confirmed stays.
func (r *Rounds) Abandon(err error) {
	r.abandon(err)
	r.mu.Lock()
	asking := r.asking
	r.asking = nil
	r.mu.Unlock()
	r.end(asking, err)
}

func (r *Rounds) abandon(err error) {
	asked := r.asked
	r.asked = nil
	r.end(asked, err)
}

// Close ends all that wait, and whoever asks from now on, with err.
func (r *Rounds) Close(err error) {
	r.mu.Lock()
	r.closed = err
	r.mu.Unlock()
	r.Abandon(err)
	for _, c := range r.confirmed {
		r.end(c.waiters, err)
	}
	r.confirmed = nil
}

func (r *Rounds) end(waiters []func(error), err error) {
	if len(waiters) == 0 {
		return
	}
	r.mu.Lock()
	r.waiting -= len(waiters)
	r.mu.Unlock()
	for _, done := range waiters {
		done(err)
	}
}
