package hurry

import (
	"fmt"
	"slices"
	"testing"
)

// TestRanksDiffer: whatever the order names, the members campaign one after the other.
func TestRanksDiffer(t *testing.T) {
	for _, c := range []struct {
		order, voters []uint64
		without       uint64
		want          []uint64 // by rank
	}{
		{[]uint64{3, 1, 2}, []uint64{1, 2, 3}, 3, []uint64{1, 2}},
		{[]uint64{3, 1, 2}, []uint64{1, 2, 3}, 1, []uint64{3, 2}},
		{[]uint64{1}, []uint64{1, 2, 3}, 1, []uint64{2, 3}}, // of members that joined node 1
		{[]uint64{1}, []uint64{3, 2, 1}, 2, []uint64{1, 3}},
		{[]uint64{5}, []uint64{9, 4, 5, 7}, 4, []uint64{5, 7, 9}},
		{[]uint64{8, 2}, []uint64{1, 2, 3}, 1, []uint64{2, 3}}, // node 8 has left
		{nil, []uint64{2, 1}, 7, []uint64{1, 2}},
	} {
		t.Run(fmt.Sprint(c.order, c.voters, c.without), func(t *testing.T) {
			for rank, id := range c.want {
				if got := Rank(id, c.without, c.order, c.voters); got != rank {
					t.Errorf("node %d has rank %d, want %d", id, got, rank)
				}
			}
		})
	}
	if got := Rank(4, 1, []uint64{1, 4}, []uint64{1, 2}); got != -1 {
		t.Errorf("a node that is no voter has rank %d", got)
	}
}

// TestWish: when members of each rank campaign, by ticks.
func TestWish(t *testing.T) {
	for rank, want := range [][]int{{0, 1, 2, 3}, {3, 4, 5, 6}, {6, 7, 8, 9}} {
		w := New(rank, 4)
		var got []int
		if w.Due() {
			got = append(got, 0)
		}
		for tick := 1; tick < 20; tick++ {
			if w.Tick(false, false) {
				got = append(got, tick)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("rank %d campaigns at ticks %v, want %v", rank, got, want)
		}
	}
	for _, c := range []struct {
		name      string
		wish      Wish
		led, busy bool
	}{{"no voter", New(-1, 4), false, false}, {"a leader", New(0, 4), true, false}, {"votes on their way", New(0, 4), false, true}} {
		if c.wish.Tick(c.led, c.busy) {
			t.Errorf("%s: campaigns", c.name)
		}
	}
	if w := New(0, 4); !w.Take() || w.Take() || w.Due() {
		t.Error("due more or less than once")
	}
}
