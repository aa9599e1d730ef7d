package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
)

// rig is a broker under load: what runs, what was promised, and what went wrong.
type rig struct {
	t       *testing.T
	b       *harness.Broker
	seed    uint64
	rng     *rand.Rand
	ledger  *ledger
	members *commits // by partition
	lone    *commits // by group
	seen    atomic.Int64
	audits  [partitions]*audit
	ids     map[int64]bool // producer ids handed out so far
	nextID  uint32
	topics  map[string]bool // made or deleted in earlier rounds: must (not) be there

	mu     sync.Mutex
	faults []error

	stopSenders, stopOthers context.CancelFunc
	senders, others         sync.WaitGroup
}

// number reads an environment variable or falls back.
func number(t testing.TB, name string, fallback uint64) uint64 {
	v := os.Getenv(name)
	if v == "" {
		return fallback
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q: %v", name, v, err)
	}
	return n
}

// newRig starts a broker, the topic and all of the load.
func newRig(t *testing.T) *rig {
	t.Helper()
	seed := number(t, "CHRONIK_CRASH_SEED", rand.Uint64())
	t.Logf("replay: CHRONIK_CRASH_SEED=%d go test ./crash -run '^%s$' -count=1", seed, t.Name())
	r := &rig{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 99)), ledger: newLedger(partitions), members: newCommits(),
		lone: newCommits(), ids: map[int64]bool{}, topics: map[string]bool{}, nextID: 1,
	}
	for p := range r.audits {
		r.audits[p] = newAudit(r.ledger, int32(p))
	}
	r.b = harness.Start(t, harness.Config{Set: map[string]string{"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "4"}})
	r.b.Owned(t)
	adm, done := r.admin()
	defer done()
	small := "1048576" // segments of a mebibyte, so that rounds cross rolls
	if _, err := adm.CreateTopic(r.ctx(time.Minute), partitions, 1, map[string]*string{"segment.bytes": &small}, topic); err != nil {
		t.Fatal(err)
	}
	r.start()
	return r
}

func (r *rig) ctx(limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	r.t.Cleanup(cancel)
	return ctx
}

func (r *rig) admin() (*kadm.Client, func()) {
	c, err := kgo.NewClient(steady(r.b.Addr)...)
	if err != nil {
		r.t.Fatal(err)
	}
	return kadm.NewClient(c), c.Close
}

func (r *rig) fault(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, err)
}

func (r *rig) start() {
	var sctx, octx context.Context
	sctx, r.stopSenders = context.WithCancel(context.Background())
	octx, r.stopOthers = context.WithCancel(context.Background())
	for _, kind := range senderKinds {
		s := newSender(r.t, r.b.Addr, r.nextID, kind, r.ledger, r.seed, r.fault)
		r.nextID++
		r.senders.Go(func() { s.run(sctx) })
	}
	for range 2 {
		r.others.Go(func() { member(octx, r.b.Addr, r.members, &r.seen, r.fault) })
	}
	r.others.Go(func() { commitAlone(octx, r.b.Addr, r.lone, r.fault) })
	r.t.Cleanup(func() { r.stopSenders(); r.stopOthers() })
}

// awaitTraffic returns once this run of the process has acknowledged records and commits, and then a little later, so
// that the moment of what follows is random.
func (r *rig) awaitTraffic() {
	r.t.Helper()
	records, commits := r.ledger.total(), r.lone.snapshot()
	harness.Eventually(r.t, time.Minute, "traffic", func() error {
		if n := r.ledger.total() - records; n < 50 {
			return fmt.Errorf("%d records acknowledged since the start", n)
		}
		for g, n := range r.lone.snapshot() {
			if n > commits[g] {
				return r.failed()
			}
		}
		return errors.New("no commit acknowledged since the start")
	})
	time.Sleep(time.Duration(r.rng.IntN(400)) * time.Millisecond) // the moment of the kill
}

func (r *rig) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.faults) > 0 {
		r.t.Fatalf("the load met %d faults, first: %v", len(r.faults), r.faults[0])
	}
	return nil
}

// check compares the restarted broker with what was promised before: topics, commits, and the log from where the last
// check ended up to the present end, while the load goes on.
func (r *rig) check() {
	r.t.Helper()
	members, lone := r.members.snapshot(), r.lone.snapshot()
	adm, done := r.admin()
	defer done()
	ctx := r.ctx(2 * time.Minute)
	r.checkTopics(ctx, adm)
	r.checkCommits(ctx, adm, members, lone)
	r.checkLog(ctx, adm, &r.audits)
	r.newProducer()
	if err := r.failed(); err != nil {
		r.t.Fatal(err)
	}
}

// checkTopics makes one topic a round and deletes the one of two rounds before.
func (r *rig) checkTopics(ctx context.Context, adm *kadm.Client) {
	r.t.Helper()
	have, err := adm.ListTopics(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	for name, there := range r.topics {
		if have.Has(name) != there {
			r.t.Fatalf("topic %s is there: %v, acknowledged was: %v", name, have.Has(name), there)
		}
	}
	n := len(r.topics)
	name := fmt.Sprintf("round-%d", n)
	if _, err := adm.CreateTopic(ctx, 1, 1, nil, name); err != nil {
		r.t.Fatalf("create topic %s: %v", name, err)
	}
	r.topics[name] = true
	if n >= 2 {
		old := fmt.Sprintf("round-%d", n-2)
		if _, err := adm.DeleteTopic(ctx, old); err != nil {
			r.t.Fatalf("delete topic %s: %v", old, err)
		}
		r.topics[old] = false
	}
}

// checkCommits wants every commit at least as high as acknowledged, and never higher than tried.
func (r *rig) checkCommits(ctx context.Context, adm *kadm.Client, members, lone map[string]int64) {
	r.t.Helper()
	os, err := adm.FetchOffsets(ctx, memberGroup)
	if err != nil {
		r.t.Fatal(err)
	}
	for key, acked := range members {
		p, _ := strconv.Atoi(key)
		o, ok := os.Lookup(topic, int32(p))
		if tried := r.members.triedAt(key); !ok || o.At < acked || o.At > tried {
			r.t.Fatalf("group %s partition %s: committed %d (there: %v), acknowledged %d, tried %d", memberGroup, key, o.At, ok, acked, tried)
		}
	}
	for group, acked := range lone {
		os, err := adm.FetchOffsets(ctx, group)
		if err != nil {
			r.t.Fatal(err)
		}
		o, ok := os.Lookup(topic, 0)
		if tried := r.lone.triedAt(group); !ok || o.At < acked || o.At > tried || o.Metadata != fmt.Sprint(o.At) {
			r.t.Fatalf("group %s: committed %d %q (there: %v), acknowledged %d, tried %d", group, o.At, o.Metadata, ok, acked, tried)
		}
	}
}

// checkLog reads every partition from where its audit stands to the present end.
func (r *rig) checkLog(ctx context.Context, adm *kadm.Client, audits *[partitions]*audit) {
	r.t.Helper()
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		r.t.Fatal(err)
	}
	from := map[int32]kgo.Offset{}
	left := 0
	for p, a := range audits {
		end, _ := ends.Lookup(topic, int32(p))
		if end.Offset < a.next {
			r.t.Fatalf("partition %d ends at %d, but offset %d was read before", p, end.Offset, a.next-1)
		}
		if end.Offset > a.next {
			from[int32(p)] = kgo.NewOffset().At(a.next)
			left++
		}
	}
	if left == 0 {
		return
	}
	c, err := kgo.NewClient(steady(r.b.Addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	for left > 0 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			r.t.Fatalf("reading the log: %v", err)
		}
		fetches.EachRecord(func(k *kgo.Record) {
			end, _ := ends.Lookup(topic, k.Partition)
			if k.Offset >= end.Offset {
				return
			}
			if err := audits[k.Partition].record(k.Offset, k.Value); err != nil {
				r.t.Fatal(err)
			}
			if k.Offset == end.Offset-1 {
				left--
			}
		})
	}
}

// newProducer sends from an idempotent producer made for this round; its id must not have been given to anybody.
func (r *rig) newProducer() {
	r.t.Helper()
	s := newSender(r.t, r.b.Addr, r.nextID, senderKinds[0], r.ledger, r.seed, r.fault)
	r.nextID++
	ctx := r.ctx(time.Minute)
	s.burst(ctx, 20)
	if err := s.client.Flush(ctx); err != nil {
		r.t.Fatalf("a new producer's records: %v", err)
	}
	id, _, err := s.client.ProducerID(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.ids[id] {
		r.t.Fatalf("producer id %d was given out twice", id)
	}
	r.ids[id] = true
	s.client.Close()
}

// finish stops the load, waits until the group has read everything, and audits the whole log from its start.
func (r *rig) finish() {
	r.t.Helper()
	r.stopSenders()
	r.senders.Wait()
	if err := r.failed(); err != nil {
		r.t.Fatal(err)
	}
	adm, done := r.admin()
	defer done()
	ctx := r.ctx(3 * time.Minute)
	ends, err := adm.ListEndOffsets(ctx, topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		r.t.Fatal(err)
	}
	harness.Eventually(r.t, time.Minute, "the group reads to the end", func() error {
		for p, acked := range r.members.snapshot() {
			n, _ := strconv.Atoi(p)
			if end, _ := ends.Lookup(topic, int32(n)); acked < end.Offset {
				return fmt.Errorf("partition %s: committed %d of %d", p, acked, end.Offset)
			}
		}
		return r.failed()
	})
	r.stopOthers()
	r.others.Wait()
	var whole [partitions]*audit
	for p := range whole {
		whole[p] = newAudit(r.ledger, int32(p))
	}
	r.checkLog(ctx, adm, &whole)
	duplicates, records := 0, int64(0)
	for _, a := range whole {
		if err := a.whole(); err != nil {
			r.t.Fatal(err)
		}
		duplicates += a.duplicates
		records += a.next
	}
	r.t.Logf("%d records in the log, %d acknowledged, %d repeated by producers that are not idempotent, group members read %d, %d new producer ids",
		records, r.ledger.total(), duplicates, r.seen.Load(), len(r.ids))
}
