package acks

import (
	"errors"
	"sync"
	"time"

	"chronik/broker/partition"
	"chronik/internal/clock"
)

// ErrTimeout is the fate of an append that was not acknowledged in time. It
// stays in the log.
var ErrTimeout = errors.New("not acknowledged in time")

// Target is what an append went to; *partition.Partition is one.
type Target interface{ Behind() bool }

// Wait is the appends of one request. It is their partition.Acker: the token
// is the index of the append.
type Wait struct {
	clock clock.Clock
	told  func(i int, r partition.Result)

	mu      sync.Mutex
	targets []Target // nil where nothing was tried
	waiting []bool   // not told yet
	left    int
	timer   clock.Timer
	done    chan struct{}
}

// New waits for n appends, and for Arm.
func New(c clock.Clock, n int, told func(i int, r partition.Result)) *Wait {
	w := &Wait{clock: c, told: told, targets: make([]Target, n), waiting: make([]bool, n), left: n + 1, done: make(chan struct{})}
	for i := range w.waiting {
		w.waiting[i] = true
	}
	return w
}

// Done is closed when all have been told.
func (w *Wait) Done() <-chan struct{} { return w.done }

// To says what append i goes to.
func (w *Wait) To(i int, t Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.targets[i] = t
}

// Arm drops the hold that it has on Done, and sets the timeout for what is
// still waiting; negative: none.
func (w *Wait) Arm(timeout time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left--
	if w.left == 0 {
		w.closeLocked()
		return
	}
	if timeout >= 0 {
		w.timer = w.clock.AfterFunc(timeout, w.expire)
	}
}

// behindPause is the time between two looks at a partition that is behind.
const behindPause = 50 * time.Millisecond

// expire answers what is still waiting (P11). The batches stay appended. A
// partition with much that has not even been written is waited for: the
// request's memory is held as long as its batch takes as much, so that clients
// that do not wait cannot fill the memory ahead of the disk.
func (w *Wait) expire() {
	held := false
	for i, target := range w.targets { // not changed after Arm
		if target != nil && target.Behind() {
			held = true
			continue
		}
		w.Acked(i, partition.Result{BaseOffset: -1, Err: ErrTimeout})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if held && w.left > 0 {
		w.timer = w.clock.AfterFunc(behindPause, w.expire)
	}
}

// Acked implements partition.Acker. The first fate counts.
func (w *Wait) Acked(i int, r partition.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.waiting[i] {
		return
	}
	w.waiting[i] = false
	w.told(i, r)
	w.left--
	if w.left == 0 {
		w.closeLocked()
	}
}

func (w *Wait) closeLocked() {
	if w.timer != nil {
		w.timer.Stop()
	}
	close(w.done)
}
