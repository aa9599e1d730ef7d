package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
)

// Prober writes one small record after the other to each partition of a topic, idempotent and with acks=all, retries
// quickly and for ever, and remembers when each was begun and acknowledged. A consumer follows it and holds every record
// against what was promised. So it tells how long a partition could not be written to, and whether anything was lost.
type Prober struct {
	t      *testing.T
	o      Options
	topic  string
	parts  int
	client *kgo.Client
	ledger *ledger

	mu     sync.Mutex
	faults []error
	acks   [][]Ack // by partition
	read   []int64 // by partition: the offset that the consumer expects next

	stopWriters, stopReader context.CancelFunc
	writers, reader         sync.WaitGroup
	once                    sync.Once
}

// Ack is one record that was acknowledged.
type Ack struct {
	Begun, Acked time.Time
	Offset       int64
}

const proberID = 1

// StartProber runs until Finish, or until the test ends. The topic is there, empty. pause lies between an
// acknowledgement and the next record of a partition.
func StartProber(t *testing.T, o Options, topic string, parts int, pause time.Duration) *Prober {
	t.Helper()
	p := &Prober{t: t, o: o, topic: topic, parts: parts, ledger: newLedger(parts), acks: make([][]Ack, parts), read: make([]int64, parts)}
	p.ledger.enrol(proberID, true)
	c, err := kgo.NewClient(o.steady(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.ProducerOnDataLossDetected(func(t string, part int32) { p.fault(fmt.Errorf("prober: data loss detected in %s/%d", t, part)) }))...)
	if err != nil {
		t.Fatal(err)
	}
	p.client = c
	wctx, stopWriters := context.WithCancel(context.Background())
	rctx, stopReader := context.WithCancel(context.Background())
	p.stopWriters, p.stopReader = stopWriters, stopReader
	for part := range parts {
		p.writers.Go(func() { p.write(wctx, int32(part), pause) })
	}
	p.reader.Go(func() { p.follow(rctx) })
	t.Cleanup(p.stop)
	return p
}

func (p *Prober) fault(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, err)
}

func (p *Prober) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.faults) > 0 {
		return fmt.Errorf("%d faults, first: %w", len(p.faults), p.faults[0])
	}
	return nil
}

// write is the writer of one partition. It ends behind the acknowledgement of its last record.
func (p *Prober) write(ctx context.Context, part int32, pause time.Duration) {
	rng := rand.New(rand.NewPCG(1, uint64(part)))
	for seq := uint64(0); ctx.Err() == nil; seq++ {
		begun := time.Now()
		st := Stamp{proberID, seq}
		r, err := p.client.ProduceSync(context.Background(), &kgo.Record{Partition: part, Value: Seal(st, rng, 20)}).First()
		if err != nil {
			if !errors.Is(err, kgo.ErrClientClosed) {
				p.fault(fmt.Errorf("prober, partition %d, number %d: %w", part, seq, err))
			}
			return
		}
		p.ledger.acknowledge(part, r.Offset, st)
		p.mu.Lock()
		p.acks[part] = append(p.acks[part], Ack{begun, time.Now(), r.Offset})
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(pause): // pace of the load
		}
	}
}

// follow consumes everything from the start and compares it.
func (p *Prober) follow(ctx context.Context) {
	from := map[int32]kgo.Offset{}
	audits := make([]*audit, p.parts)
	for part := range p.parts {
		from[int32(part)] = kgo.NewOffset().At(0)
		audits[part] = newAudit(p.ledger, int32(part))
	}
	c, err := kgo.NewClient(p.o.steady(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{p.topic: from}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(200*time.Millisecond))...)
	if err != nil {
		p.fault(err)
		return
	}
	defer c.Close()
	for ctx.Err() == nil {
		fetches := c.PollFetches(ctx)
		fetches.EachError(func(_ string, part int32, err error) {
			if ctx.Err() == nil {
				p.fault(fmt.Errorf("consumer, partition %d: %w", part, err))
			}
		})
		fetches.EachRecord(func(r *kgo.Record) {
			if err := audits[r.Partition].record(r.Offset, r.Value); err != nil {
				p.fault(fmt.Errorf("consumer: %w", err))
			}
			p.mu.Lock()
			p.read[r.Partition] = r.Offset + 1
			p.mu.Unlock()
		})
		if p.failed() != nil {
			return
		}
	}
}

// First is the first record of a partition that was begun after a moment and acknowledged.
func (p *Prober) First(part int32, after time.Time) (Ack, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	acks := p.acks[part]
	i, _ := slices.BinarySearchFunc(acks, after, func(a Ack, t time.Time) int {
		if a.Begun.After(t) {
			return 1
		}
		return -1
	})
	if i == len(acks) {
		return Ack{}, false
	}
	return acks[i], true
}

// Await waits until in each of the partitions a record that was begun after the moment is acknowledged, and returns
// how long after the moment each of them was. No partitions: all.
func (p *Prober) Await(limit time.Duration, after time.Time, parts ...int32) []time.Duration {
	p.t.Helper()
	if len(parts) == 0 {
		for part := range p.parts {
			parts = append(parts, int32(part))
		}
	}
	took := make([]time.Duration, len(parts))
	harness.Eventually(p.t, limit, "every partition is written to", func() error {
		for i, part := range parts {
			a, ok := p.First(part, after)
			if !ok {
				return errors.Join(fmt.Errorf("partition %d: nothing acknowledged", part), p.failed())
			}
			took[i] = a.Acked.Sub(after)
		}
		return nil
	})
	return took
}

// Gap is the longest time between two acknowledgements of any of the partitions that begins or ends after a moment.
func (p *Prober) Gap(after time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	longest := time.Duration(0)
	for _, acks := range p.acks {
		for i := 1; i < len(acks); i++ {
			if acks[i].Acked.After(after) {
				longest = max(longest, acks[i].Acked.Sub(acks[i-1].Acked))
			}
		}
	}
	return longest
}

// Acknowledged is how many records were acknowledged so far.
func (p *Prober) Acknowledged() int { return p.ledger.total() }

// Check fails the test if something is wrong already.
func (p *Prober) Check() {
	p.t.Helper()
	if err := p.failed(); err != nil {
		p.t.Fatal(err)
	}
}

// Finish stops the writers, waits until the consumer has read to the ends, and checks that nothing is missing.
func (p *Prober) Finish() {
	p.t.Helper()
	p.stopWriters()
	p.writers.Wait()
	p.Check()
	c, err := kgo.NewClient(p.o.steady()...)
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, p.topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		p.t.Fatal(err)
	}
	harness.Eventually(p.t, time.Minute, "the consumer reads to the ends", func() error {
		if err := p.failed(); err != nil {
			p.t.Fatal(err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for part, at := range p.read {
			end, _ := ends.Lookup(p.topic, int32(part))
			if acked := p.ledger.end(int32(part)); end.Offset < acked {
				p.t.Fatalf("%s/%d ends at %d, but offset %d was acknowledged", p.topic, part, end.Offset, acked-1)
			}
			if at < end.Offset {
				return fmt.Errorf("partition %d: %d of %d", part, at, end.Offset)
			}
		}
		return nil
	})
	p.stop()
	if err := errors.Join(p.ledger.refused...); err != nil {
		p.t.Fatal(err)
	}
	p.Check()
}

// stop ends everything, whatever is still unacknowledged.
func (p *Prober) stop() {
	p.once.Do(func() {
		p.stopWriters()
		p.stopReader()
		p.client.Close()
		p.writers.Wait()
		p.reader.Wait()
	})
}
