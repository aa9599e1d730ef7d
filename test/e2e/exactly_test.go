package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
	"chronik/test/load"
)

// TestExactlyOnce kills, under a pipeline that reads and writes in transactions, the coordinators of its transactional
// ids, that of its group, and leaders of what it reads and writes, has some of them hand over, and kills all: every number comes through once, transactions are
// whole, and nothing of an aborted one is seen.
func TestExactlyOnce(t *testing.T) {
	seed := load.Seed(t, "CHRONIK_E2E_SEED", "e2e")
	rng := rand.New(rand.NewPCG(seed, 5))
	set := load.Settings()
	set["transaction.state.log.num.partitions"] = "6"
	c := start(t, harness.ClusterConfig{Set: set})
	e := load.StartExactly(t, load.Options{Addr: c.Bootstrap(), Cluster: true}, 3, seed)
	e.Await(2*limit, 5)
	victims := []struct {
		what string
		node func() *harness.Broker
	}{
		{"the coordinator of a transactional id", func() *harness.Broker { return coordinates(t, c, 1, load.WorkerID(rng.IntN(3))) }},
		{"the coordinator of the group", func() *harness.Broker { return coordinates(t, c, 0, load.ExactlyGroup) }},
		{"a leader of the output", func() *harness.Broker {
			leaders := c.Leaders(limit, "exactly-out")
			return c.Node(leaders[rng.IntN(len(leaders))])
		}},
	}
	for round := range int(load.Number(t, "CHRONIK_KILLS", 20)+2) / 3 {
		v := victims[round%len(victims)]
		node := v.node()
		if round%4 == 3 {
			t.Logf("round %d: SIGTERM for %s, node %d", round+1, v.what, node.ID)
			if code, err := node.Stop(); err != nil || code != 0 {
				t.Fatalf("node %d: status %d, %v", node.ID, code, err)
			}
		} else {
			t.Logf("round %d: SIGKILL for %s, node %d", round+1, v.what, node.ID)
			node.Kill()
		}
		e.Await(2*limit, 5)
		if _, err := node.Launch(); err != nil {
			t.Fatal(err)
		}
		for _, topic := range []string{"exactly-in", "exactly-out", "__consumer_offsets", "__transaction_state"} {
			c.AwaitISR(limit, harness.IDs(c.Nodes), topic)
		}
		e.Await(2*limit, 5)
	}
	t.Log("SIGKILL for all")
	c.Kill()
	if err := c.Launch(); err != nil {
		t.Fatal(err)
	}
	e.Await(2*limit, 5)
	e.Finish()
}

// coordinates is the node that coordinates a key: of a group (0), or a transactional id (1).
func coordinates(t *testing.T, c *harness.Cluster, keyType int8, key string) (b *harness.Broker) {
	t.Helper()
	harness.Eventually(t, limit, "coordinator", func() error {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorType, req.CoordinatorKeys = keyType, []string{key}
		resp, err := c.Nodes[0].Request(context.Background(), req)
		if err != nil {
			return err
		}
		found := resp.(*kmsg.FindCoordinatorResponse).Coordinators[0]
		if found.ErrorCode != 0 {
			return fmt.Errorf("error %d", found.ErrorCode)
		}
		if err := known(c, found.NodeID); err != nil {
			return err
		}
		b = c.Node(found.NodeID)
		return nil
	})
	return b
}
