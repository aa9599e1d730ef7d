package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// produce sends every dataset and returns what was acknowledged.
func produce(ctx context.Context, bootstrap string, sets []dataset) (map[string]*fingerprint, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ProducerBatchCompression(kgo.ZstdCompression()),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.MaxBufferedRecords(50_000))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	sent := map[string]*fingerprint{}
	for _, s := range sets {
		var failed atomic.Pointer[error]
		var acked atomic.Int64
		f := newFingerprint()
		start := time.Now()
		for _, i := range s.items {
			f.add(i.key, i.value)
			c.Produce(ctx, &kgo.Record{Topic: s.topic, Key: i.key, Value: i.value, Timestamp: i.time}, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				acked.Add(1)
			})
		}
		if err := c.Flush(ctx); err != nil {
			return nil, err
		}
		if err := failed.Load(); err != nil {
			return nil, fmt.Errorf("produce to %s: %d of %d acknowledged: %w", s.topic, acked.Load(), len(s.items), *err)
		}
		fmt.Printf("produced  %-12s %s, %d partitions, acks=all, idempotent\n", s.label, rate(len(s.items), s.bytes(), time.Since(start)), s.partitions)
		sent[s.topic] = f
	}
	return sent, nil
}

// share is what the members of the group read together.
type share struct {
	mu      sync.Mutex
	got     map[string]*fingerprint
	members [2]int
	bytes   int64
	left    int
}

// consume reads everything in a group of two and returns what came, by topic.
func consume(ctx context.Context, bootstrap string, sets []dataset) (map[string]*fingerprint, error) {
	sh := &share{got: map[string]*fingerprint{}}
	var topics []string
	for _, s := range sets {
		topics = append(topics, s.topic)
		sh.got[s.topic] = newFingerprint()
		sh.left += len(s.items)
	}
	total := sh.left
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var members [2]*kgo.Client
	var assigned sync.WaitGroup
	for m := range members {
		var once sync.Once
		assigned.Add(1)
		c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumerGroup("demo-group-"+topics[0]), kgo.ConsumeTopics(topics...),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
			kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
				if len(parts) > 0 {
					once.Do(assigned.Done)
				}
			}))
		if err != nil {
			return nil, err
		}
		defer c.Close()
		c.PauseFetchTopics(topics...) // nothing is fetched before the clock runs
		members[m] = c
	}
	if err := waitFor(ctx, &assigned); err != nil {
		return nil, fmt.Errorf("the two members did not both get partitions: %w", err)
	}
	start := time.Now()
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for m, c := range members {
		c.ResumeFetchTopics(topics...)
		wg.Go(func() { errs[m] = sh.read(ctx, cancel, c, m) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	fmt.Printf("consumed  %-12s %s\n", "both", rate(total, sh.bytes, time.Since(start)))
	fmt.Printf("          member 1 %d records, member 2 %d records\n", sh.members[0], sh.members[1])
	if sh.members[0] == 0 || sh.members[1] == 0 {
		return nil, errors.New("one member of the group read nothing")
	}
	return sh.got, nil
}

func waitFor(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// read polls one member until the two together have everything, and commits what it read.
func (sh *share) read(ctx context.Context, cancel context.CancelFunc, c *kgo.Client, m int) error {
	for {
		fetches := c.PollFetches(ctx)
		sh.mu.Lock()
		done := sh.left <= 0
		fetches.EachRecord(func(r *kgo.Record) {
			sh.got[r.Topic].add(r.Key, r.Value)
			sh.members[m]++
			sh.bytes += int64(len(r.Key) + len(r.Value))
			sh.left--
		})
		last := !done && sh.left <= 0
		left := sh.left
		sh.mu.Unlock()
		if err := fetches.Err(); err != nil && !done {
			return fmt.Errorf("%d records left: %w", left, err)
		}
		if fetches.NumRecords() > 0 {
			if err := c.CommitUncommittedOffsets(context.WithoutCancel(ctx)); err != nil {
				return fmt.Errorf("commit: %w", err)
			}
		}
		if last {
			cancel() // wakes the other member
		}
		if done || last {
			return nil
		}
	}
}

func rate(records int, n int64, d time.Duration) string {
	s := d.Seconds()
	return fmt.Sprintf("%d records, %.2f MB in %.2f s (%.0f records/s, %.1f MB/s)", records, mb(n), s, float64(records)/s, mb(n)/s)
}
