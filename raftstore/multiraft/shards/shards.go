package shards

import "sync"

// Task is something to run.
type Task interface {
	Run() // it has something to do; it may be pushed again from here on
	Tick()
	Peer(Event)
	Checkpoint()
}

// Event is something that happened to another node.
type Event struct {
	Node uint64
	Down bool // its process is gone; else: messages to it were lost
}

// Shard is one goroutine and the tasks it runs.
type Shard struct {
	afterCheckpoint func()

	mu            sync.Mutex
	work          *sync.Cond
	ready         []Task
	spare         []Task
	ticking       []Task // replaced, never changed in place, but for appends
	dirty         []Task // to be checkpointed
	events        []Event
	tickDue       bool
	checkpointDue bool
	stop          bool
}

// New makes a shard. Its goroutine is the caller's: Run. afterCheckpoint is
// called there after the checkpoints of one or more tasks.
func New(afterCheckpoint func()) *Shard {
	s := &Shard{afterCheckpoint: afterCheckpoint}
	s.work = sync.NewCond(&s.mu)
	return s
}

// Push has a task run.
func (s *Shard) Push(t Task) {
	s.change(func() { s.ready = append(s.ready, t) })
}

// Tick has the tasks tick.
func (s *Shard) Tick() { s.change(func() { s.tickDue = true }) }

// Checkpoint has those tasks checkpointed that asked for it.
func (s *Shard) Checkpoint() { s.change(func() { s.checkpointDue = true }) }

// Peer tells the tasks that tick of an event.
func (s *Shard) Peer(e Event) {
	s.change(func() {
		if n := len(s.events); n == 0 || s.events[n-1] != e {
			s.events = append(s.events, e)
		}
	})
}

// Stop ends Run, as soon as the task that runs is done.
func (s *Shard) Stop() { s.change(func() { s.stop = true }) }

func (s *Shard) change(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
	s.work.Signal()
}

// WantCheckpoint puts a task on the list for the next checkpoint. The caller
// sees to it that it is there once.
func (s *Shard) WantCheckpoint(t Task) {
	s.mu.Lock()
	s.dirty = append(s.dirty, t)
	s.mu.Unlock()
}

// Run runs tasks until Stop.
func (s *Shard) Run() {
	for {
		s.mu.Lock()
		for len(s.ready) == 0 && len(s.events) == 0 && !s.tickDue && !s.checkpointDue && !s.stop {
			s.work.Wait()
		}
		if s.stop {
			s.mu.Unlock()
			return
		}
		ready, ticking, tick, events := s.ready, s.ticking, s.tickDue, s.events
		s.ready, s.spare, s.tickDue, s.events = s.spare[:0], nil, false, nil
		var dirty []Task
		if s.checkpointDue {
			s.checkpointDue, dirty, s.dirty = false, s.dirty, nil
		}
		s.mu.Unlock()
		for i, t := range ready {
			ready[i] = nil
			t.Run()
		}
		for _, e := range events {
			for _, t := range ticking {
				t.Peer(e)
			}
		}
		if tick {
			for _, t := range ticking {
				t.Tick()
			}
		}
		for _, t := range dirty {
			t.Checkpoint()
		}
		if len(dirty) > 0 {
			s.afterCheckpoint()
		}
		s.mu.Lock()
		s.spare = ready
		s.mu.Unlock()
	}
}

// SetTicking makes a task tick or not.
func (s *Shard) SetTicking(task Task, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		s.ticking = append(s.ticking, task)
		return
	}
	for i, t := range s.ticking {
		if t == task {
			rest := make([]Task, 0, len(s.ticking)-1)
			s.ticking = append(append(rest, s.ticking[:i]...), s.ticking[i+1:]...)
			return
		}
	}
}
