package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
)

const (
	topic        = "crash"
	partitions   = 4
	trimmedTopic = "trimmed" // one partition, and a retention of little more than a segment
)

// Steady is what every client of a load is made with: it retries for ever, at short intervals, so that it lives through the
// restarts. addr is one address or several, separated by commas.
func Steady(addr string, opts ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(harness.Seeds(addr)...), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.RequestRetries(1 << 30), kgo.RetryTimeout(5 * time.Minute), kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.UnknownTopicRetries(-1), kgo.AlwaysRetryEOF(), kgo.DialTimeout(2 * time.Second),
	}, opts...)
}

// sender is one producer, in goroutine of its own.
type sender struct {
	id     uint32
	client *kgo.Client
	rng    *rand.Rand
	ledger *ledger
	fault  func(error)
	seqs   []uint64 // by partition
	pause  time.Duration
}

type senderKind struct {
	name       string
	idempotent bool
	acks       kgo.Acks
	codec      kgo.CompressionCodec
}

// senderKinds are the producers of one node, that loses nothing it has acknowledged. In a cluster only acks=all promises
// that.
var senderKinds = []senderKind{
	{"idempotent, acks=all, lz4", true, kgo.AllISRAcks(), kgo.Lz4Compression()},
	{"idempotent, acks=all, none", true, kgo.AllISRAcks(), kgo.NoCompression()},
	{"plain, acks=all, zstd", false, kgo.AllISRAcks(), kgo.ZstdCompression()},
	{"plain, acks=1, snappy", false, kgo.LeaderAck(), kgo.SnappyCompression()},
	{"plain, acks=1, none", false, kgo.LeaderAck(), kgo.NoCompression()},
}

func newSender(t testing.TB, o Options, topic string, parts int, id uint32, kind senderKind, l *ledger, seed uint64, fault func(error)) *sender {
	t.Helper()
	s := &sender{id: id, rng: rand.New(rand.NewPCG(seed, uint64(id))), ledger: l, fault: fault, seqs: make([]uint64, parts), pause: o.Pause}
	opts := o.steady(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kind.codec), kgo.RequiredAcks(kind.acks), kgo.MaxBufferedRecords(400),
		kgo.ProducerBatchMaxBytes(200_000),
		kgo.ProducerOnDataLossDetected(func(t string, p int32) { fault(fmt.Errorf("producer %d: data loss detected in %s/%d", id, t, p)) }))
	if !kind.idempotent {
		// One request in flight, so that a retry cannot overtake: order is then ours to demand.
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	c, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	s.client = c
	l.enrol(id, kind.idempotent)
	return s
}

// burst sends up to n records to random partitions; it blocks while too many are unacknowledged.
func (s *sender) burst(ctx context.Context, n int) {
	for range n {
		p := int32(s.rng.IntN(len(s.seqs)))
		st := Stamp{s.id, s.seqs[p]}
		s.seqs[p]++
		fill := s.rng.IntN(1500)
		if s.rng.IntN(200) == 0 {
			fill = 100_000
		}
		s.client.Produce(context.Background(), &kgo.Record{Partition: p, Value: Seal(st, s.rng, fill)}, func(r *kgo.Record, err error) {
			if err != nil {
				s.fault(fmt.Errorf("producer %d, partition %d, number %d: %w", s.id, p, st.Seq, err))
				return
			}
			s.ledger.acknowledge(p, r.Offset, st)
		})
		if ctx.Err() != nil {
			return
		}
	}
}

// run sends bursts with short pauses until ctx ends, then waits for the last acknowledgements.
func (s *sender) run(ctx context.Context) {
	for ctx.Err() == nil {
		s.burst(ctx, 1+s.rng.IntN(60))
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(s.rng.Int64N(int64(s.pause)))): // pace of the load
		}
	}
	fctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.client.Flush(fctx); err != nil {
		s.fault(fmt.Errorf("producer %d: %d records never acknowledged: %w", s.id, s.client.BufferedProduceRecords(), err))
	}
	s.client.Close()
}
