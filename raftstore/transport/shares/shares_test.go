package shares

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// TestBudgetIsGivenInOrder: and what no longer waits, or never got it, costs nothing.
func TestBudgetIsGivenInOrder(t *testing.T) {
	const seed = 5
	rnd := rand.New(rand.NewPCG(seed, 1))
	b := NewBudget(100)
	gone := make(chan struct{})
	close(gone)
	done := make(chan int, 1000)
	want := 0
	for range 1000 {
		n := 1 + rnd.IntN(100)
		if rnd.IntN(3) == 0 { // may get it, and then has to give it back
			go func() {
				if b.Take(n, gone) {
					b.Give(n)
				}
				done <- 0
			}()
		} else {
			go func() { b.Take(n, nil); b.Give(n); done <- n }()
		}
		want++
	}
	for ; want > 0; want-- {
		<-done
	}
	if free, waiting := b.State(); free != 100 || waiting != 0 {
		t.Errorf("seed %d: %d are free, %d wait", seed, free, waiting)
	}
	b.Take(60, nil)
	order := make(chan int, 2)
	waits := func(n int) {
		deadline := time.Now().Add(60 * time.Second)
		for _, waiting := b.State(); waiting != n; _, waiting = b.State() {
			if time.Now().After(deadline) {
				t.Fatalf("%d wait, want %d", waiting, n)
			}
			runtime.Gosched()
		}
	}
	go func() { b.Take(80, nil); order <- 80; b.Give(80) }()
	waits(1)
	go func() { b.Take(30, nil); order <- 30; b.Give(30) }()
	waits(2) // there is room for it, but it is not its turn
	b.Give(60)
	if first := <-order; first != 80 {
		t.Errorf("%d came first", first)
	}
	<-order
}

// TestTheBusiestGivesWay: the first one of the host that has most.
func TestTheBusiestGivesWay(t *testing.T) {
	for among, want := range map[string]int{"a": 0, "ab": 0, "abb": 1, "abcbca": 0, "bacca": 1, "xyyxy": 1} {
		if got := GivesWay([]rune(among), func(r rune) string { return string(r) }); got != want {
			t.Errorf("%s: %d, want %d", among, got, want)
		}
	}
}
