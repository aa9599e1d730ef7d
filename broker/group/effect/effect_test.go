package effect

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

var start = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// TestLogOutcomes: which functions follow each sequence of outcomes, in which order, and with which error.
func TestLogOutcomes(t *testing.T) {
	wrapped := fmt.Errorf("wrapped: %w", ErrTimeout)
	for _, c := range []struct {
		outcomes []error
		want     []string
	}{
		{[]error{nil}, []string{"applied", "answer NONE"}},
		{[]error{ErrNotLeader}, []string{"dropped", "answer NOT_COORDINATOR"}},
		{[]error{ErrStorage}, []string{"dropped", "answer NOT_COORDINATOR"}},
		{[]error{ErrUnknownPartition}, []string{"dropped", "answer COORDINATOR_NOT_AVAILABLE"}},
		{[]error{ErrNotEnoughReplicas}, []string{"dropped", "answer COORDINATOR_NOT_AVAILABLE"}},
		{[]error{ErrTooLarge}, []string{"dropped", "answer UNKNOWN_SERVER_ERROR"}},
		{[]error{errors.New("other")}, []string{"dropped", "answer UNKNOWN_SERVER_ERROR"}},
		{[]error{ErrTimeout, nil}, []string{"answer COORDINATOR_NOT_AVAILABLE", "applied"}},
		{[]error{wrapped, wrapped, ErrNotLeader}, []string{"answer COORDINATOR_NOT_AVAILABLE", "dropped"}},
		{[]error{ErrNotEnoughReplicasAfterAppend, nil}, []string{"answer COORDINATOR_NOT_AVAILABLE", "applied"}},
	} {
		var l Log
		var got []string
		fx := &Effects{}
		id := l.Emit(fx, []Record{{Key: []byte("k")}}, Pending{
			Applied: func(time.Time, *Effects) { got = append(got, "applied") },
			Dropped: func(time.Time, *Effects) { got = append(got, "dropped") },
			Answer:  func(_ time.Time, err Error, _ *Effects) { got = append(got, "answer "+err.Error()) },
		})
		if len(fx.Appends) != 1 || fx.Appends[0].ID != id || l.Last() != id {
			t.Fatalf("emitted %+v as %d", fx.Appends, id)
		}
		for i, err := range c.outcomes {
			if !l.Open(id) {
				t.Errorf("%v: closed before outcome %d", c.outcomes, i)
			}
			l.Settle(start, id, err, fx)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %q, want %q", c.outcomes, got, c.want)
		}
		if l.Open(id) {
			t.Errorf("%v: still open", c.outcomes)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v: one outcome too many was accepted", c.outcomes)
				}
			}()
			l.Settle(start, id, nil, fx)
		}()
	}
}

// TestLogGiveUp answers what is open and unanswered, in order.
func TestLogGiveUp(t *testing.T) {
	var l Log
	var got []AppendID
	fx := &Effects{}
	for i := range 5 {
		id := AppendID(i + 1)
		l.Emit(fx, nil, Pending{Answer: func(_ time.Time, err Error, _ *Effects) {
			if err == NotCoordinator {
				got = append(got, id)
			}
		}})
	}
	l.Settle(start, 2, nil, fx)
	l.Settle(start, 4, ErrTimeout, fx)
	l.GiveUp(start, NotCoordinator, fx)
	if want := []AppendID{1, 3, 5}; !reflect.DeepEqual(got, want) {
		t.Errorf("answered %v, want %v", got, want)
	}
	if l.Emit(fx, nil, Pending{}) != 6 {
		t.Errorf("an id was given twice: %d", l.Last())
	}
}

func TestErrorNames(t *testing.T) {
	seen := map[string]bool{}
	for e := None; e < ErrorCount; e++ {
		if name := e.Error(); name == "" || seen[name] {
			t.Errorf("%d is called %q", e, name)
		} else {
			seen[name] = true
		}
	}
	if ErrorCount.Error() != "UNKNOWN_SERVER_ERROR" {
		t.Error("an Error that does not exist has a name")
	}
}

// TestTimers compares with a list: random timers are armed, moved and disarmed, and fire in the order of their
// deadlines, equal ones in the order of arming.
func TestTimers(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	type armed struct {
		at  time.Time
		seq int
	}
	var ts Timers
	timers := make([]Timer, 50)
	model := map[int]armed{}
	var fired []int
	for i := range timers {
		timers[i].Fire = func(time.Time, *Effects) { fired = append(fired, i) }
	}
	now := start
	for step := range 5000 {
		i := rng.IntN(len(timers))
		switch rng.IntN(4) {
		case 0, 1:
			at := now.Add(time.Duration(rng.IntN(20)-2) * time.Second)
			ts.Arm(&timers[i], at)
			model[i] = armed{at, step}
		case 2:
			ts.Disarm(&timers[i])
			delete(model, i)
		case 3:
			now = now.Add(time.Duration(rng.IntN(3)) * time.Second)
			fired = nil
			ts.Tick(now, nil)
			var want []int
			for {
				best := -1
				for j, a := range model {
					b := model[best]
					if !a.at.After(now) && (best < 0 || a.at.Before(b.at) || a.at.Equal(b.at) && a.seq < b.seq) {
						best = j
					}
				}
				if best < 0 {
					break
				}
				want = append(want, best)
				delete(model, best)
			}
			if !reflect.DeepEqual(fired, want) {
				t.Fatalf("seed %d, step %d: fired %v, want %v", seed, step, fired, want)
			}
		}
		if err := ts.Valid(); err != nil {
			t.Fatalf("seed %d, step %d: %v", seed, step, err)
		}
		first, ok := ts.Next()
		for j, a := range model {
			if !timers[j].Armed() || !timers[j].At().Equal(a.at) || a.at.Before(first) {
				t.Fatalf("seed %d, step %d: timer %d is armed %v for %v, want %v; first %v", seed, step, j, timers[j].Armed(), timers[j].At(), a.at, first)
			}
		}
		if ok != (len(model) > 0) {
			t.Fatalf("seed %d, step %d: next %v with %d armed", seed, step, ok, len(model))
		}
	}
}
