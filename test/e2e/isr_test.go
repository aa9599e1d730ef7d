package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
	"chronik/test/load"
)

// lagMax is the isr.max_lag_ms of these tests, and lagSlack what finding out and telling everybody may take besides: a
// check interval, and room for a busy machine.
const (
	lagMax   = 4 * time.Second
	lagSlack = 3 * time.Second
)

var isrFile = fmt.Sprintf("[isr]\nmax_lag_ms = %d\ncheck_interval_ms = 250\n", lagMax.Milliseconds())

// TestISR follows the in-sync replicas of a topic while nodes are killed and come back, in Metadata of every node and in
// the leaders' metrics.
func TestISR(t *testing.T) {
	c := start(t, harness.ClusterConfig{File: isrFile})
	create(t, c, "isr", 3)
	create(t, c, "strict", 3, "min.insync.replicas", "3")
	create(t, c, "alone", 3)
	p := load.StartProber(t, options(c), "isr", 3, 20*time.Millisecond)
	p.Await(limit, time.Now())
	sizes(t, c, "isr", 3)
	steady(t, c)

	victim := c.Node(c.Leaders(limit, "isr")[0]) // leads one of them, follows in the others
	others := harness.IDs(c.Others(victim))
	for try := 1; ; try++ {
		w := watch()
		killed := time.Now()
		victim.Kill()
		c.AwaitISR(limit, others, "isr", "strict")
		took, stalled := time.Since(killed), w.stalled()
		t.Logf("out of the in-sync replicas %v after SIGKILL (max_lag_ms %d)", took.Round(time.Millisecond), lagMax.Milliseconds())
		sizes(t, c, "isr", 2)
		p.Await(limit, time.Now())
		if took <= lagMax+lagSlack {
			break
		}
		if stalled < stalledMin || try == 3 {
			t.Fatalf("a killed node was in sync for %v, want %v and no more than %v for finding out", took, lagMax, lagSlack)
		}
		t.Logf("the machine stood still for %v: once more", stalled)
		back(t, c, victim)
	}
	enforced(t, c)
	back(t, c, victim)
	sizes(t, c, "isr", 3)
	for _, part := range []int32{0, 1, 2} {
		strictly(t, c, part, nil)
	}
	alone(t, c, p)
	p.Finish()
	t.Logf("%d records acknowledged and read", p.Acknowledged())
}

func back(t *testing.T, c *harness.Cluster, b *harness.Broker) {
	t.Helper()
	began := time.Now()
	if _, err := b.Launch(); err != nil {
		t.Fatal(err)
	}
	c.AwaitISR(limit, harness.IDs(c.Nodes), "isr", "strict")
	t.Logf("node %d in sync again %v after its start", b.ID, time.Since(began).Round(time.Millisecond))
}

// sizes wants isr_size of every partition's leader.
func sizes(t *testing.T, c *harness.Cluster, topic string, want float64) {
	t.Helper()
	harness.Eventually(t, limit, fmt.Sprintf("isr_size %v", want), func() error {
		for part, leader := range c.Leaders(limit, topic) {
			m, err := c.Node(leader).Scrape()
			if err != nil {
				return err
			}
			v, err := m.Value("chronik_raft_isr_size", "topic", topic, "partition", fmt.Sprint(part))
			if err != nil || v != want {
				return fmt.Errorf("partition %d, leader %d: %v, %v", part, leader, v, err)
			}
		}
		return nil
	})
}

// steady watches for longer than max_lag_ms: replicas of nodes that live stay in sync, with load and without.
func steady(t *testing.T, c *harness.Cluster) {
	t.Helper()
	all := harness.IDs(c.Nodes)
	w := watch()
	for end := time.Now().Add(lagMax + lagMax/4); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // polling step
		for _, topic := range []string{"isr", "strict"} {
			views, err := c.Nodes[0].View(context.Background(), topic)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range views {
				if slices.Equal(v.ISR, all) {
					continue
				}
				if stalled := w.stalled(); stalled > stalledMin {
					t.Logf("the machine stood still for %v: %s/%d had in-sync replicas %v", stalled, topic, v.Partition, v.ISR)
					c.AwaitISR(limit, all, "isr", "strict")
					return
				}
				t.Fatalf("%s/%d: in-sync replicas %v while all nodes live", topic, v.Partition, v.ISR)
			}
		}
	}
	w.stalled()
}

// strictly writes one record to the topic that wants three replicas in sync.
func strictly(t *testing.T, c *harness.Cluster, part int32, want error) {
	t.Helper()
	cl := impatient(t, c.Bootstrap(), 10*time.Second)
	err := cl.ProduceSync(ctx(t), &kgo.Record{Topic: "strict", Partition: part, Value: []byte("x")}).FirstErr()
	if !errors.Is(err, want) {
		t.Errorf("strict/%d: %v, want %v", part, err, want)
	}
}

// enforced has two replicas in sync: enough for two, not for three, and nothing of it is appended.
func enforced(t *testing.T, c *harness.Cluster) {
	t.Helper()
	for _, part := range []int32{0, 1, 2} {
		strictly(t, c, part, kerr.NotEnoughReplicas)
	}
	if n := len(consume(t, c, "strict")); n != 0 {
		t.Errorf("records in %d partitions, although none was acknowledged", n)
	}
}

// alone kills two of three: what is left acknowledges nothing, and tells it in Kafka's words.
func alone(t *testing.T, c *harness.Cluster, p *load.Prober) {
	t.Helper()
	left := c.Nodes[2]
	for _, b := range c.Others(left) {
		b.Kill()
	}
	for part := range int32(3) {
		_, err := send(left, "alone", part, -1, 3*time.Second, "never")
		switch {
		case err == nil:
			t.Errorf("partition %d: acknowledged by one of three nodes", part)
		case !refusal(err):
			t.Errorf("partition %d: %v", part, err)
		}
	}
	if err := c.Launch(); err != nil {
		t.Fatal(err)
	}
	c.AwaitISR(limit, harness.IDs(c.Nodes), "isr", "strict")
	p.Await(limit, time.Now())
}

// refusal is an answer to a produce that is not acknowledged because there are not enough replicas, or no leader.
func refusal(err error) bool {
	return slices.ContainsFunc([]error{kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.NotLeaderForPartition,
		kerr.RequestTimedOut, kerr.LeaderNotAvailable}, func(e error) bool { return errors.Is(err, e) })
}
