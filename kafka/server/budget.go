package server

import (
	"container/list"
	"context"
	"sync"
)

// smallFrameBytesMax is the largest frame that draws on the small budget.
const smallFrameBytesMax = 16 << 10

// budget bounds the bytes of all request buffers. See doc.go, Memory, for why
// it cannot deadlock.
//
// Invariants: used <= limit, but for what the holder of the lifeline acquired
// after it took it; waiters is empty while the lifeline is free.
type budget struct {
	limit int64

	mu       sync.Mutex
	used     int64
	peak     int64 // greatest used so far
	lifeline *grant
	waiters  list.List // of *waiter, first come first served
}

// grant is what one request holds. Not safe for concurrent use.
type grant struct {
	from *budget
	held int64
}

type waiter struct {
	g       *grant
	n       int64
	granted chan struct{}
}

// tryAcquire adds n bytes to g if that needs no waiting.
func (b *budget) tryAcquire(g *grant, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lifeline != g && (b.waiters.Len() > 0 || b.used+n > b.limit) {
		return false
	}
	b.giveLocked(g, n)
	return true
}

// acquire adds n bytes to g, waiting for its turn until ctx ends.
func (b *budget) acquire(ctx context.Context, g *grant, n int64) error {
	if b.tryAcquire(g, n) {
		return nil
	}
	w := &waiter{g: g, n: n, granted: make(chan struct{})}
	b.mu.Lock()
	at := b.waiters.PushBack(w)
	b.serveLocked()
	b.mu.Unlock()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.granted: // it came at the same moment; the caller releases g
	default:
		b.waiters.Remove(at)
		b.serveLocked()
	}
	return ctx.Err()
}

// shrink returns n of the bytes g holds.
func (b *budget) shrink(g *grant, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g.held -= n
	b.used -= n
	if g.held < 0 || b.used < 0 {
		panic("BUG: server: more request bytes released than acquired")
	}
	b.serveLocked()
}

// release returns all that g holds, and the lifeline with it.
func (g *grant) release() {
	b := g.from
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= g.held
	g.held, g.from = 0, nil
	if b.lifeline == g {
		b.lifeline = nil
	}
	b.serveLocked()
}

func (b *budget) giveLocked(g *grant, n int64) {
	g.from = b
	g.held += n
	b.used += n
	b.peak = max(b.peak, b.used)
}

// serveLocked serves waiters from the front: from the budget while there is
// some, then one by the lifeline.
func (b *budget) serveLocked() {
	for e := b.waiters.Front(); e != nil; e = b.waiters.Front() {
		w := e.Value.(*waiter)
		if b.used+w.n > b.limit {
			if b.lifeline != nil {
				return
			}
			b.lifeline = w.g
		}
		b.giveLocked(w.g, w.n)
		b.waiters.Remove(e)
		close(w.granted)
	}
}

// short reports whether anybody waits.
func (b *budget) short() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiters.Len() > 0
}

// usage is the bytes held now and the most ever held.
func (b *budget) usage() (used, peak int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, b.peak
}
