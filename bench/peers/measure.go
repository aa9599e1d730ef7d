package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// work is one contender's share of a row.
type work struct {
	contender
	// op does the thing that is measured once and returns the payload bytes.
	op func() (int64, error)
	// prepare is called before each slice, before close at the end: neither is measured.
	prepare func() error
	close   func() error
}

// limits bound a slice: whichever comes first, but opsLeast at least.
type limits struct {
	slices   int
	time     time.Duration
	bytes    int64
	opsLeast int
	opsMost  int
	settle   bool // nothing waits to be written back when a slice begins
}

// bound lowers bytes to what operations of this many bytes, none faster than
// least, can come to, so that raw's room is not zeroed for nothing. room is
// what a slice takes at the most.
func (l limits) bound(opBytes int, least time.Duration) (bounded limits, room int64) {
	ops := min(int64(l.time/least), int64(l.opsMost), l.bytes/int64(opBytes)) + int64(l.opsLeast) + 1
	l.bytes = ops * int64(opBytes)
	return l, l.bytes + int64(opBytes)
}

// result is what a row says of one contender.
type result struct {
	name     string
	raw      bool
	keeps    bool
	p50, p99 time.Duration
	mean     time.Duration // median of the slices' means
	rate     float64       // payload bytes a second, of that mean
	allocs   float64       // per op
	device   float64       // bytes written to the device per byte of payload; 0: not known
	ops      int
}

type sample struct {
	latencies []time.Duration // of all slices
	means     []time.Duration
	ops       int
	bytes     int64
	mallocs   uint64
	written   int64
}

// measure does the slices of a row, going round the workers, the order moved by
// one each round.
func measure(dir string, all []*work, l limits) ([]result, error) {
	samples := make([]sample, len(all))
	for round := range l.slices {
		for k := range all {
			k = (k + round) % len(all)
			if err := slice(dir, all[k], &samples[k], l); err != nil {
				return nil, fmt.Errorf("%s: %w", all[k].name, err)
			}
		}
	}
	out := make([]result, len(all))
	for i := range all {
		out[i] = samples[i].result(all[i])
	}
	return out, nil
}

func slice(dir string, w *work, s *sample, l limits) error {
	if w.prepare != nil {
		if err := w.prepare(); err != nil {
			return err
		}
	}
	s.latencies = slices.Grow(s.latencies, 1<<16)
	runtime.GC()
	if l.settle {
		settle(dir)
	}
	var before, after runtime.MemStats
	written := deviceBytes(dir)
	runtime.ReadMemStats(&before)
	begin := time.Now()
	last, ops, bytes := begin, 0, int64(0)
	for {
		n, err := w.op()
		if err != nil {
			return err
		}
		now := time.Now()
		s.latencies = append(s.latencies, now.Sub(last))
		last = now
		ops++
		bytes += n
		if ops >= l.opsLeast && (ops >= l.opsMost || bytes >= l.bytes || now.Sub(begin) >= l.time) {
			break
		}
	}
	runtime.ReadMemStats(&after)
	if l.settle {
		settle(dir)
	}
	s.means = append(s.means, last.Sub(begin)/time.Duration(ops))
	s.ops += ops
	s.bytes += bytes
	s.mallocs += after.Mallocs - before.Mallocs
	s.written += deviceBytes(dir) - written
	return nil
}

func (s *sample) result(w *work) result {
	slices.Sort(s.latencies)
	slices.Sort(s.means)
	n := len(s.latencies)
	r := result{name: w.name, raw: w.raw, keeps: w.keeps, p50: s.latencies[n/2], p99: s.latencies[n*99/100], mean: s.means[len(s.means)/2], ops: s.ops}
	r.rate = float64(s.bytes) / float64(s.ops) / r.mean.Seconds()
	r.allocs = float64(s.mallocs) / float64(s.ops)
	r.device = float64(s.written) / float64(s.bytes)
	return r
}

// settle waits until what was left to the page cache is on the device, so that
// no slice pays for the one before.
func settle(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close()
	unix.Syncfs(int(d.Fd()))
}

// deviceBytes is how much was ever written to the device under dir, by
// whomever; 0 when the system does not say.
func deviceBytes(dir string) int64 {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return 0
	}
	text, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 7 {
		return 0
	}
	sectors, _ := strconv.ParseInt(fields[6], 10, 64)
	return sectors * 512
}

// each opens every contender that can do what o says, in directories of their
// own below dir, and hands it to set, which returns its work.
func each(dir string, o options, only func(contender) bool, set func(c contender, l log) (*work, error)) (all []*work, err error) {
	for _, c := range contenders {
		if only != nil && !only(c) {
			continue
		}
		l, err := c.open(filepath.Join(dir, c.name), o)
		if errors.Is(err, errUnsupported) {
			continue
		}
		if err != nil {
			return all, fmt.Errorf("%s: %w", c.name, err)
		}
		w, err := set(c, l)
		if err != nil {
			return all, errors.Join(fmt.Errorf("%s: %w", c.name, err), l.Close())
		}
		if w == nil {
			if err := l.Close(); err != nil {
				return all, err
			}
			continue
		}
		w.contender = c
		if w.close == nil {
			w.close = l.Close
		}
		all = append(all, w)
	}
	return all, nil
}

func closeAll(all []*work) error {
	var errs []error
	for _, w := range all {
		errs = append(errs, w.close())
	}
	return errors.Join(errs...)
}
