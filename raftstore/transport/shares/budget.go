package shares

import (
	"slices"
	"sync"
)

// Budget is a number of bytes that many share. Whoever takes some has to take all
// that it needs at once and give it back in the end: so nobody who has some waits
// for more. Safe for concurrent use.
type Budget struct {
	mu    sync.Mutex
	free  int
	queue []*claim
}

type claim struct {
	bytes   int
	granted chan struct{}
}

// NewBudget returns a budget of n bytes.
func NewBudget(n int) *Budget { return &Budget{free: n} }

// Take waits for n bytes, which must not be more than there are in all; false
// when done came before. First come, first served: a small claim does not pass a
// large one.
func (b *Budget) Take(n int, done <-chan struct{}) bool {
	b.mu.Lock()
	mine := &claim{bytes: n, granted: make(chan struct{})}
	b.queue = append(b.queue, mine)
	b.grantLocked()
	b.mu.Unlock()
	select {
	case <-mine.granted:
		return true
	case <-done:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.queue, mine); i >= 0 {
		b.queue = slices.Delete(b.queue, i, i+1)
	} else {
		b.free += n // both came at once
	}
	b.grantLocked()
	return false
}

// Give returns n bytes.
func (b *Budget) Give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	b.grantLocked()
}

func (b *Budget) grantLocked() {
	for len(b.queue) > 0 && b.queue[0].bytes <= b.free {
		b.free -= b.queue[0].bytes
		close(b.queue[0].granted)
		b.queue = slices.Delete(b.queue, 0, 1)
	}
}

// State is how many bytes are free, and how many wait for some.
func (b *Budget) State() (free, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free, len(b.queue)
}
