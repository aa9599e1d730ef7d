package replica

import (
	"slices"
	"testing"
	"time"

	"chronik/broker/partition"
)

var rules = Rules{MaxLag: 10 * time.Second, MaxLagEntries: 100, CheckInterval: time.Second}

func TestJudge(t *testing.T) {
	began := time.Unix(1000, 0)
	sec := func(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }
	for _, c := range []struct {
		name   string
		now    float64
		was    member
		r      partition.Replica
		fenced bool
		want   member
	}{
		{"nothing confirmed in this epoch", 0, member{}, partition.Replica{CaughtUp: sec(0)}, false, member{}},
		{"has everything as leadership begins", 0, member{}, partition.Replica{Match: 5, CaughtUp: sec(0)}, false, member{in: true}},
		{"lacks something as leadership begins", 0, member{}, partition.Replica{Match: 5, Lag: 1, CaughtUp: sec(0)}, false, member{}},
		{"had everything since", 3, member{}, partition.Replica{Match: 5, Lag: 1, CaughtUp: sec(2)}, false, member{in: true}},
		{"stays with a lag", 8, member{in: true}, partition.Replica{Match: 5, Lag: 50, CaughtUp: sec(0)}, false, member{in: true}},
		{"out before MaxLag has passed", 9, member{in: true}, partition.Replica{Match: 5, CaughtUp: sec(0)}, false, member{}},
		{"silent and not behind is not enough to return", 9, member{}, partition.Replica{Match: 5, CaughtUp: sec(0)}, false, member{}},
		{"far behind, just now", 3, member{in: true}, partition.Replica{Match: 5, Lag: 101, CaughtUp: sec(2)}, false, member{in: true, behind: sec(3)}},
		{"far behind for a check", 4, member{in: true, behind: sec(3)}, partition.Replica{Match: 5, Lag: 101, CaughtUp: sec(2)}, false, member{in: true, behind: sec(3)}},
		{"far behind for longer", 4.1, member{in: true, behind: sec(3)}, partition.Replica{Match: 5, Lag: 101, CaughtUp: sec(2)}, false, member{behind: sec(3)}},
		{"less far behind", 4.1, member{in: true, behind: sec(3)}, partition.Replica{Match: 5, Lag: 100, CaughtUp: sec(2)}, false, member{in: true}},
		{"far behind does not return", 3, member{}, partition.Replica{Match: 5, Lag: 101, CaughtUp: sec(2)}, false, member{behind: sec(3)}},
		{"fenced", 1, member{in: true}, partition.Replica{Match: 5, CaughtUp: sec(1)}, true, member{}},
		{"a learner", 1, member{}, partition.Replica{Match: 5, CaughtUp: sec(1), Learner: true}, false, member{}},
	} {
		if got := rules.judge(sec(c.now), began, c.was, c.r, c.fenced); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestSuccessors(t *testing.T) {
	rs := []partition.Replica{{Node: 2, Match: 9}, {Node: 3, Match: 7}, {Node: 4, Match: 8}, {Node: 5}, {Node: 6, Match: 9, Learner: true}, {Node: 7, Match: 9}}
	inSync := func(n uint64) bool { return n == 3 || n == 4 }
	able := func(n uint64) bool { return n != 7 }
	if got := successors(rs, inSync, able); !slices.Equal(got, []uint64{4, 3, 2}) {
		t.Errorf("got %v, want those in sync first, with most first: 4, 3, 2", got)
	}
}
