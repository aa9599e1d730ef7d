package mapping

import (
	"math"
	"sync"
	"sync/atomic"
)

// Refs counts the references on what is mapped. The zero value is one, the
// owner's. Whoever reads holds another: while there is only the owner's, the
// mapping can be taken away (Take), which waits for nobody.
type Refs struct {
	others  atomic.Int64 // one less than all; below -1: being taken
	opening sync.Mutex
}

// taken is added while the mapping is being taken away.
const taken = math.MinInt64 / 2

// Acquire takes a reference. It is false when the last one is gone.
func (r *Refs) Acquire() bool {
	for {
		n := r.others.Load()
		switch {
		case n >= 0:
			if r.others.CompareAndSwap(n, n+1) {
				return true
			}
		case n < taken/2:
			r.opening.Lock() // until the mapping is gone
			r.opening.Unlock()
		default:
			return false
		}
	}
}

// Release gives a reference back and tells whether it was the last one: then
// what is mapped is the caller's to close, if it has not been taken away.
func (r *Refs) Release() (last bool) {
	n := r.others.Add(-1)
	if n < -1 && n >= taken/2 {
		panic("BUG: mapping: released more often than acquired")
	}
	return n == -1
}

// Retire gives the owner's reference back if there is no other, and tells
// whether it did: nobody reads what is mapped, nor will.
func (r *Refs) Retire() bool { return r.others.CompareAndSwap(0, -1) }

// Open runs open, alone: neither another Open nor a Take runs beside it.
func (r *Refs) Open(open func() error) error {
	r.opening.Lock()
	defer r.opening.Unlock()
	return open()
}

// Take runs unmap if nobody but the owner has a reference and nobody opens, and
// tells whether it did. Who wants a reference meanwhile waits.
func (r *Refs) Take(unmap func()) bool {
	if !r.opening.TryLock() { // whoever opens may be waiting for us to make room
		return false
	}
	defer r.opening.Unlock()
	if !r.others.CompareAndSwap(0, taken) {
		return false
	}
	unmap()
	r.others.Add(-taken) // -1 when the owner released meanwhile: there is nothing left to close
	return true
}
