package classic

import (
	"time"

	"chronik/broker/group/effect"
)

// rebalance begins a join phase, or goes on with the one that runs.
func (g *Group) rebalance(now time.Time, fx *effect.Effects) {
	if g.state == PreparingRebalance {
		g.maybeCompleteJoin(now, fx)
		return
	}
	if g.state == CompletingRebalance {
		for _, m := range g.sorted() {
			m.assignment = nil
			if m.syncing { // J33
				g.answerSync(m, SyncResponse{Err: effect.RebalanceInProgress}, fx)
				g.touch(now, m)
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
		delay := min(g.env.InitialRebalanceDelay, wait)
		if delay <= 0 {
			g.completeJoin(now, fx)
			return
		}
		wait, g.remaining = delay, wait-delay
	}
	g.env.Timers.Arm(&g.timer, now.Add(wait))
	g.maybeCompleteJoin(now, fx)
}

// maybeCompleteJoin ends the join phase early when everybody is there (J18).
func (g *Group) maybeCompleteJoin(now time.Time, fx *effect.Effects) {
	if g.state == PreparingRebalance && !g.initial && g.joining == len(g.members) && len(g.pending) == 0 {
		g.completeJoin(now, fx)
	}
}

// phaseTimeout is the group's timer: the end of the initial delay, of the join phase, or of the wait for syncs.
func (g *Group) phaseTimeout(now time.Time, fx *effect.Effects) {
	switch g.state {
	case PreparingRebalance:
		if g.initial && g.newcomers && g.remaining > 0 { // J17: more came; wait for more
			delay := min(g.env.InitialRebalanceDelay, g.remaining)
			g.newcomers, g.remaining = false, g.remaining-delay
			g.env.Timers.Arm(&g.timer, now.Add(delay))
			return
		}
		g.completeJoin(now, fx)
	case CompletingRebalance, Stable:
		if g.unsynced == 0 {
			return
		}
		for _, m := range g.sorted() { // J22
			if m.unsynced {
				g.remove(m, fx)
			}
		}
		g.rebalance(now, fx)
	}
}

// completeJoin ends the join phase: those who came are the next generation (J18, J19).
func (g *Group) completeJoin(now time.Time, fx *effect.Effects) {
	g.env.Timers.Disarm(&g.timer)
	for _, m := range g.sorted() {
		if !m.joining && m.instanceID == "" {
			g.remove(m, fx)
		}
	}
	if len(g.members) > 0 && g.joining == 0 {
		// Only static members that may still come back: their session timers decide.
		g.env.Timers.Arm(&g.timer, now.Add(g.rebalanceTimeout()))
		return
	}
	g.generation++
	g.initial = false
	if len(g.members) == 0 {
		g.becomeEmpty(now, fx)
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
		g.weigh(m)
	}
	g.unsynced = len(members)
	for _, m := range members {
		g.answerJoin(m, g.joinResponse(m), fx)
		m.isNew = false
		g.touch(now, m)
	}
	g.env.Timers.Arm(&g.timer, now.Add(g.rebalanceTimeout()))
}

// becomeEmpty records a generation without members. A failure of the append is of no consequence: at worst a
// later load finds the members of the generation before, and their sessions expire.
func (g *Group) becomeEmpty(now time.Time, fx *effect.Effects) {
	g.state, g.stateSince = Empty, now
	g.protocol, g.leader = "", ""
	g.topics, g.topicsKnown = nil, false
	g.env.Log.Emit(fx, []effect.Record{g.record(now, nil)}, effect.Pending{})
	g.env.Emptied(now, g)
}

// sessionTimeout removes a member that has not been heard of (J41), or a new one whose join was held too long (J21).
func (g *Group) sessionTimeout(now time.Time, m *member, fx *effect.Effects) {
	g.remove(m, fx)
	g.rebalance(now, fx)
}
