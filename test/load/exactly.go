package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
)

// What an Exactly runs: workers read numbers from one topic and write them to another, in transactions.
const (
	exactlyParts   = 4
	exactlyWorkers = 3
	exactlyIn      = "exactly-in"
	exactlyOut     = "exactly-out"
	// ExactlyGroup is the group of the workers.
	ExactlyGroup = "exactly"
	exactlyLimit = 2 * time.Minute
)

// Exactly is a pipeline that reads, transforms and writes exactly once: each transaction takes the numbers that one poll
// gave, writes each of them and one tag to every partition, and commits the offsets with them. Some transactions are
// aborted, with a record of poison in them.
type Exactly struct {
	t         *testing.T
	o         Options
	sent      atomic.Int64 // numbers acknowledged: all below it
	committed atomic.Int64 // transactions
	aborted   atomic.Int64
	restarts  atomic.Int64 // of workers whose session had come to its end

	stopSending, stop context.CancelFunc
	sender, workers   sync.WaitGroup
}

// WorkerID is the transactional id of a worker.
func WorkerID(i int) string { return fmt.Sprintf("worker-%d", i) }

// StartExactly makes the topics, with as many replicas as given, and starts the pipeline. It runs until Finish.
func StartExactly(t *testing.T, o Options, replicas int16, seed uint64) *Exactly {
	t.Helper()
	e := &Exactly{t: t, o: o}
	adm := e.admin()
	ctx, cancel := context.WithTimeout(t.Context(), exactlyLimit)
	defer cancel()
	for _, r := range []string{exactlyIn, exactlyOut} {
		if _, err := adm.CreateTopic(ctx, exactlyParts, replicas, nil, r); err != nil {
			t.Fatal(err)
		}
	}
	sending, stopSending := context.WithCancel(context.Background())
	working, stop := context.WithCancel(context.Background())
	e.stopSending, e.stop = stopSending, stop
	t.Cleanup(func() {
		stopSending()
		stop()
		e.sender.Wait()
		e.workers.Wait()
	})
	e.sender.Go(func() { e.send(sending) })
	for i := range exactlyWorkers {
		e.workers.Go(func() { e.work(working, i, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	return e
}

func (e *Exactly) client(opts ...kgo.Opt) *kgo.Client {
	e.t.Helper()
	c, err := kgo.NewClient(e.o.steady(opts...)...)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(c.Close)
	return c
}

func (e *Exactly) admin() *kadm.Client { return kadm.NewClient(e.client()) }

// send writes the numbers, each acknowledged before the next few.
func (e *Exactly) send(ctx context.Context) {
	c, err := kgo.NewClient(e.o.steady(kgo.DefaultProduceTopic(exactlyIn), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		e.t.Error(err)
		return
	}
	defer c.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := int64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var batch []*kgo.Record
		for range 5 {
			batch = append(batch, &kgo.Record{Partition: int32(n % exactlyParts), Value: []byte(strconv.FormatInt(n, 10))})
			n++
		}
		if err := c.ProduceSync(context.Background(), batch...).FirstErr(); err != nil {
			e.t.Errorf("send numbers up to %d: %v", n, err)
			return
		}
		e.sent.Store(n)
	}
}

// work runs one worker: a session after the other, for one that has lost its transactional id or the like is over.
func (e *Exactly) work(ctx context.Context, worker int, rng *rand.Rand) {
	tag := 0
	for ctx.Err() == nil {
		s, err := kgo.NewGroupTransactSession(e.o.steady(
			kgo.TransactionalID(WorkerID(worker)), kgo.TransactionTimeout(30*time.Second), kgo.ConsumerGroup(ExactlyGroup),
			kgo.ConsumeTopics(exactlyIn), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.FetchMaxWait(100*time.Millisecond), kgo.DefaultProduceTopic(exactlyOut), kgo.SessionTimeout(10*time.Second),
		)...)
		if err != nil {
			e.t.Error(err)
			return
		}
		for ctx.Err() == nil && err == nil {
			tag++
			err = e.transact(ctx, s, fmt.Sprintf("tag %d/%d", worker, tag), rng)
		}
		s.Close()
		if ctx.Err() == nil {
			e.restarts.Add(1)
			e.t.Logf("worker %d begins anew: %v", worker, err)
		}
	}
}

// transact runs one transaction. An error ends the session.
func (e *Exactly) transact(ctx context.Context, s *kgo.GroupTransactSession, tag string, rng *rand.Rand) error {
	fetches := s.PollFetches(ctx)
	if ctx.Err() != nil || len(fetches.Records()) == 0 {
		return nil
	}
	if err := s.Begin(); err != nil {
		return err
	}
	abort := rng.IntN(4) == 0
	var failed kgo.FirstErrPromise
	produce := func(partition int32, value string) {
		s.Produce(context.Background(), &kgo.Record{Partition: partition, Value: []byte(value)}, failed.Promise())
	}
	fetches.EachRecord(func(r *kgo.Record) { produce(r.Partition, string(r.Value)) })
	for p := range int32(exactlyParts) {
		produce(p, tag)
	}
	if abort {
		produce(rng.Int32N(exactlyParts), "poison")
	}
	perr := failed.Err()
	committed, err := s.End(context.Background(), kgo.TransactionEndTry(perr == nil && !abort))
	switch {
	case err != nil:
		return errors.Join(err, perr)
	case committed:
		e.committed.Add(1)
	default:
		e.aborted.Add(1)
	}
	return nil
}

// Await waits until so many transactions more have been committed.
func (e *Exactly) Await(limit time.Duration, more int64) {
	e.t.Helper()
	want := e.committed.Load() + more
	harness.Eventually(e.t, limit, "transactions", func() error {
		if got := e.committed.Load(); got < want {
			return fmt.Errorf("%d committed, %d aborted, waiting for %d", got, e.aborted.Load(), want)
		}
		return nil
	})
}

// Finish ends the sending, waits until every number has come through, and compares what readers of committed records
// get with what was sent.
func (e *Exactly) Finish() {
	e.t.Helper()
	e.stopSending()
	e.sender.Wait()
	numbers := e.sent.Load()
	adm := e.admin()
	harness.Eventually(e.t, exactlyLimit, "offsets of the group at the end", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		offsets, err := adm.FetchOffsets(ctx, ExactlyGroup)
		if err != nil {
			return err
		}
		done := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) { done += o.At })
		ends, err := adm.ListCommittedOffsets(ctx, exactlyIn)
		if err != nil {
			return err
		}
		all := int64(0)
		ends.Each(func(o kadm.ListedOffset) { all += o.Offset })
		if done != all {
			return fmt.Errorf("%d of %d", done, all)
		}
		return nil
	})
	e.stop()
	e.workers.Wait()
	harness.Eventually(e.t, exactlyLimit, "last stable offsets at the end", func() error { return e.stable(adm) })
	poisoned := e.compare(numbers)
	e.t.Logf("%d numbers in %d transactions committed, %d aborted (%d records of poison seen by readers of everything), %d sessions begun anew",
		numbers, e.committed.Load(), e.aborted.Load(), poisoned, e.restarts.Load())
	if numbers == 0 || e.committed.Load() == 0 || e.aborted.Load() == 0 || poisoned == 0 {
		e.t.Error("that proves nothing")
	}
}

// stable tells whether every transaction has ended in every partition.
func (e *Exactly) stable(adm *kadm.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stable, err := adm.ListCommittedOffsets(ctx, exactlyOut)
	if err != nil {
		return err
	}
	ends, err := adm.ListEndOffsets(ctx, exactlyOut)
	if err != nil {
		return err
	}
	ends.Each(func(o kadm.ListedOffset) {
		if s, _ := stable.Lookup(o.Topic, o.Partition); s.Offset != o.Offset || o.Err != nil || s.Err != nil {
			err = errors.Join(err, fmt.Errorf("partition %d: last stable offset %d (%v), end %d (%v)", o.Partition, s.Offset, s.Err, o.Offset, o.Err))
		}
	})
	return err
}

// compare reads what was written, and returns how much poison there is that readers of committed records do not see.
func (e *Exactly) compare(numbers int64) (poisoned int) {
	seen, tags := map[int64]int{}, map[string]int{}
	for _, v := range e.read(kgo.ReadCommitted()) {
		switch {
		case v == "poison":
			e.t.Error("poison of an aborted transaction is seen")
		case strings.HasPrefix(v, "tag "):
			tags[v]++
		default:
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				e.t.Errorf("a record %q", v)
			}
			seen[n]++
		}
	}
	for n := range numbers {
		if seen[n] != 1 {
			e.t.Errorf("number %d is there %d times", n, seen[n])
		}
	}
	if int64(len(seen)) != numbers {
		e.t.Errorf("%d numbers, %d were sent", len(seen), numbers)
	}
	for tag, n := range tags {
		if n != exactlyParts {
			e.t.Errorf("%s is in %d of %d partitions", tag, n, exactlyParts)
		}
	}
	if int64(len(tags)) < e.committed.Load() { // one whose answer was lost may have been committed all the same
		e.t.Errorf("%d transactions are there, %d were committed", len(tags), e.committed.Load())
	}
	for _, v := range e.read(kgo.ReadUncommitted()) {
		if v == "poison" {
			poisoned++
		}
	}
	return poisoned
}

// read reads the output from its start to its present end.
func (e *Exactly) read(level kgo.IsolationLevel) (values []string) {
	ctx, cancel := context.WithTimeout(context.Background(), exactlyLimit)
	defer cancel()
	ends, err := e.admin().ListEndOffsets(ctx, exactlyOut)
	if err != nil || ends.Error() != nil {
		e.t.Fatal(err, ends.Error())
	}
	left, from := map[int32]int64{}, map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		from[o.Partition] = kgo.NewOffset().At(0)
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	// Control records are kept, for the last record of a partition may be one.
	c := e.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{exactlyOut: from}), kgo.FetchIsolationLevel(level),
		kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	defer c.Close()
	for len(left) > 0 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			e.t.Fatalf("read: %v; left %v", err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				values = append(values, string(r.Value))
			}
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
		})
	}
	return values
}
