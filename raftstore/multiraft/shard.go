package multiraft

import "sync"

// shard is one goroutine and the groups it runs: those that have something to
// do, in the order in which they came to have it.
type shard struct {
	mu            sync.Mutex
	work          *sync.Cond
	ready         []*Group // a group stands here at most once, see Group.queued
	spare         []*Group
	ticking       []*Group // replaced, never changed in place, but for appends
	dirty         []*Group // commit index moved since the last checkpoint
	tickDue       bool     // ticks that find the shard busy are one: time stands still for it
	checkpointDue bool
	stop          bool
}

func newShard() *shard {
	s := &shard{}
	s.work = sync.NewCond(&s.mu)
	return s
}

func (s *shard) push(g *Group) {
	s.mu.Lock()
	s.ready = append(s.ready, g)
	s.mu.Unlock()
	s.work.Signal()
}

// signal sets one of the shard's flags.
func (s *shard) signal(flag *bool) {
	s.mu.Lock()
	*flag = true
	s.mu.Unlock()
	s.work.Signal()
}

// run is the shard's goroutine.
func (s *shard) run() {
	for {
		s.mu.Lock()
		for len(s.ready) == 0 && !s.tickDue && !s.checkpointDue && !s.stop {
			s.work.Wait()
		}
		if s.stop {
			s.mu.Unlock()
			return
		}
		ready := s.ready
		s.ready, s.spare = s.spare[:0], nil
		var ticking, dirty []*Group
		if s.tickDue {
			s.tickDue, ticking = false, s.ticking
		}
		if s.checkpointDue {
			s.checkpointDue, dirty, s.dirty = false, s.dirty, nil
		}
		s.mu.Unlock()
		for i, g := range ready {
			ready[i] = nil
			g.queued.Store(false) // before it looks: what comes now queues it again
			g.process()
		}
		for _, g := range ticking {
			g.tick()
		}
		checkpoint(dirty)
		s.mu.Lock()
		s.spare = ready
		s.mu.Unlock()
	}
}

// checkpoint records the commit indexes that have moved and hands them to the
// operating system.
func checkpoint(dirty []*Group) {
	for _, g := range dirty {
		g.checkpoint()
	}
	if len(dirty) > 0 {
		dirty[0].host.opt.HardStates.Checkpoint(nil)
	}
}

func (s *shard) addDirty(g *Group) {
	s.mu.Lock()
	s.dirty = append(s.dirty, g)
	s.mu.Unlock()
}

// setTicking makes a group be ticked or not.
func (s *shard) setTicking(g *Group, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		s.ticking = append(s.ticking, g)
		return
	}
	for i, t := range s.ticking {
		if t == g {
			rest := make([]*Group, 0, len(s.ticking)-1)
			s.ticking = append(append(rest, s.ticking[:i]...), s.ticking[i+1:]...)
			return
		}
	}
}
