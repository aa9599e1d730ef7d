package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
)

// Rig is a broker or a cluster under load: what runs, what was promised, and what went wrong.
type Rig struct {
	t       *testing.T
	o       Options
	seed    uint64
	rng     *rand.Rand
	ledger  *ledger
	trimmed *ledger  // of the topic that retention shortens
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

// Number reads an environment variable or falls back.
func Number(t testing.TB, name string, fallback uint64) uint64 {
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

// Seed is the seed of a test of the named package: that of the environment variable, or a new one. It prints how to run
// the test again.
func Seed(t testing.TB, variable, pkg string) uint64 {
	seed := Number(t, variable, rand.Uint64())
	t.Logf("replay: %s=%d go test ./%s -run '^%s$' -count=1", variable, seed, pkg, t.Name())
	return seed
}

// Settings are those that the broker under load is to be started with.
func Settings() map[string]string {
	return map[string]string{"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "4", "log.retention.check.interval.ms": "200"}
}

// Options say where a load goes, and how.
type Options struct {
	Addr    string        // of a broker, or of several, separated by commas
	Cluster bool          // acks=1 promises nothing, and requests that a node leaves unanswered are given up soon
	Pause   time.Duration // most that a producer pauses between bursts of up to 60 records; 0: 6 ms
}

func (o Options) steady(opts ...kgo.Opt) []kgo.Opt {
	if o.Cluster {
		opts = append([]kgo.Opt{kgo.ProduceRequestTimeout(5 * time.Second), kgo.RequestTimeoutOverhead(3 * time.Second)}, opts...)
	}
	return Steady(o.Addr, opts...)
}

func (o Options) kinds() []senderKind {
	if !o.Cluster {
		return senderKinds
	}
	return slices.DeleteFunc(slices.Clone(senderKinds), func(k senderKind) bool { return k.acks != kgo.AllISRAcks() })
}

// Start makes the topics on a broker that is ready, and starts all of the load. It runs until Finish, or until the test
// ends.
func Start(t *testing.T, b *harness.Broker, seed uint64) *Rig {
	t.Helper()
	return StartWith(t, Options{Addr: b.Bootstrap(), Cluster: b.Cluster() != nil}, seed)
}

// StartWith is Start with options.
func StartWith(t *testing.T, o Options, seed uint64) *Rig {
	t.Helper()
	if o.Pause == 0 {
		o.Pause = 6 * time.Millisecond
	}
	r := &Rig{
		t: t, o: o, seed: seed, rng: rand.New(rand.NewPCG(seed, 99)), ledger: newLedger(partitions), trimmed: newLedger(1), members: newCommits(),
		lone: newCommits(), ids: map[int64]bool{}, topics: map[string]bool{}, nextID: 1,
	}
	for p := range r.audits {
		r.audits[p] = newAudit(r.ledger, int32(p))
	}
	adm, done := r.admin()
	defer done()
	small := "1048576" // segments of a mebibyte, so that rounds cross rolls
	conf := map[string]*string{"segment.bytes": &small}
	if _, err := adm.CreateTopic(r.ctx(time.Minute), partitions, -1, conf, topic); err != nil {
		t.Fatal(err)
	}
	conf["retention.bytes"] = &small
	if _, err := adm.CreateTopic(r.ctx(time.Minute), 1, -1, conf, trimmedTopic); err != nil {
		t.Fatal(err)
	}
	r.start()
	return r
}

func (r *Rig) ctx(limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	r.t.Cleanup(cancel)
	return ctx
}

func (r *Rig) admin() (*kadm.Client, func()) {
	c, err := kgo.NewClient(r.o.steady()...)
	if err != nil {
		r.t.Fatal(err)
	}
	return kadm.NewClient(c), c.Close
}

func (r *Rig) fault(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, err)
}

func (r *Rig) start() {
	var sctx, octx context.Context
	sctx, r.stopSenders = context.WithCancel(context.Background())
	octx, r.stopOthers = context.WithCancel(context.Background())
	for _, kind := range r.o.kinds() {
		s := r.sender(topic, partitions, kind, r.ledger)
		r.senders.Go(func() { s.run(sctx) })
	}
	s := r.sender(trimmedTopic, 1, r.o.kinds()[1], r.trimmed)
	r.senders.Go(func() { s.run(sctx) })
	for range 2 {
		r.others.Go(func() { member(octx, r.o, r.members, &r.seen, r.fault) })
	}
	r.others.Go(func() { commitAlone(octx, r.o, r.lone, r.fault) })
	r.t.Cleanup(func() { r.stopSenders(); r.stopOthers() })
}

// sender makes a producer with an id of its own.
func (r *Rig) sender(topic string, parts int, kind senderKind, l *ledger) *sender {
	r.t.Helper()
	s := newSender(r.t, r.o, topic, parts, r.nextID, kind, l, r.seed, r.fault)
	r.nextID++
	return s
}

// Acknowledged is how many records have been acknowledged so far.
func (r *Rig) Acknowledged() int { return r.ledger.total() + r.trimmed.total() }

// AwaitTraffic returns once records and commits have been acknowledged since the call, and then a little later, so that
// the moment of what follows is random.
func (r *Rig) AwaitTraffic() {
	r.t.Helper()
	records, trimmed, commits := r.ledger.total(), r.trimmed.total(), r.lone.snapshot()
	harness.Eventually(r.t, time.Minute, "traffic", func() error {
		if n, m := r.ledger.total()-records, r.trimmed.total()-trimmed; n < 50 || m == 0 {
			return fmt.Errorf("%d and %d records acknowledged since the start", n, m)
		}
		for g, n := range r.lone.snapshot() {
			if n > commits[g] {
				return r.failed()
			}
		}
		return errors.New("no commit acknowledged since the start")
	})
	time.Sleep(time.Duration(r.rng.IntN(400)) * time.Millisecond) // the moment of what follows
}

// AwaitGroup returns once a member of the group has been acknowledged a commit that was made since the call.
func (r *Rig) AwaitGroup() {
	r.t.Helper()
	before := r.members.snapshot()
	harness.Eventually(r.t, time.Minute, "progress of the group", func() error {
		for p, at := range r.members.snapshot() {
			if at > before[p] {
				return r.failed()
			}
		}
		return errors.New("no member was acknowledged a commit")
	})
}

func (r *Rig) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.faults) > 0 {
		r.t.Fatalf("the load met %d faults, first: %v", len(r.faults), r.faults[0])
	}
	return nil
}
