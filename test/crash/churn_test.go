package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
	"chronik/test/load"
)

// churn is a broker whose segments come and go quickly, and what its readers met.
type churn struct {
	t     *testing.T
	b     *harness.Broker
	ctx   context.Context
	read  atomic.Int64
	fault atomic.Pointer[error]
}

func newChurn(t *testing.T) *churn {
	t.Helper()
	c := &churn{t: t, b: harness.Start(t, harness.Config{Set: map[string]string{"log.retention.check.interval.ms": "50"}})}
	c.b.Owned(t)
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return c
}

func (c *churn) failed(err error) {
	c.fault.CompareAndSwap(nil, &err)
}

func (c *churn) check() {
	c.t.Helper()
	if err := c.fault.Load(); err != nil {
		c.t.Fatal(*err)
	}
	if !c.b.Running() {
		c.t.Fatalf("the process is gone; log:\n%s", harness.Tail(c.b.Log, 60))
	}
}

func (c *churn) client(opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(load.Steady(c.b.Addr, opts...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	return cl
}

// follow reads a topic from its start again and again, at an uneven pace, and checks what it gets: whole records, rising
// offsets. Falling behind the log start is allowed, that is what this is about.
func (c *churn) follow(ctx context.Context, seed uint64, topic string, parts int32) {
	rng := rand.New(rand.NewPCG(seed, 5))
	for ctx.Err() == nil {
		cl := c.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.FetchMaxPartitionBytes(300_000), kgo.FetchMaxWait(50*time.Millisecond))
		last := make([]int64, parts)
		for i := range last {
			last[i] = -1
		}
		for range 20 + rng.IntN(60) {
			fetches := cl.PollRecords(ctx, 50)
			fetches.EachRecord(func(r *kgo.Record) {
				if r.Offset <= last[r.Partition] {
					c.failed(fmt.Errorf("%s/%d: offset %d after %d", topic, r.Partition, r.Offset, last[r.Partition]))
				}
				last[r.Partition] = r.Offset
				if _, err := load.Unseal(r.Value); err != nil {
					c.failed(fmt.Errorf("%s/%d offset %d: %w", topic, r.Partition, r.Offset, err))
				}
				c.read.Add(1)
			})
			if ctx.Err() != nil {
				break
			}
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond) // a reader's pace
		}
		cl.Close()
	}
}

// TestReadersMeetRetention reads segments while retention and DeleteRecords drop them: readers get whole records or an
// error, never other bytes, and the process lives.
func TestReadersMeetRetention(t *testing.T) {
	c := newChurn(t)
	const parts, total = 2, 120 << 20
	adm := kadm.NewClient(c.client())
	defer adm.Close()
	segment, keep := "1048576", "3145728"
	if _, err := adm.CreateTopic(c.ctx, parts, 1, map[string]*string{"segment.bytes": &segment, "retention.bytes": &keep}, "churn"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(c.ctx)
	var wg sync.WaitGroup
	seed := load.Seed(t, "CHRONIK_CRASH_SEED", "crash")
	for i := range uint64(4) {
		wg.Go(func() { c.follow(ctx, seed+i, "churn", parts) })
	}
	p := c.client(kgo.DefaultProduceTopic("churn"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	rng := rand.New(rand.NewPCG(seed, 6))
	for sent, n := 0, uint64(0); sent < total; n++ {
		fill := rng.IntN(20_000)
		r := &kgo.Record{Partition: int32(n % parts), Value: load.Seal(load.Stamp{Producer: 1, Seq: n}, rng, fill)}
		p.Produce(c.ctx, r, func(_ *kgo.Record, err error) {
			if err != nil {
				c.failed(err)
			}
		})
		sent += fill
		if n%500 == 499 { // cut at the log's end now and then
			ends, err := adm.ListEndOffsets(c.ctx, "churn")
			if err != nil {
				t.Fatal(err)
			}
			cut := kadm.Offsets{}
			ends.Each(func(o kadm.ListedOffset) {
				cut.AddOffset(o.Topic, o.Partition, max(0, o.Offset-int64(rng.IntN(50))), -1)
			})
			if rs, err := adm.DeleteRecords(c.ctx, cut); errors.Join(err, rs.Error()) != nil {
				t.Fatalf("DeleteRecords: %v", errors.Join(err, rs.Error()))
			}
			c.check()
		}
	}
	if err := p.Flush(c.ctx); err != nil {
		t.Fatal(err)
	}
	p.Close()
	stop()
	wg.Wait()
	c.check()
	starts, err := adm.ListStartOffsets(c.ctx, "churn")
	if err != nil {
		t.Fatal(err)
	}
	starts.Each(func(o kadm.ListedOffset) {
		if o.Offset == 0 {
			t.Errorf("partition %d: nothing was dropped", o.Partition)
		}
	})
	t.Logf("%d MiB produced, %d records read while segments were dropped", total>>20, c.read.Load())
	if c.read.Load() < 1000 {
		t.Errorf("the readers read only %d records", c.read.Load())
	}
}

// TestDeleteUnderTraffic deletes and makes topics while others produce to them and read them.
func TestDeleteUnderTraffic(t *testing.T) {
	c := newChurn(t)
	adm := kadm.NewClient(c.client())
	defer adm.Close()
	seed := load.Seed(t, "CHRONIK_CRASH_SEED", "crash")
	rounds, sent := 25, atomic.Int64{}
	for i := range rounds {
		name := fmt.Sprintf("short-%d", i%3)
		segment := "1048576"
		if _, err := adm.CreateTopic(c.ctx, 3, 1, map[string]*string{"segment.bytes": &segment}, name); err != nil {
			t.Fatalf("round %d: create %s: %v", i, name, err)
		}
		ctx, stop := context.WithCancel(c.ctx)
		var wg sync.WaitGroup
		wg.Go(func() { c.follow(ctx, seed+uint64(i), name, 3) })
		p, err := kgo.NewClient(kgo.SeedBrokers(c.b.Addr), kgo.DefaultProduceTopic(name), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0),
			kgo.UnknownTopicRetries(0))
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		for n := range uint64(300) {
			p.Produce(ctx, &kgo.Record{Value: load.Seal(load.Stamp{Producer: 1, Seq: n}, rng, rng.IntN(10_000))}, func(_ *kgo.Record, err error) {
				if err == nil {
					sent.Add(1)
				}
			})
			if n == 150 {
				p.Flush(ctx)
			}
		}
		if _, err := adm.DeleteTopic(c.ctx, name); err != nil { // while the last records are on their way
			t.Fatalf("round %d: delete %s: %v", i, name, err)
		}
		stop()
		wg.Wait()
		p.Close()
		c.check()
	}
	have, err := adm.ListTopics(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name := range have {
		t.Errorf("topic %s is still there", name)
	}
	if sent.Load() < int64(rounds)*100 {
		t.Errorf("only %d records were acknowledged in %d rounds", sent.Load(), rounds)
	}
	if _, err := c.b.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.b.Launch(); err != nil {
		t.Fatalf("restart: %v", err)
	}
	t.Logf("%d records acknowledged to %d topics that were deleted meanwhile, %d read", sent.Load(), rounds, c.read.Load())
}
