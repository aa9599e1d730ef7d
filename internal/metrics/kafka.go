package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Kafka are the series of the client-facing side: chronik_kafka_*.
type Kafka struct {
	// BytesIn and BytesOut count bytes of frames, length prefixes included.
	BytesIn, BytesOut prometheus.Counter
	// RecordsProduced and BytesProduced count what was appended; bytes are
	// those of the stored batches. BytesFetched counts batches handed out.
	RecordsProduced, BytesProduced, BytesFetched prometheus.Counter
	// ConnectionsOpened counts connections that were accepted and kept.
	ConnectionsOpened   prometheus.Counter
	memoryWaits         prometheus.Counter
	memoryWait          prometheus.Histogram
	connectionsClosed   *prometheus.CounterVec
	connectionsRejected *prometheus.CounterVec
	framesRejected      *prometheus.CounterVec
	requests            *prometheus.CounterVec
	errors              *prometheus.CounterVec
	latency             *prometheus.HistogramVec
}

func (k *Kafka) register(r *prometheus.Registry) {
	k.BytesIn = newCounter(r, "chronik_kafka_received_bytes_total", "Bytes of request frames read from clients.")
	k.BytesOut = newCounter(r, "chronik_kafka_sent_bytes_total", "Bytes of response frames written to clients.")
	k.RecordsProduced = newCounter(r, "chronik_kafka_produced_records_total", "Records appended for clients.")
	k.BytesProduced = newCounter(r, "chronik_kafka_produced_bytes_total", "Bytes of the record batches appended for clients.")
	k.BytesFetched = newCounter(r, "chronik_kafka_fetched_bytes_total", "Bytes of the record batches handed to clients.")
	k.ConnectionsOpened = newCounter(r, "chronik_kafka_connections_opened_total", "Client connections accepted and kept.")
	k.memoryWaits = newCounter(r, "chronik_kafka_request_memory_waits_total",
		"Requests whose connection was not read until other requests had freed memory.")
	k.memoryWait = newHistogram(r, "chronik_kafka_request_memory_wait_ms",
		"How long those requests waited for memory.", latencyBucketsMs)
	k.connectionsClosed = newCounterVec(r, "chronik_kafka_connections_closed_total",
		"Client connections closed, by the side and reason.", "reason")
	k.connectionsRejected = newCounterVec(r, "chronik_kafka_connections_rejected_total",
		"Client connections refused at once, by reason.", "reason")
	k.framesRejected = newCounterVec(r, "chronik_kafka_frames_rejected_total",
		"Request frames refused before they were decoded, by reason.", "reason")
	zero(k.connectionsRejected, "limit", "full")
	zero(k.framesRejected, "malformed", "unknown_api", "unsupported_version", "unauthenticated")
	k.requests = newCounterVec(r, "chronik_kafka_requests_total", "Requests answered, by API.", "api")
	k.errors = newCounterVec(r, "chronik_kafka_request_errors_total",
		"Error codes in responses, by API and name of the code.", "api", "error")
	k.latency = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "chronik_kafka_request_latency_ms", Buckets: latencyBucketsMs,
		Help: "From the last byte of a request read until its response was ready to be written, by API; waits that the client asked for are in it.",
	}, []string{"api"})
	r.MustRegister(k.latency)
}

// API are the series of one API key. Its rows appear with its first request.
type API struct {
	kafka *Kafka
	name  string

	once     sync.Once
	requests prometheus.Counter
	latency  prometheus.Observer
}

// API returns the series of the API with that name. Ask once and keep it.
func (k *Kafka) API(name string) *API { return &API{kafka: k, name: name} }

// Observe counts one answered request and how long it took.
func (a *API) Observe(took time.Duration) {
	a.once.Do(func() {
		a.requests = a.kafka.requests.WithLabelValues(a.name)
		a.latency = a.kafka.latency.WithLabelValues(a.name)
	})
	a.requests.Inc()
	a.latency.Observe(milliseconds(took))
}

// Fail counts one error code in a response; code is its name, not its text.
func (a *API) Fail(code string) { a.kafka.errors.WithLabelValues(a.name, code).Inc() }

// MemoryWaited counts one request that waited for memory.
func (k *Kafka) MemoryWaited(took time.Duration) {
	k.memoryWaits.Inc()
	k.memoryWait.Observe(milliseconds(took))
}

// ConnectionClosed counts one closed connection; reason is one of few words,
// as "client", "idle", "error", "shutdown".
func (k *Kafka) ConnectionClosed(reason string) { k.connectionsClosed.WithLabelValues(reason).Inc() }

// ConnectionRejected counts one connection refused at once; reason is one of
// few words: "limit", "full", "shutdown".
func (k *Kafka) ConnectionRejected(reason string) {
	k.connectionsRejected.WithLabelValues(reason).Inc()
}

// FrameRejected counts one frame refused before it was decoded; reason is one
// of few words: "malformed", "unknown_api", "unsupported_version", "unauthenticated".
func (k *Kafka) FrameRejected(reason string) { k.framesRejected.WithLabelValues(reason).Inc() }
