package e2e

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/test/harness"
	"chronik/test/load"
)

func known(c *harness.Cluster, id int32) error {
	if id < 1 || int(id) > len(c.Nodes) || !c.Node(id).Serving() {
		return fmt.Errorf("node %d", id)
	}
	return nil
}

// TestQuorumLoss kills two of three nodes under load: nothing is acknowledged any more, the node that is left does not
// serve reads as a leader, and with the others everything goes on, nothing lost.
func TestQuorumLoss(t *testing.T) {
	for _, survivor := range []string{"leader", "follower"} {
		t.Run(survivor, func(t *testing.T) {
			c := start(t, harness.ClusterConfig{})
			create(t, c, "quorum", 3)
			create(t, c, "refused", 3)
			p := load.StartProber(t, options(c), "quorum", 3, 20*time.Millisecond)
			p.Await(limit, time.Now())
			leaders := c.Leaders(limit, "refused")
			left := c.Node(leaders[0])
			part := int32(0)
			if survivor == "follower" {
				part = int32(slices.IndexFunc(leaders, func(id int32) bool { return id != left.ID }))
			}
			if _, err := send(c.Node(leaders[part]), "refused", part, -1, 10*time.Second, "before"); err != nil {
				t.Fatal(err)
			}
			for _, b := range c.Others(left) {
				b.Kill()
			}
			lost := time.Now()
			// Requests go to the node itself, with short and long patience: no answer but a refusal.
			for n, patience := range []time.Duration{time.Second, 200 * time.Millisecond, 4 * time.Second} {
				_, err := send(left, "refused", part, -1, patience, fmt.Sprintf("after-%d", n))
				if err == nil {
					t.Fatal("a produce was acknowledged by one node of three")
				}
				if !refusal(err) {
					t.Errorf("a produce without a quorum: %v", err)
				}
			}
			notLeading(t, left, "refused", part, lost)
			acked := p.Acknowledged()
			if _, found := p.First(0, lost); found {
				t.Error("the load was acknowledged something by one node of three")
			}
			if err := c.Launch(); err != nil {
				t.Fatal(err)
			}
			c.AwaitISR(limit, harness.IDs(c.Nodes), "quorum", "refused")
			p.Await(limit, time.Now())
			p.Finish()
			for i, v := range consume(t, c, "refused")[part] {
				if i == 0 && v != "before" {
					t.Errorf("the first record is %q, acknowledged was %q", v, "before")
				}
			}
			t.Logf("%d records acknowledged before, %d after", acked, p.Acknowledged()-acked)
		})
	}
}

// notLeading waits until a node without a majority no longer serves reads, and wants that to be soon: as a leader it
// must not, and as a follower that may serve safe reads only it cannot.
func notLeading(t *testing.T, b *harness.Broker, topic string, part int32, since time.Time) {
	t.Helper()
	const bound = 10 * time.Second
	harness.Eventually(t, limit, "a node without a majority stops serving reads", func() error {
		_, err := fetch(t, b, topic, part, 0, "", 8*time.Second)
		var refused *kerr.Error
		if !errors.As(err, &refused) {
			return fmt.Errorf("it answers a fetch with %v", err)
		}
		if !refused.Retriable {
			t.Fatalf("a fetch without a majority: %v", err)
		}
		return nil
	})
	took := time.Since(since)
	t.Logf("node %d stopped serving reads as leader %v after it lost its majority, or sooner", b.ID, took.Round(time.Millisecond))
	if took > bound {
		t.Errorf("it served for %v, want at most %v", took, bound)
	}
}
