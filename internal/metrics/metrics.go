package metrics

import (
	"strconv"
	"time"

	"chronik/internal/clock"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics is everything one node exports.
type Metrics struct {
	Kafka   Kafka
	Storage Storage
	Raft    Raft

	registry     *prometheus.Registry
	sampler      *sampler
	readySeconds prometheus.Gauge
}

// Options says what a node exports and how.
type Options struct {
	// NodeID is the value of the label node_id.
	NodeID int32
	// PartitionsMax is the number of partitions on the node up to which
	// partition-level series are exported; with more, none of them is.
	// The same bound holds for the rows of consumer group lag.
	PartitionsMax int
	// Version, GoVersion and Revision are the labels of chronik_build_info.
	Version, GoVersion, Revision string
	// Clock bounds how long a scrape waits for the Source. Nil: clock.Real.
	Clock clock.Clock
	// SourceWait is how long a scrape waits for the Source. Zero: one second.
	SourceWait time.Duration
}

// New returns the metrics of one node on a registry of their own.
func New(opts Options) *Metrics {
	if opts.Clock == nil {
		opts.Clock = clock.Real
	}
	if opts.SourceWait == 0 {
		opts.SourceWait = time.Second
	}
	r := prometheus.NewRegistry()
	m := &Metrics{registry: r}
	m.Kafka.register(r)
	m.Storage.register(r)
	m.Raft.register(r)
	m.sampler = newSampler(opts, m.Storage.appendedBytes)
	r.MustRegister(m.sampler)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	m.readySeconds = newGauge(r, "chronik_start_seconds", "Seconds from the start of the process's work until the node was ready.")
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "chronik_build_info",
		Help: "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": opts.Version, "go_version": opts.GoVersion,
			"revision": opts.Revision, "node_id": strconv.Itoa(int(opts.NodeID))},
	})
	info.Set(1)
	r.MustRegister(info)
	return m
}

// Discard returns metrics that nobody will read, for tests.
func Discard() *Metrics { return New(Options{}) }

// SetSource names the function that tells the state of the node at a scrape.
// It may be called while the node is busy or stuck, from any goroutine, but
// never twice at the same time.
func (m *Metrics) SetSource(f func() Snapshot) { m.sampler.source.Store(&f) }

// Ready records how long the node took to become ready.
func (m *Metrics) Ready(took time.Duration) { m.readySeconds.Set(took.Seconds()) }

func newCounter(r *prometheus.Registry, name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	r.MustRegister(c)
	return c
}

func newCounterVec(r *prometheus.Registry, name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	r.MustRegister(c)
	return c
}

func newGauge(r *prometheus.Registry, name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	r.MustRegister(g)
	return g
}

func newHistogram(r *prometheus.Registry, name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	r.MustRegister(h)
	return h
}

// latencyBucketsMs reach from an append without a sync to a client's timeout.
var latencyBucketsMs = []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000}

// countBuckets are for how many things share one step.
var countBuckets = prometheus.ExponentialBuckets(1, 2, 12)

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
