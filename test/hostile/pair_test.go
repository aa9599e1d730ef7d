package hostile

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
)

// deliveryMax is how long a client of default settings waits for a delivery (delivery.timeout.ms).
const deliveryMax = 2 * time.Minute

// pair is a well-behaved producer and consumer: one record at a time, acknowledged, then consumed.
type pair struct {
	producer, consumer *kgo.Client
	next               int // of the records
	fetched            []*kgo.Record
	failed             atomic.Int64 // requests that ended in an error on the wire
	lastError          atomic.Value
	began              time.Time
	mu                 sync.Mutex
	slow               []string // what took longest lately, for the log
}

// slowAfter is what is told of.
const slowAfter = 500 * time.Millisecond

func (p *pair) tell(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.slow) < 40 {
		p.slow = append(p.slow, fmt.Sprintf("at %.1f s: ", time.Since(p.began).Seconds())+fmt.Sprintf(format, args...))
	}
}

// OnBrokerConnect tells of connections that took long.
func (p *pair) OnBrokerConnect(_ kgo.BrokerMetadata, took time.Duration, _ net.Conn, err error) {
	if took > slowAfter || err != nil {
		p.tell("a connection took %v: %v", took, err)
	}
}

// OnBrokerE2E counts requests that were cut off, and tells of slow ones.
func (p *pair) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e kgo.BrokerE2E) {
	if d := e.DurationE2E(); d > slowAfter && key != 1 || d > 4*time.Second {
		p.tell("API key %d: to write %v + %v, %d bytes; to read %v + %v", key, e.WriteWait, e.TimeToWrite, e.BytesWritten, e.ReadWait, e.TimeToRead)
	}
	if err := e.Err(); err != nil {
		p.failed.Add(1)
		p.lastError.Store(fmt.Sprintf("API key %d: %v", key, err))
	}
}

func newPair(t *testing.T, b *harness.Broker, topic string) *pair {
	t.Helper()
	p := &pair{}
	open := func(opts ...kgo.Opt) *kgo.Client {
		c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(b.Addr), kgo.WithHooks(p), kgo.ConnIdleTimeout(10*time.Minute))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	p.producer = open(kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()))
	p.consumer = open(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	return p
}

// latency is the times of records.
type latency []time.Duration

func (l latency) at(q float64) time.Duration {
	return slices.Sorted(slices.Values(l))[min(len(l)-1, int(q*float64(len(l))))]
}

func (l latency) String() string {
	return fmt.Sprintf("%d records, p50 %v, p99 %v, max %v", len(l), l.at(0.5).Round(10*time.Microsecond), l.at(0.99).Round(10*time.Microsecond), l.at(1).Round(10*time.Microsecond))
}

// largeEvery is how often a record is larger than what small requests have their own memory for.
const largeEvery, largeBytes = 16, 40 << 10

// run sends records of bytes each, now and then a large one, at least n and until more says no, and consumes each; it
// returns the times from sending to having consumed, in order.
func (p *pair) run(t *testing.T, n, bytes int, more func() bool) latency {
	t.Helper()
	p.began = time.Now()
	var l latency
	for i := 0; i < n || more(); i++ {
		value := make([]byte, bytes)
		if i%largeEvery == 0 {
			value = make([]byte, max(bytes, largeBytes))
		}
		copy(value, fmt.Sprintf("%010d", p.next))
		l = append(l, p.one(t, value))
	}
	p.mu.Lock()
	for _, s := range p.slow {
		t.Log("slow: " + s)
	}
	p.slow = nil
	p.mu.Unlock()
	if n := p.failed.Load(); n > 0 {
		t.Errorf("%d requests of the well-behaved client were cut off, the last: %v", n, p.lastError.Load())
		p.failed.Store(0)
	}
	return l
}

func (p *pair) one(t *testing.T, value []byte) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deliveryMax)
	defer cancel()
	start := time.Now()
	if err := p.producer.ProduceSync(ctx, &kgo.Record{Value: value}).FirstErr(); err != nil {
		t.Fatalf("record %d of the well-behaved client was not acknowledged: %v", p.next, err)
	}
	acknowledged := time.Since(start)
	p.consume(t, ctx)
	all := time.Since(start)
	if all > slowAfter {
		p.tell("record of %d bytes: %v to the acknowledgement, %v to consume", len(value), acknowledged, all-acknowledged)
	}
	return all
}

// consume takes the next record, which must be the one just sent.
func (p *pair) consume(t *testing.T, ctx context.Context) {
	t.Helper()
	for len(p.fetched) == 0 {
		got := p.consumer.PollFetches(ctx)
		if err := got.Err(); err != nil {
			t.Fatalf("record %d was acknowledged and not consumed: %v", p.next, err)
		}
		p.fetched = got.Records()
	}
	r := p.fetched[0]
	if want := fmt.Sprintf("%010d", p.next); string(r.Value[:10]) != want || r.Offset != int64(p.next) {
		t.Fatalf("consumed %q at offset %d, want record %s", r.Value[:10], r.Offset, want)
	}
	p.fetched = p.fetched[1:]
	p.next++
}
