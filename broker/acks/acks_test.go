package acks

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"chronik/broker/partition"
	"chronik/internal/clock"
)

type target struct{ behind bool }

func (t *target) Behind() bool { return t.behind }

func TestWait(t *testing.T) {
	c := clock.NewManual(time.Unix(0, 0))
	told := map[int]partition.Result{}
	w := New(c, 3, func(i int, r partition.Result) { told[i] = r })
	done := func() bool {
		select {
		case <-w.Done():
			return true
		default:
			return false
		}
	}
	slow, stuck := &target{}, &target{behind: true}
	w.To(1, slow)
	w.To(2, stuck)
	w.Acked(0, partition.Result{BaseOffset: 5})
	w.Acked(0, partition.Result{BaseOffset: 6})
	w.Arm(time.Second)
	if c.Advance(999 * time.Millisecond); len(told) != 1 || done() {
		t.Errorf("before the timeout: %+v", told)
	}
	if c.Advance(time.Millisecond); len(told) != 2 || !errors.Is(told[1].Err, ErrTimeout) || done() {
		t.Errorf("P11, at the timeout: %+v", told)
	}
	stuck.behind = false
	if c.Advance(behindPause); !errors.Is(told[2].Err, ErrTimeout) || !done() {
		t.Errorf("when the partition that was behind no longer is: %+v", told)
	}
	w.Acked(1, partition.Result{BaseOffset: 7})
	if want := (partition.Result{BaseOffset: 5}); !reflect.DeepEqual(told[0], want) || told[1].Err == nil {
		t.Errorf("the first fate does not count: %+v", told)
	}
}

func TestNothingIsWaitedFor(t *testing.T) {
	w := New(clock.NewManual(time.Unix(0, 0)), 0, func(int, partition.Result) { t.Error("told") })
	w.Arm(time.Second)
	<-w.Done()
}
