package repeats

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"chronik/internal/clock"
)

func TestSay(t *testing.T) {
	c := clock.NewManual(time.Unix(0, 0))
	l := New(c)
	want := func(about, reason string, times int) {
		t.Helper()
		got, now := l.Say(about, reason)
		if got != times || now != (times > 0) {
			t.Errorf("%s, %s: %d times, said %v; want %d", about, reason, got, now, times)
		}
	}
	want("a", "x", 1)
	want("a", "x", 0)
	want("b", "x", 1)
	want("a", "y", 1)
	want("a", "x", 0) // not though the reason has changed back
	c.Advance(again - 1)
	want("a", "x", 0)
	c.Advance(1)
	want("a", "x", 4)
	want("a", "x", 0)
	l.Over("a")
	want("a", "x", 1)
}

// What is remembered is bounded, and room comes with time.
func TestBounds(t *testing.T) {
	c := clock.NewManual(time.Unix(0, 0))
	l := New(c)
	for round := range 2 {
		said := 0
		for about := range aboutMax + 10 {
			for reason := range reasonsMax + 5 {
				if _, now := l.Say(fmt.Sprint(round, about), fmt.Sprint(reason)); now {
					said++
				}
			}
		}
		if said != aboutMax*reasonsMax || len(l.said) > aboutMax {
			t.Errorf("round %d: said %d, remembers %d", round, said, len(l.said))
		}
		c.Advance(again)
	}
}

func TestReason(t *testing.T) {
	op := &net.OpError{Op: "read", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}, Err: errors.New("reset")}
	if got := Reason(fmt.Errorf("hello: %w", op)); got != "hello: read: reset" {
		t.Errorf("%q", got)
	}
	if got := Reason(errors.New("EOF")); got != "EOF" {
		t.Errorf("%q", got)
	}
}
