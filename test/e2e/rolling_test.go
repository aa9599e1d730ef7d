package e2e

import (
	"testing"
	"time"

	"chronik/test/harness"
	"chronik/test/load"
)

// TestRollingRestart restarts one node after the other under load, twice.
func TestRollingRestart(t *testing.T) {
	c := start(t, harness.ClusterConfig{})
	create(t, c, "rolling", 6)
	p := load.StartProber(t, options(c), "rolling", 6, 20*time.Millisecond)
	r := load.StartWith(t, options(c), load.Seed(t, "CHRONIK_E2E_SEED", "e2e"))
	began := time.Now()
	for range 2 {
		for _, b := range c.Nodes {
			r.AwaitTraffic()
			if status, err := b.Stop(); status != 0 || err != nil {
				t.Fatalf("node %d: exit status %d, %v; log:\n%s", b.ID, status, err, harness.Tail(b.Log, 30))
			}
			if _, err := b.Launch(); err != nil {
				t.Fatal(err)
			}
			c.AwaitISR(limit, harness.IDs(c.Nodes), "rolling")
			p.Check()
		}
		r.Check()
	}
	t.Logf("longest time without an acknowledgement in a partition: %v", p.Gap(began).Round(time.Millisecond))
	r.Finish()
	p.Finish()
}

// TestPowerCut ends all processes at once with SIGKILL, under load, again and again.
func TestPowerCut(t *testing.T) {
	c := start(t, harness.ClusterConfig{})
	create(t, c, "cut", 6)
	p := load.StartProber(t, options(c), "cut", 6, 10*time.Millisecond)
	r := load.StartWith(t, options(c), load.Seed(t, "CHRONIK_E2E_SEED", "e2e"))
	for range 3 {
		r.AwaitTraffic()
		c.Kill()
		began := time.Now()
		if err := c.Launch(); err != nil {
			t.Fatal(err)
		}
		p.Await(limit, began)
		t.Logf("written to again %v after the start of all nodes", time.Since(began).Round(time.Millisecond))
		r.Check()
	}
	r.Finish()
	p.Finish()
}
