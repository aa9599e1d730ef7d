package peers

import (
	"time"

	"chronik/segment"
)

// Replica is another member of a group, as its leader knows it.
type Replica struct {
	Node     uint64
	Match    segment.Index // it has everything up to here, durable
	Lag      uint64        // entries of the leader behind Match
	Heard    time.Time     // the latest message from it in this term, or the term's begin
	CaughtUp time.Time     // the latest time at which it is known to have had all that the leader had, or the term's begin
	Learner  bool
}

// Table is what a leader knows of the other members in its term.
type Table struct {
	began time.Time
	peers []peer
	last  uint64 // the leader's last index as of the tick before
	moved bool   // a member may be further than the latest Set told
}

type peer struct {
	Replica
	seen bool // by the Set under way
}

// Begin forgets everything: a term begins.
func (t *Table) Begin(now time.Time, last uint64) { *t = Table{began: now, last: last, moved: true} }

// Heard notes a message from a member; moved: it may tell of progress. Who is
// no member is ignored.
func (t *Table) Heard(node uint64, now time.Time, moved bool) {
	if moved {
		t.moved = true
	}
	for i := range t.peers {
		if t.peers[i].Node == node {
			t.peers[i].Heard = now
			return
		}
	}
}

// Set tells what raft knows of a member. Members that the calls between two of
// Settle do not name are forgotten.
func (t *Table) Set(node, match uint64, learner bool) {
	for i := range t.peers {
		if p := &t.peers[i]; p.Node == node {
			p.Match, p.Learner, p.seen = segment.Index(match), learner, true
			return
		}
	}
	t.peers = append(t.peers, peer{seen: true,
		Replica: Replica{Node: node, Match: segment.Index(match), Learner: learner, Heard: t.began, CaughtUp: t.began}})
}

// Settle ends a run of Set.
func (t *Table) Settle() {
	rest := t.peers[:0]
	for _, p := range t.peers {
		if p.seen {
			p.seen = false
			rest = append(rest, p)
		}
	}
	t.peers, t.moved = rest, false
}

// Moved tells that the table may be behind what raft knows; Stale makes it so.
func (t *Table) Moved() bool { return t.moved }

// Stale notes that the members may have changed.
func (t *Table) Stale() { t.moved = true }

// Tick notes who has caught up: whoever has all that the leader had at the tick
// before had caught up when it was last heard of. last is the leader's last
// index now; the table must not be behind (Moved).
func (t *Table) Tick(last uint64) {
	for i := range t.peers {
		if p := &t.peers[i]; uint64(p.Match) >= t.last && p.Heard.After(p.CaughtUp) {
			p.CaughtUp = p.Heard
		}
	}
	t.last = last
}

// Append appends the members to dst; last is the leader's last index.
func (t *Table) Append(dst []Replica, last uint64) []Replica {
	for i := range t.peers {
		r := t.peers[i].Replica
		r.Lag = last - min(last, uint64(r.Match))
		dst = append(dst, r)
	}
	return dst
}

// Retained is the first index that a member may still need, and last+1 when
// there is no other member.
func (t *Table) Retained(last uint64) segment.Index {
	least := segment.Index(last)
	for i := range t.peers {
		least = min(least, t.peers[i].Match)
	}
	return least + 1
}
