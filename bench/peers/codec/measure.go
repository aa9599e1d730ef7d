package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// contender is one way to do a row's work.
type contender struct {
	codec string // chronik, kmsg or sarama
	way   string // how it is used; "" is the way that the ratio is of
	fresh bool   // it begins with nothing
	op    func() error
	close func() error // nil: nothing to be done
}

func (c contender) name() string {
	if c.way == "" {
		return c.codec
	}
	return c.codec + ", " + c.way
}

// result is what a row says of a contender.
type result struct {
	contender
	time   time.Duration // of one operation: the median of the rounds, scaled by 1000
	allocs float64       // of one operation
	bytes  float64       // allocated by one operation
}

// nanoseconds of one operation.
func (r result) nanoseconds() float64 { return float64(r.time) / 1000 }

// measure goes round the contenders, the order moved by one each time, so that
// what else the machine does hits all alike. Garbage is collected before each
// slice and never in it: a collection or none in a few milliseconds is chance,
// so its cost is told by the bytes allocated, and the times flatter who makes
// garbage.
func measure(all []contender, rounds int, slice time.Duration) ([]result, error) {
	type sample struct {
		n              int // operations in a slice
		times          []time.Duration
		ops            int
		mallocs, bytes uint64
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	samples := make([]sample, len(all))
	for i, c := range all {
		n, err := calibrate(c, slice)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name(), err)
		}
		samples[i].n = n
	}
	for round := range rounds {
		for k := range all {
			k = (k + round) % len(all)
			s := &samples[k]
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			took, err := repeat(all[k], s.n)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", all[k].name(), err)
			}
			runtime.ReadMemStats(&after)
			s.times = append(s.times, took*1000/time.Duration(s.n))
			s.ops += s.n
			s.mallocs += after.Mallocs - before.Mallocs
			s.bytes += after.TotalAlloc - before.TotalAlloc
		}
	}
	out := make([]result, len(all))
	for i, c := range all {
		s := &samples[i]
		slices.Sort(s.times)
		out[i] = result{contender: c, time: s.times[len(s.times)/2],
			allocs: float64(s.mallocs) / float64(s.ops), bytes: float64(s.bytes) / float64(s.ops)}
	}
	return out, nil
}

// calibrate finds how many operations take about the time of a slice.
func calibrate(c contender, slice time.Duration) (int, error) {
	for n := 1; ; {
		took, err := repeat(c, n)
		if err != nil {
			return 0, err
		}
		if took >= slice/4 {
			return max(1, int(float64(n)*float64(slice)/float64(took))), nil
		}
		n *= 2
	}
}

// repeat does n operations and returns the processor time that the process
// spent on them, in whatever thread: what else the machine does counts not.
func repeat(c contender, n int) (time.Duration, error) {
	begin, err := processorTime()
	if err != nil {
		return 0, err
	}
	for range n {
		if err := c.op(); err != nil {
			return 0, err
		}
	}
	end, err := processorTime()
	return end - begin, err
}

func processorTime() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), err
}
