package reads

import (
	"errors"
	"testing"
)

var errLost = errors.New("lost")

// TestRounds: who asks during a round is in the next; who is confirmed waits for the index; who is lost is told.
func TestRounds(t *testing.T) {
	var r Rounds
	got := map[string]error{}
	ask := func(name string) {
		if !r.Ask(func(err error) {
			if _, twice := got[name]; twice {
				t.Errorf("%s is answered twice", name)
			}
			got[name] = err
		}) {
			t.Fatal("no room")
		}
	}
	want := func(what string, answers map[string]error) {
		t.Helper()
		if len(got) != len(answers) {
			t.Errorf("%s: answered %v, want %v", what, got, answers)
		}
		for name, err := range answers {
			if g, ok := got[name]; !ok || g != err {
				t.Errorf("%s: %s: %v, %v, want %v", what, name, ok, g, err)
			}
		}
		clear(got)
	}
	if r.Due() {
		t.Error("due, and nobody asks")
	}
	ask("a")
	ask("b")
	first := r.Begin()
	ask("c")
	if r.Due() {
		t.Error("due during a round")
	}
	r.Confirm(first+1, 1) // another's
	r.Applied(100)
	want("not confirmed", nil)
	r.Confirm(first, 7)
	r.Applied(6)
	want("not applied", nil)
	second := r.Begin()
	r.Confirm(first, 9) // again
	r.Applied(7)
	want("applied", map[string]error{"a": nil, "b": nil})
	r.Tick(2, errLost)
	want("young", nil)
	r.Tick(2, errLost)
	want("old", map[string]error{"c": errLost})
	r.Confirm(second, 1)
	r.Applied(100)
	want("late", nil)
	ask("d")
	third := r.Begin()
	r.Confirm(third, 200)
	ask("e")
	r.Begin()
	ask("f")
	r.Abandon(errLost)
	want("abandoned", map[string]error{"e": errLost, "f": errLost})
	r.Close(errLost)
	want("closed", map[string]error{"d": errLost})
	ask("g")
	want("after that", map[string]error{"g": errLost})
}

// TestBound: there is room again when some are answered.
func TestBound(t *testing.T) {
	var r Rounds
	for range WaitersMax {
		if !r.Ask(func(error) {}) {
			t.Fatal("no room")
		}
	}
	if r.Ask(func(error) {}) {
		t.Error("one more than there is room for")
	}
	r.Confirm(r.Begin(), 1)
	r.Applied(1)
	if !r.Ask(func(error) {}) {
		t.Error("no room after all were answered")
	}
}
