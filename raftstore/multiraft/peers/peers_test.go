package peers

import (
	"testing"
	"time"
)

// TestCaughtUp: a member that has what the leader had a tick ago was caught up when it was last heard of.
func TestCaughtUp(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	var table Table
	table.Begin(at(10), 5)
	check := func(node uint64, match, lag uint64, heard, caughtUp int) {
		t.Helper()
		for _, r := range table.Append(nil, 20) {
			if r.Node != node {
				continue
			}
			if uint64(r.Match) != match || r.Lag != lag || !r.Heard.Equal(at(heard)) || !r.CaughtUp.Equal(at(caughtUp)) {
				t.Errorf("%+v, want match %d, lag %d, heard %d, caught up %d", r, match, lag, heard, caughtUp)
			}
			return
		}
		t.Errorf("node %d is not known", node)
	}
	table.Set(2, 0, false)
	table.Set(3, 0, true)
	table.Settle()
	check(2, 0, 20, 10, 10)
	table.Heard(2, at(11), true)
	table.Heard(9, at(11), true) // no member
	if !table.Moved() {
		t.Error("an answer to an append moves nothing")
	}
	table.Set(2, 5, false)
	table.Set(3, 0, true)
	table.Settle()
	table.Tick(8)
	check(2, 5, 15, 11, 11)
	check(3, 0, 20, 10, 10)
	table.Heard(2, at(12), false)
	table.Tick(9) // it lacks 8
	check(2, 5, 15, 12, 11)
	table.Heard(2, at(13), true)
	table.Set(2, 9, false)
	table.Settle() // node 3 has left
	table.Tick(20)
	check(2, 9, 11, 13, 13)
	if n := len(table.Append(nil, 20)); n != 1 {
		t.Errorf("%d members", n)
	}
	if i := table.Retained(20); i != 10 {
		t.Errorf("retained from %d, want 10", i)
	}
	table.Begin(at(30), 20)
	if i := table.Retained(20); i != 21 {
		t.Errorf("retained from %d without members", i)
	}
}

// TestHandoffs grow older, and end when they are over.
func TestHandoffs(t *testing.T) {
	var h Handoffs
	h.Add(2)
	h.Add(3)
	if n := h.End(1, func(node uint64, age int) bool { return node == 3 && age == 1 }); n != 1 || !h.Any() {
		t.Errorf("%d ended, %v", n, h)
	}
	if n := h.End(1, func(node uint64, age int) bool { return node == 2 && age == 2 }); n != 1 || h.Any() {
		t.Errorf("%d ended, %v", n, h)
	}
}
