package metrics

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/clock"

	"github.com/prometheus/client_golang/prometheus"
)

// sampler is the Collector of everything that is a state: it asks the Source
// at each scrape and keeps nothing.
type sampler struct {
	source   atomic.Pointer[func() Snapshot]
	clock    clock.Clock
	wait     time.Duration
	rowsMax  int
	appended func() int64
	nodeID   string

	mu      sync.Mutex
	pending chan Snapshot // a call of the Source that has not been collected yet
}

func newSampler(opts Options, appended func() int64) *sampler {
	return &sampler{clock: opts.Clock, wait: opts.SourceWait, rowsMax: opts.PartitionsMax,
		appended: appended, nodeID: strconv.Itoa(int(opts.NodeID))}
}

// Describe sends nothing: which rows there are depends on the Source, and an
// unchecked collector is how client_golang says so.
func (s *sampler) Describe(chan<- *prometheus.Desc) {}

// Collect asks the Source and exports its answer.
func (s *sampler) Collect(out chan<- prometheus.Metric) {
	e := exporter{out: out}
	e.writeAmplification(s.appended())
	if s.source.Load() == nil {
		return
	}
	snap, ok := s.ask()
	if !ok {
		e.gauge(descSourceStuck, 1)
		return
	}
	e.gauge(descSourceStuck, 0)
	e.node(&snap, s.nodeID)
	if len(snap.Partitions) <= s.rowsMax {
		e.partitions(snap.Partitions)
	}
	e.groups(snap.Groups, s.rowsMax)
	e.transactions(snap.Transactions)
}

// ask calls the Source on a goroutine of its own and waits for a bounded time.
// A call that is late is not repeated: its answer is thrown away by the scrape
// that finds it, which then asks anew, so that at most one is ever running and
// no answer is old.
func (s *sampler) ask() (Snapshot, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil {
		select {
		case <-s.pending:
		default:
			return Snapshot{}, false
		}
	}
	answer := make(chan Snapshot, 1)
	s.pending = answer
	f := *s.source.Load()
	go func() { answer <- f() }()

	late := make(chan struct{})
	timer := s.clock.AfterFunc(s.wait, func() { close(late) })
	defer timer.Stop()
	select {
	case snap := <-answer:
		s.pending = nil
		return snap, true
	case <-late:
		return Snapshot{}, false
	}
}

// bytesToStorage is what the kernel counts this process to have sent towards
// storage, and false where it does not say.
func bytesToStorage() (int64, bool) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
