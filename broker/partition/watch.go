package partition

import "sync/atomic"

// Watcher is woken when there may be more to read, or leadership changed.
type Watcher struct {
	id uint64 // in place of its address, so that a simulation wakes in an order of its own choice
	c  chan struct{}
}

var watchers atomic.Uint64 // made so far

// NewWatcher returns a watcher that may be registered with any number of
// partitions.
func NewWatcher() *Watcher { return &Watcher{id: watchers.Add(1), c: make(chan struct{}, 1)} }

// C receives after every change; several changes may be one receive.
func (w *Watcher) C() <-chan struct{} { return w.c }

// Watch registers w. The caller then reads, so that no change is missed.
func (p *Partition) Watch(w *Watcher) {
	p.mu.Lock()
	if p.watchers == nil {
		p.watchers = map[uint64]*Watcher{}
	}
	p.watchers[w.id] = w
	p.mu.Unlock()
}

// Unwatch ends what Watch began.
func (p *Partition) Unwatch(w *Watcher) {
	p.mu.Lock()
	if delete(p.watchers, w.id); len(p.watchers) == 0 {
		p.watchers = nil // most partitions are not watched
	}
	p.mu.Unlock()
}

func (p *Partition) wakeLocked() {
	for _, w := range p.watchers {
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
}
