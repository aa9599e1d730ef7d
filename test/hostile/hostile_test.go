package hostile

import (
	"context"
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
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

const (
	connections = 1000
	bigTopic    = "hostile-big"   // what is fetched and not read
	quietTopic  = "hostile-quiet" // where long polls wait
	bigBytes    = 16 << 20

	// comparedRecords is how many records of the well-behaved client are timed without the others.
	comparedRecords = 1000
)

// The bound of docs/memory.md: what was there before, the collector's factor times what requests may hold with what one
// needs beyond that, and what each connection takes.
const (
	connectionBytes = 64 << 10
	weightBytesMin  = 16 << 20
	memoryBound     = 2*(requestBytesMax+2*frameBytesMax+max(frameBytesMax, weightBytesMin)) + connections*connectionBytes
)

// TestThousandConnections is the attack.
func TestThousandConnections(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("CHRONIK_HOSTILE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("replay: CHRONIK_HOSTILE_SEED=%d make hostile", seed)
	b := harness.Start(t, harness.Config{Set: map[string]string{
		"socket.request.max.bytes": fmt.Sprint(frameBytesMax), "queued.max.request.bytes": fmt.Sprint(requestBytesMax),
		"auto.create.topics.enable": "false",
	}})
	b.Owned(t)
	served := prepare(t, b)
	pair := newPair(t, b, "hostile-beside")
	alone := pair.run(t, comparedRecords, 100, func() bool { return false })
	base := settle(t, b)
	t.Logf("before: %v", base)
	idle(t, b, base)

	began, brokerTime, ourTime := time.Now(), metrics(t, b)["process_cpu_seconds_total"], clientTime()
	peak := watch(b.PID())
	a := attack(t, b.Addr, seed, served)
	beside := pair.run(t, comparedRecords, 100, func() bool { return a.waiting.Load() > 0 })
	a.end(t)
	most := peak()
	m := metrics(t, b)
	first := beside[:comparedRecords]
	t.Logf("alone:           %v", alone)
	t.Logf("beside, as many: %v", first)
	t.Logf("beside, all:     %v", beside)
	t.Logf("ratio of as many beside/alone: p50 %.2f, p99 %.2f", float64(first.at(0.5))/float64(alone.at(0.5)), float64(first.at(0.99))/float64(alone.at(0.99)))
	t.Logf("waits for memory of requests: %.0f, %.1f s together", m["chronik_kafka_request_memory_waits_total"], m["chronik_kafka_request_memory_wait_ms_sum"]/1000)
	t.Logf("processor time in %.1f s: broker %.1f s, these clients %.1f s", time.Since(began).Seconds(),
		m["process_cpu_seconds_total"]-brokerTime, clientTime()-ourTime)
	t.Logf("memory: %s at the most, %s before; heap in use at the end %s; bound %s more than before",
		mib(most), mib(base.memory), mib(int64(m["go_memstats_heap_inuse_bytes"])), mib(memoryBound))
	if most-base.memory > memoryBound {
		t.Errorf("memory grew by %s, the bound is %s", mib(most-base.memory), mib(memoryBound))
	}
	for _, reason := range []string{"frame_size", "protocol", "stalled_read", "stalled_write"} {
		if name := fmt.Sprintf("chronik_kafka_connections_closed_total{reason=%q}", reason); m[name] == 0 {
			t.Errorf("%s is 0", name)
		} else {
			t.Logf("%s %.0f", name, m[name])
		}
	}
	if n := m[`chronik_kafka_connections_closed_total{reason="panic"}`]; n != 0 {
		t.Errorf("%.0f connections ended in a panic", n)
	}
	returns(t, b, base)
}

// prepare makes the topics and says what the broker serves.
func prepare(t *testing.T, b *harness.Broker) []kmsg.ApiVersionsResponseApiKey {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deliveryMax)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.DefaultProduceTopic(bigTopic), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	if _, err := admin.CreateTopics(ctx, 1, 1, nil, bigTopic, quietTopic, "hostile-beside"); err != nil {
		t.Fatal(err)
	}
	// Something for a long poll to start from, and the group coordinator's partitions, which come with its first use.
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: quietTopic, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, deliveryMax, "a coordinator", func() error {
		return admin.FindGroupCoordinators(ctx, "any").Error()
	})
	for range bigBytes >> 19 {
		if err := c.ProduceSync(ctx, kgo.SliceRecord(make([]byte, 1<<19))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return resp.ApiKeys
}

// state is what the process holds.
type state struct {
	goroutines, connections int
	opened
	memory int64
}

func (s state) String() string {
	return fmt.Sprintf("%d goroutines, %d connections, %d sockets, %d files of logs, %d other descriptors, %s", s.goroutines, s.connections, s.sockets, len(s.files), s.others, mib(s.memory))
}

func look(t *testing.T, b *harness.Broker) (s state) {
	t.Helper()
	m := metrics(t, b)
	s.goroutines, s.connections = int(m["go_goroutines"]), int(m["chronik_kafka_connections"])
	var err error
	if s.opened, err = descriptors(b.PID(), b.Dir); err != nil {
		t.Fatal(err)
	}
	if s.memory, err = anonymous(b.PID()); err != nil {
		t.Fatal(err)
	}
	return s
}

// settle looks for a while and keeps the most of everything: what comes and goes by itself is no leak.
func settle(t *testing.T, b *harness.Broker) (most state) {
	t.Helper()
	for range 50 {
		now := look(t, b)
		most.goroutines, most.connections = max(most.goroutines, now.goroutines), max(most.connections, now.connections)
		most.sockets, most.others, most.files = max(most.sockets, now.sockets), max(most.others, now.others), now.files
		most.memory = max(most.memory, now.memory)
	}
	return most
}

// returns waits until nothing is left of the connections.
func returns(t *testing.T, b *harness.Broker, base state) {
	t.Helper()
	var now state
	harness.Eventually(t, time.Minute, "the state before", func() error {
		now = look(t, b)
		if now.goroutines > base.goroutines || now.connections > base.connections || now.sockets > base.sockets || now.others > base.others {
			return fmt.Errorf("%v; before %v", now, base)
		}
		if leaks := now.leaks(); leaks != nil {
			return fmt.Errorf("open in vain: %q", leaks)
		}
		return nil
	})
	t.Logf("after:  %v", now)
}

// idle prints what a connection that asked once and is silent costs.
func idle(t *testing.T, b *harness.Broker, base state) {
	t.Helper()
	peers := make([]*peer, connections)
	for i := range peers {
		nc, err := dial(b.Addr, 0)
		if err != nil {
			t.Fatal(err)
		}
		peers[i] = &peer{TCPConn: nc}
		if got := peers[i].ask(peers[i].request(kmsg.NewPtrApiVersionsRequest())); got != alive {
			t.Fatalf("idle connection %d: %s", i, got)
		}
	}
	now := look(t, b)
	each := (now.memory - base.memory) / connections
	t.Logf("%d idle connections: %v: %d bytes each, garbage and all", connections, now, each)
	if each > connectionBytes {
		t.Errorf("an idle connection takes %d bytes, the bound is made of %d", each, connectionBytes)
	}
	for _, p := range peers {
		p.Close()
	}
	returns(t, b, base)
}

// campaign is the hostile connections under way.
type campaign struct {
	waiting atomic.Int64 // for the broker to close
	stop    chan struct{}
	all     sync.WaitGroup
	kinds   []kind
	mu      sync.Mutex
	fates   map[string]map[fate]int
}

// attack opens all connections, one after the other: how fast is up to the broker.
func attack(t *testing.T, addr string, seed uint64, served []kmsg.ApiVersionsResponseApiKey) *campaign {
	t.Helper()
	a := &campaign{stop: make(chan struct{}), kinds: kinds(), fates: map[string]map[fate]int{}}
	for _, k := range a.kinds {
		a.fates[k.name] = map[fate]int{}
	}
	order := rand.New(rand.NewPCG(seed, 0)).Perm(connections)
	a.waiting.Add(1)
	a.all.Go(func() {
		defer a.waiting.Add(-1)
		for i, n := range order {
			k := a.kinds[n%len(a.kinds)]
			nc, err := dial(addr, k.receiveBytes)
			if err != nil {
				a.note(k, lost)
				continue
			}
			p := &peer{TCPConn: nc, addr: addr, rng: rand.New(rand.NewPCG(seed, uint64(i)+1)), served: served, stop: a.stop}
			awaited := k.want == closed || k.want == left
			if awaited {
				a.waiting.Add(1)
			}
			a.all.Go(func() {
				defer p.Close()
				a.note(k, k.run(p))
				if awaited {
					a.waiting.Add(-1)
				}
			})
		}
	})
	return a
}

func (a *campaign) note(k kind, got fate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fates[k.name][got]++
}

// end stops what the broker did not have to close, and compares what became of each.
func (a *campaign) end(t *testing.T) {
	t.Helper()
	close(a.stop)
	a.all.Wait()
	for _, k := range a.kinds {
		fates := a.fates[k.name]
		t.Logf("%-50s %-14s %v", k.name, k.rule, fates)
		for got, n := range fates {
			if !slices.Contains(map[fate][]fate{either: {closed, alive}}[k.want], got) && got != k.want {
				t.Errorf("%s (%s): %d were %s, want %s", k.name, k.rule, n, got, k.want)
			}
		}
	}
}
