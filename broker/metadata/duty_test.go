package metadata

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/metadata/calls"
	"chronik/internal/clock"
	"chronik/raftstore/multiraft"
)

// bare is a leader of three brokers without a group, on a clock of its own.
func bare(t *testing.T) (*Member, *clock.Manual) {
	t.Helper()
	c := clock.NewManual(time.Unix(1_700_000_000, 0))
	m := &Member{opt: Options{Clock: c, Session: 6 * time.Second, Logger: testLog()}, self: 1, state: cluster.New(), lead: true, term: 4}
	m.duty.init()
	t.Cleanup(m.duty.cancel)
	for id := range int32(3) {
		if _, err := m.state.Apply(&cluster.RegisterBroker{ID: id + 1}); err != nil {
			t.Fatal(err)
		}
	}
	return m, c
}

// TestSessions: who is fenced when. A leader looks every second.
func TestSessions(t *testing.T) {
	m, c := bare(t)
	look := func(when string, want ...string) {
		t.Helper()
		var got []string
		for _, cmd := range m.overdue(time.Second) {
			got = append(got, describe(cmd))
			if _, err := m.state.Apply(cmd); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	beat := func(id int32) int8 {
		b, _ := m.state.Broker(id)
		code, _, err := calls.DecodePlain(m.serveHeartbeat(calls.Heartbeat{ID: id, Epoch: b.Epoch}))
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	quiet := func(when string, seconds int) {
		t.Helper()
		for range seconds {
			look(when)
			c.Advance(time.Second)
		}
	}
	quiet("a session from the beginning", 6)
	beat(2)
	look("one has not been heard of", "fence broker 3")
	quiet("the other has", 5)
	m.term++
	quiet("a new leader gives a session to all", 5)
	beat(2)
	quiet("", 2)
	c.Advance(20 * time.Second)
	quiet("this process stood still", 6)
	look("and goes on", "fence broker 2")
	if code := beat(3); code != calls.OK {
		t.Errorf("a fenced broker is answered with %d", code)
	}
	look("one is back", "unfence broker 3")
	stale, _, _ := calls.DecodePlain(m.serveHeartbeat(calls.Heartbeat{ID: 2, Epoch: 999}))
	if stale == calls.OK {
		t.Errorf("a sign of life of another registration is answered with %d", stale)
	}
	look("that does not take it back")
	if _, err := m.state.Apply(&cluster.FenceBroker{ID: 1, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	look("the leader itself was fenced", "unfence broker 1")
	m.lead = false
	if code := beat(2); code != calls.NotLeader {
		t.Errorf("who does not lead answers %d", code)
	}
}

// TestPromotions: one voter, three, five; never an even number, and never one
// that is fenced, about to leave, or behind.
func TestPromotions(t *testing.T) {
	const behind, fenced, draining = 'b', 'f', 'd' // and r: ready
	for _, c := range []struct {
		voters   int    // nodes 1 to voters
		learners string // the nodes after them
		want     []uint64
	}{
		{1, "", nil},
		{1, "r", nil},
		{1, "rr", []uint64{2, 3}},
		{1, "rb", nil},
		{1, "rbr", []uint64{2, 4}},
		{1, "rrr", []uint64{2, 3}},
		{1, "rrrr", []uint64{2, 3, 4, 5}},
		{1, "rrrb", []uint64{2, 3}},
		{1, "rrrrrr", []uint64{2, 3, 4, 5}},
		{1, "rf", nil},
		{1, "rd", nil},
		{3, "", nil},
		{3, "r", nil},
		{3, "rr", []uint64{4, 5}},
		{3, "rb", nil},
		{3, "rfr", []uint64{4, 6}},
		{5, "rrrr", nil},
	} {
		t.Run(fmt.Sprint(c.voters, c.learners), func(t *testing.T) {
			m, clk := bare(t)
			now := clk.Now()
			var members []multiraft.Replica
			var voters []uint64
			for i := range c.voters + len(c.learners) {
				id := int32(i + 1)
				epoch, _ := m.state.Apply(&cluster.RegisterBroker{ID: id})
				r := multiraft.Replica{Node: uint64(id), Match: 9, CaughtUp: now, Learner: i >= c.voters}
				if r.Learner {
					switch c.learners[i-c.voters] {
					case behind:
						r.CaughtUp = now.Add(-m.opt.Session)
					case fenced:
						_, _ = m.state.Apply(&cluster.FenceBroker{ID: id, Epoch: epoch.First})
					case draining:
						_, _ = m.state.Apply(&cluster.DrainBroker{ID: id, Epoch: epoch.First})
					}
				} else {
					voters = append(voters, uint64(id))
				}
				if id != m.self {
					members = append(members, r)
				}
			}
			slices.Reverse(members)
			var got []uint64
			for _, change := range m.promotions(voters, members) {
				got = append(got, change.Node)
				if change.As != multiraft.Voter {
					t.Errorf("%+v", change)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v become voters, want %v", got, c.want)
			}
		})
	}
}
