package group

import "time"

// rebalance begins a join phase, or goes on with the one that runs.
func (s *Shard) rebalance(now time.Time, g *group, fx *Effects) {
	if g.state == PreparingRebalance {
		s.maybeCompleteJoin(now, g, fx)
		return
	}
	if g.state == CompletingRebalance {
		for _, m := range g.sorted() {
			m.assignment = nil
			if m.syncing { // J33
				g.answerSync(m, SyncResponse{Err: RebalanceInProgress}, fx)
				s.touch(now, m)
			}
		}
	}
	for _, m := range g.members {
		g.markSynced(m)
	}
	g.syncAppend = 0
	g.initial, g.newcomers = g.state == Empty, false
	g.state = PreparingRebalance
	wait := g.rebalanceTimeout()
	if g.initial {
		delay := min(s.cfg.InitialRebalanceDelay, wait)
		if delay <= 0 {
			s.completeJoin(now, g, fx)
			return
		}
		wait, g.remaining = delay, wait-delay
	}
	s.timers.arm(&g.timer, now.Add(wait))
	s.maybeCompleteJoin(now, g, fx)
}

// maybeCompleteJoin ends the join phase early when everybody is there (J18).
func (s *Shard) maybeCompleteJoin(now time.Time, g *group, fx *Effects) {
	if g.state == PreparingRebalance && !g.initial && g.joining == len(g.members) && len(g.pending) == 0 {
		s.completeJoin(now, g, fx)
	}
}

// phaseTimeout is the group's timer: the end of the initial delay, of the join phase, or of the wait for syncs.
func (s *Shard) phaseTimeout(now time.Time, g *group, fx *Effects) {
	switch g.state {
	case PreparingRebalance:
		if g.initial && g.newcomers && g.remaining > 0 { // J17: more came; wait for more
			delay := min(s.cfg.InitialRebalanceDelay, g.remaining)
			g.newcomers, g.remaining = false, g.remaining-delay
			s.timers.arm(&g.timer, now.Add(delay))
			return
		}
		s.completeJoin(now, g, fx)
	case CompletingRebalance, Stable:
		if g.unsynced == 0 {
			return
		}
		for _, m := range g.sorted() { // J22
			if m.unsynced {
				s.remove(g, m, fx)
			}
		}
		s.rebalance(now, g, fx)
	}
}

// completeJoin ends the join phase: those who came are the next generation (J18, J19).
func (s *Shard) completeJoin(now time.Time, g *group, fx *Effects) {
	s.timers.disarm(&g.timer)
	for _, m := range g.sorted() {
		if !m.joining && m.instanceID == "" {
			s.remove(g, m, fx)
		}
	}
	if len(g.members) > 0 && g.joining == 0 {
		// Only static members that may still come back: their session timers decide.
		s.timers.arm(&g.timer, now.Add(g.rebalanceTimeout()))
		return
	}
	g.generation++
	g.initial = false
	if len(g.members) == 0 {
		s.becomeEmpty(now, g, fx)
		return
	}
	if !g.members[g.leader].joining {
		for _, m := range g.sorted() {
			if m.joining {
				g.leader = m.id
				break
			}
		}
	}
	g.state = CompletingRebalance
	g.protocol = g.selectProtocol()
	g.subscribe()
	members := g.sorted()
	for _, m := range members {
		m.unsynced = true
		m.assignment = nil
	}
	g.unsynced = len(members)
	for _, m := range members {
		g.answerJoin(m, g.joinResponse(m), fx)
		m.isNew = false
		s.touch(now, m)
	}
	s.timers.arm(&g.timer, now.Add(g.rebalanceTimeout()))
}

// becomeEmpty records a generation without members. A failure of the append is of no consequence: at worst a
// later load finds the members of the generation before, and their sessions expire.
func (s *Shard) becomeEmpty(now time.Time, g *group, fx *Effects) {
	g.state, g.stateSince = Empty, now
	g.protocol, g.leader = "", ""
	g.topics, g.topicsKnown = nil, false
	s.emit(fx, []Record{g.record(now, nil)}, pendingAppend{})
	s.armSweep(now, g)
}

// sessionTimeout removes a member that has not been heard of (J41), or a new one whose join was held too long (J21).
func (s *Shard) sessionTimeout(now time.Time, g *group, m *member, fx *Effects) {
	s.remove(g, m, fx)
	s.rebalance(now, g, fx)
}
