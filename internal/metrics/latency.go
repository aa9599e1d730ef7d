package metrics

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// latencyWindow is how many of the latest observations the median is of.
const latencyWindow = 512

// Latency is a histogram in milliseconds that also knows the median of its
// latest observations: simple scrapers look for one number under the bare
// name. An observation costs one histogram observation and two atomic stores.
type Latency struct {
	histogram prometheus.Histogram
	count     atomic.Uint64
	recent    [latencyWindow]atomic.Uint64 // bits of a float64
}

// Observe records one latency.
func (l *Latency) Observe(d time.Duration) {
	ms := milliseconds(d)
	l.histogram.Observe(ms)
	l.recent[(l.count.Add(1)-1)%latencyWindow].Store(math.Float64bits(ms))
}

// Median is the median of the latest observations (the lower one of two), in
// milliseconds; 0 before the first.
func (l *Latency) Median() float64 {
	n := min(l.count.Load(), latencyWindow)
	if n == 0 {
		return 0
	}
	recent := make([]float64, n)
	for i := range recent {
		recent[i] = math.Float64frombits(l.recent[i].Load())
	}
	slices.Sort(recent)
	return recent[(n-1)/2]
}
