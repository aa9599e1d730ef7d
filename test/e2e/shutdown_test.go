package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/test/harness"
	"chronik/test/load"
)

// TestGracefulShutdown sends SIGTERM to a leader between 500 and 500 records and under load: its leaderships are handed
// over within a second, requests are answered, it exits with 0, and exactly 1,000 records are consumed.
func TestGracefulShutdown(t *testing.T) {
	c := start(t, harness.ClusterConfig{})
	create(t, c, "shutdown", 6)
	p := load.StartProber(t, options(c), "shutdown", 6, 20*time.Millisecond)
	var handed, gaps []time.Duration
	for round := range 3 {
		exact := fmt.Sprintf("exact-%d", round)
		create(t, c, exact, 3)
		produce(t, c, exact, 3, 0, 500)
		p.Await(limit, time.Now())
		victim := c.Node(c.Leaders(limit, exact)[0])
		won := elections(t, c.Others(victim))
		w := watch()
		before := time.Now()
		took := shutdown(t, c, victim, exact)
		produce(t, c, exact, 3, 500, 500)
		p.Await(limit, time.Now())
		stalled, gap := w.stalled(), p.Gap(before)
		handed, gaps = append(handed, took), append(gaps, gap)
		if took >= time.Second {
			if stalled < stalledMin {
				t.Errorf("leadership was with others %v after SIGTERM, want less than a second", took)
			}
			t.Logf("handed over after %v, while the machine stood still for %v", took, stalled)
		}
		if now := elections(t, c.Others(victim)); now <= won {
			t.Errorf("election_count of the others: %v before, %v after", won, now)
		}
		numbered(t, consume(t, c, exact), 3, 1000)
		if _, err := victim.Launch(); err != nil {
			t.Fatal(err)
		}
		c.AwaitISR(limit, harness.IDs(c.Nodes), "shutdown", exact)
		p.Check()
	}
	p.Finish()
	t.Logf("from SIGTERM until others led every partition: %s", distribution(handed))
	t.Logf("longest time without an acknowledgement in a partition: %s; %d records acknowledged and read", distribution(gaps), p.Acknowledged())
}

// elections is how many elections nodes have won.
func elections(t *testing.T, nodes []*harness.Broker) (won float64) {
	t.Helper()
	for _, b := range nodes {
		m, err := b.Scrape()
		if err != nil {
			t.Fatal(err)
		}
		won += m.Sum("chronik_raft_election_count", "result", "won")
	}
	return won
}

// shutdown sends SIGTERM while requests go to the node itself, measures until others lead all that it led, and wants exit
// status 0. Whatever a produce is answered with is success or an error that clients retry.
func shutdown(t *testing.T, c *harness.Cluster, victim *harness.Broker, topic string) time.Duration {
	t.Helper()
	direct := topic + "-direct"
	create(t, c, direct, 3)
	var acked []string
	asked, first := make(chan error, 1), make(chan struct{}, 1)
	part := int32(slices.Index(c.Leaders(limit, direct), victim.ID))
	go func() {
		var err error
		acked, err = insist(victim, direct, part, first)
		asked <- err
	}()
	if _, ok := <-first; !ok {
		t.Fatalf("nothing was acknowledged to the requests that go to the node itself: %v", <-asked)
	}
	leaders := map[string][]int32{}
	for _, name := range []string{topic, direct, "shutdown"} {
		leaders[name] = c.Leaders(limit, name)
	}
	other := c.Others(victim)[0]
	began := time.Now()
	if err := victim.Terminate(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, limit, "others lead", func() error {
		for name, before := range leaders {
			views, err := other.View(context.Background(), name)
			if err != nil {
				return err
			}
			for _, v := range views {
				if v.Leader == victim.ID || v.Leader < 1 {
					return fmt.Errorf("%s/%d: leader %d, before %d", name, v.Partition, v.Leader, before[v.Partition])
				}
			}
		}
		return nil
	})
	took := time.Since(began)
	status, err := victim.Wait()
	if err != nil || status != 0 {
		t.Errorf("exit status %d, %v; log:\n%s", status, err, harness.Tail(victim.Log, 30))
	}
	if err := <-asked; err != nil {
		t.Error(err)
	}
	have := consume(t, c, direct)[part]
	for _, v := range acked {
		if !slices.Contains(have, v) {
			t.Errorf("%s/%d: %s was acknowledged while the node shut down, and is lost", direct, part, v)
		}
	}
	t.Logf("node %d: others lead after %v, exit after %v", victim.ID, took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	return took
}

// insist sends one record after the other to a node itself until it no longer answers, and returns those that were
// acknowledged, of which the first is told at once. Whatever else it is answered must be an error that clients retry.
func insist(b *harness.Broker, topic string, part int32, first chan<- struct{}) (acked []string, err error) {
	defer close(first)
	for n := 0; ; n++ {
		value := fmt.Sprint(b.ID, "-", n)
		_, err := send(b, topic, part, -1, 5*time.Second, value)
		var refused *kerr.Error
		switch {
		case err == nil:
			if acked = append(acked, value); len(acked) == 1 {
				first <- struct{}{}
			}
		case !errors.As(err, &refused): // its connection is gone
			return acked, nil
		case !refused.Retriable:
			return acked, fmt.Errorf("node %d, which shuts down, answers a produce with %w", b.ID, err)
		}
	}
}
