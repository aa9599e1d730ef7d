package hurry

import "slices"

// StaggerTicks is the time between two members' attempts to replace a leader
// whose process is gone: enough for the first to be elected.
const StaggerTicks = 3

// Wish is a member's for a leader. The zero value is none. It campaigns at each
// tick, since the others may learn later that they need a leader, until there is
// one or the wish has ended and raft's own timers go on.
type Wish struct {
	wait  int // ticks until it campaigns
	ticks int // after that, ticks for which it goes on; 0: no wish
	due   bool
}

// New is the wish of a member of a rank, for so many ticks from its first
// campaign on; of none, if the rank is negative.
func New(rank, ticks int) Wish {
	if rank < 0 {
		return Wish{}
	}
	return Wish{wait: rank * StaggerTicks, ticks: ticks, due: rank == 0}
}

// Due reports whether the member is to campaign at the next run.
func (w *Wish) Due() bool { return w.due }

// Take is Due, once.
func (w *Wish) Take() bool {
	due := w.due
	w.due = false
	return due
}

// Tick reports whether the member is to campaign. led: there is a leader; busy:
// votes may be on their way to this member, and it must not begin anew.
func (w *Wish) Tick(led, busy bool) bool {
	switch {
	case w.ticks == 0:
		return false
	case led:
		*w = Wish{}
	case w.wait > 0:
		w.wait--
		w.due = w.wait == 0
	default:
		w.ticks--
		w.due = w.ticks > 0 && !busy
	}
	return w.due
}

// Rank is self's place among the voters that remain without the given one, or
// -1 if it is no voter. They go in the given order, and those that it does not
// name, who joined later, behind it by their ids.
func Rank(self, without uint64, order, voters []uint64) int {
	if !slices.Contains(voters, self) {
		return -1
	}
	place := func(id uint64) (int, uint64) {
		if i := slices.Index(order, id); i >= 0 {
			return i, 0
		}
		return len(order), id
	}
	mine, last := place(self)
	rank := 0
	for _, id := range voters {
		if i, by := place(id); id != without && (i < mine || i == mine && by < last) {
			rank++
		}
	}
	return rank
}
