package flush

import (
	"sync"
	"time"

	"chronik/internal/clock"
	"chronik/internal/vfs"
)

// Member is a log that takes part in rounds.
type Member interface {
	// Begin fixes what the round is to make durable; ok is false when nobody
	// waits for it. With a device, the member is written out (StartOut,
	// WaitOut) and durable with a flush of it; with 0 it wants Sync. alone
	// tells that there is nobody to share a flush with.
	Begin(alone bool) (dev vfs.Device, ok bool)
	// StartOut begins to write to the device, WaitOut returns once it is done.
	StartOut()
	WaitOut() error
	// Sync makes the member durable by itself.
	Sync() error
	// OpenClean opens a file of the device to which nobody writes.
	OpenClean() (vfs.File, error)
	// End says how it went, after Begin was ok.
	End(error)
}

// Options describe a Syncer.
type Options struct {
	// Parallel is how many goroutines work on a round; 0: 16.
	Parallel int
	Clock    clock.Clock // nil: clock.Real
	// Observe is told of each round, by who ran it; nil: nobody.
	Observe func(Round)
}

// Round is one round of a Syncer.
type Round struct {
	Logs    int // members
	Flushed int // of these, those that shared a flush
	Took    time.Duration
}

// Syncer makes the logs of a node durable together.
type Syncer struct {
	o    Options
	wake chan struct{} // hands the duty to run rounds to loop
	idle chan struct{} // closed, and nobody runs rounds any more
	done chan struct{}

	mu      sync.Mutex
	queue   []Member
	running bool // somebody has the duty to run rounds until the queue is empty, and owns round
	closed  bool

	round round
}

// New starts a syncer.
func New(o Options) *Syncer {
	if o.Parallel <= 0 {
		o.Parallel = 16
	}
	if o.Clock == nil {
		o.Clock = clock.Real
	}
	s := &Syncer{o: o, wake: make(chan struct{}, 1), idle: make(chan struct{}), done: make(chan struct{})}
	s.round.work = make(chan struct{})
	s.round.clean = map[vfs.Device]vfs.File{}
	go s.loop()
	return s
}

// Add puts a member into the round that gathers; it must not be there already.
// With lead, and no round under way, the caller runs one itself, of this member
// alone: for one who waits that is sooner than to wake another goroutine. False:
// the syncer is closed and the member was not taken.
func (s *Syncer) Add(m Member, lead bool) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	mine := !s.running
	s.running = true
	if mine && lead {
		s.mu.Unlock()
		s.round.members = append(s.round.members[:0], m)
		s.runRound()
		if s.more() {
			s.wake <- struct{}{}
		}
		return true
	}
	s.queue = append(s.queue, m)
	s.mu.Unlock()
	if mine {
		s.wake <- struct{}{}
	}
	return true
}

func (s *Syncer) loop() {
	defer close(s.done)
	for {
		select {
		case <-s.wake:
			for more := true; more; more = s.more() {
				s.mu.Lock()
				s.round.members, s.queue = s.queue, s.round.members[:0]
				s.mu.Unlock()
				s.runRound()
			}
		case <-s.idle:
			s.round.close()
			return
		}
	}
}

// more tells whether there is another round to run, and drops the duty if not.
func (s *Syncer) more() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = len(s.queue) > 0
	if !s.running && s.closed {
		close(s.idle)
	}
	return s.running
}

func (s *Syncer) runRound() {
	begin := s.o.Clock.Now()
	n := s.round.run(s.o.Parallel)
	if s.o.Observe != nil && n.Logs > 0 {
		n.Took = s.o.Clock.Now().Sub(begin)
		s.o.Observe(n)
	}
}

// Close finishes the round that gathers and stops.
func (s *Syncer) Close() {
	s.mu.Lock()
	if !s.closed && !s.running {
		close(s.idle)
	}
	s.closed = true
	s.mu.Unlock()
	<-s.done
}
