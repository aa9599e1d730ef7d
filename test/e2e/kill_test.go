package e2e

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
	"chronik/test/load"
)

// failoverMax is the contract's: from SIGKILL of a leader until all that it led is written to again.
const failoverMax = 2 * time.Second

const probed = 12 // partitions

// TestKillLeader kills leaders under load with SIGKILL, at the default timeouts. The time until an acknowledged write is
// taken in every partition that the victim led.
func TestKillLeader(t *testing.T) {
	seed := load.Seed(t, "CHRONIK_E2E_SEED", "e2e")
	rng := rand.New(rand.NewPCG(seed, 1))
	kills := int(load.Number(t, "CHRONIK_KILLS", 20))
	c := start(t, harness.ClusterConfig{})
	create(t, c, "probed", probed)
	p := load.StartProber(t, options(c), "probed", probed, 20*time.Millisecond)
	r := load.StartWith(t, options(c), seed)
	var each, worst []time.Duration
	discounted := 0
	for done := 0; done < kills; {
		r.AwaitTraffic()
		p.Await(limit, time.Now())
		leaders := c.Leaders(limit, "probed")
		victim := c.Node(leaders[rng.IntN(len(leaders))])
		parts := led(leaders, victim.ID)
		w := watch()
		killed := time.Now()
		victim.Kill()
		took := p.Await(limit, killed, parts...)
		stalled, longest := w.stalled(), slices.Max(took)
		t.Logf("kill %d: node %d led %d of %d partitions; written to again after %v", done+1, victim.ID, len(parts), probed, longest.Round(time.Millisecond))
		switch {
		case longest <= failoverMax || stalled < stalledMin:
			each, worst = append(each, took...), append(worst, longest)
			done++
		default:
			if discounted++; discounted > kills/2+1 {
				t.Fatal("this machine is too slow to tell")
			}
			t.Logf("not counted: the machine stood still for %v", stalled)
		}
		if longest > failoverMax && stalled < stalledMin {
			t.Errorf("kill %d: %v without writes, want at most %v", done, longest, failoverMax)
		}
		if _, err := victim.Launch(); err != nil {
			t.Fatal(err)
		}
		c.AwaitISR(limit, harness.IDs(c.Nodes), "probed")
		if done%5 == 0 {
			r.Check()
		}
		p.Check()
	}
	r.Finish()
	p.Finish()
	t.Logf("SIGKILL to the first acknowledged write, by partition: %s", distribution(each))
	t.Logf("SIGKILL to all partitions written to, by kill:         %s", distribution(worst))
	t.Logf("%d records acknowledged in the partitions that were probed", p.Acknowledged())
}

// TestKillCoordinator kills the node that coordinates the load's group, and the one that leads the metadata: members go
// on where they were, what was committed stays, and so does what idempotent producers have sent.
func TestKillCoordinator(t *testing.T) {
	c := start(t, harness.ClusterConfig{})
	r := load.StartWith(t, options(c), load.Seed(t, "CHRONIK_E2E_SEED", "e2e"))
	for round := range 4 {
		r.AwaitTraffic()
		r.AwaitGroup()
		victim := coordinator(t, c, load.Group)
		what := "coordinator"
		if round%2 == 1 {
			victim, what = controller(t, c), "metadata leader"
		}
		began := time.Now()
		victim.Kill()
		r.AwaitTraffic()
		r.AwaitGroup()
		t.Logf("%s, node %d, killed: the group read and committed again after %v", what, victim.ID, time.Since(began).Round(time.Millisecond))
		if _, err := victim.Launch(); err != nil {
			t.Fatal(err)
		}
		r.Check()
		c.AwaitISR(limit, harness.IDs(c.Nodes), "__consumer_offsets")
	}
	r.Finish()
}

func coordinator(t *testing.T, c *harness.Cluster, group string) (b *harness.Broker) {
	t.Helper()
	harness.Eventually(t, limit, "coordinator", func() error {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKeys = []string{group}
		resp, err := c.Nodes[0].Request(context.Background(), req)
		if err != nil {
			return err
		}
		id := resp.(*kmsg.FindCoordinatorResponse).Coordinators[0].NodeID
		if err := known(c, id); err != nil {
			return err
		}
		b = c.Node(id)
		return nil
	})
	return b
}

func controller(t *testing.T, c *harness.Cluster) (b *harness.Broker) {
	t.Helper()
	harness.Eventually(t, limit, "controller", func() error {
		m, err := c.Nodes[0].Metadata(context.Background())
		if err != nil {
			return err
		}
		if err := known(c, m.ControllerID); err != nil {
			return err
		}
		b = c.Node(m.ControllerID)
		return nil
	})
	return b
}
