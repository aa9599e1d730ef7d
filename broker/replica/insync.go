package replica

import (
	"cmp"
	"slices"
	"time"

	"chronik/broker/partition"
)

// Rules say when a replica is in sync.
type Rules struct {
	MaxLag        time.Duration // it has not had everything for as long: out
	MaxLagEntries uint64        // it lacks more for longer than CheckInterval: out
	CheckInterval time.Duration
}

// lagMax is how long ago a replica in sync had everything. It is less than
// MaxLag by what it takes to notice, so that a replica that has stopped is out
// before MaxLag has passed.
func (r Rules) lagMax() time.Duration {
	return max(r.MaxLag-r.CheckInterval*3/2, r.MaxLag/2)
}

// member is what is remembered of another replica from one look to the next.
type member struct {
	in     bool
	behind time.Time // since when it lacks more than MaxLagEntries; zero: it does not
}

// judge decides whether a replica is in sync. began is when leadership did; a
// fenced replica's broker has lost contact with the cluster.
func (r Rules) judge(now, began time.Time, m member, p partition.Replica, fenced bool) member {
	switch {
	case p.Lag <= r.MaxLagEntries:
		m.behind = time.Time{}
	case m.behind.IsZero():
		m.behind = now
	}
	recent := now.Sub(p.CaughtUp) <= r.lagMax()
	switch {
	case fenced || p.Learner || p.Match == 0: // 0: it has confirmed nothing in this epoch
		m.in = false
	case m.in:
		m.in = recent && (m.behind.IsZero() || now.Sub(m.behind) <= r.CheckInterval)
	default:
		m.in = recent && (p.Lag == 0 || p.CaughtUp.After(began) && m.behind.IsZero())
	}
	return m
}

// successors orders the other replicas by how well they would lead: those in
// sync first, then those that have more. Fenced ones and those that are about
// to leave come never.
func successors(rs []partition.Replica, inSync, leads func(node uint64) bool) []uint64 {
	var out []partition.Replica
	for _, p := range rs {
		if p.Match > 0 && !p.Learner && leads(p.Node) {
			out = append(out, p)
		}
	}
	rank := func(p partition.Replica) int {
		if inSync(p.Node) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(a, b partition.Replica) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.Match, a.Match))
	})
	nodes := make([]uint64, len(out))
	for i, p := range out {
		nodes[i] = p.Node
	}
	return nodes
}
