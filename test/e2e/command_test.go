package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"chronik/test/harness"
)

// command runs a command of the command line against a node, and returns its exit status and what it printed, errors too.
func command(t *testing.T, b *harness.Broker, words ...string) (status int, out string) {
	t.Helper()
	status, stdout, stderr := harness.Run(t, limit, append(words, "--bootstrap-server", b.Addr)...)
	return status, stdout + stderr
}

// answer reads what a command says as JSON.
func answer(t *testing.T, b *harness.Broker, into any, words ...string) error {
	t.Helper()
	status, out := command(t, b, append(words, "-o", "json")...)
	if status != 0 {
		return fmt.Errorf("%v: status %d, %s", words, status, out)
	}
	return json.Unmarshal([]byte(out), into)
}

// TestANewTopicIsWhole looks at topics, and at partitions that are added, right after they were acknowledged: every node says
// that all replicas are in sync, and the command that asks for the cluster's health has nothing to complain of.
func TestANewTopicIsWhole(t *testing.T) {
	c := start(t, harness.ClusterConfig{})
	const soon = time.Second // later the replicas themselves have had time to report, or not to
	for i := range 8 {
		name, change := fmt.Sprintf("new-%d", i/2), []string{"topic", "create"}
		if i%2 == 1 {
			change = []string{"topic", "alter"}
		}
		if status, out := command(t, c.Node(1), append(change, name, "--partitions", fmt.Sprint(3+i%2*3))...); status != 0 {
			t.Fatalf("%v: status %d, %s", change, status, out)
		}
		began := time.Now()
		for _, b := range c.Nodes {
			views, err := b.View(ctx(t), name)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range views {
				if !slices.Equal(v.ISR, harness.IDs(c.Nodes)) && time.Since(began) < soon {
					t.Errorf("%v: node %d has %s/%d in sync on %v", change, b.ID, name, v.Partition, v.ISR)
				}
			}
		}
		status, out := command(t, c.Node(int32(1+i%3)), "cluster", "health")
		if status != 0 && time.Since(began) < soon {
			t.Errorf("%v and cluster health: status %d\n%s", change, status, out)
		}
	}
}

// TestNodesThatAreDown: the commands that list and count nodes name those too that are down, and agree with the metrics.
func TestNodesThatAreDown(t *testing.T) {
	c := start(t, harness.ClusterConfig{})
	create(t, c, "down", 3)
	c.Node(3).Kill()
	for _, b := range c.Others(c.Node(3)) {
		harness.Eventually(t, limit, "node 3 is told to be fenced", func() error {
			var nodes []struct {
				ID       int32
				State    string
				Replicas int
			}
			if err := answer(t, b, &nodes, "cluster", "list-nodes"); err != nil {
				return err
			}
			if len(nodes) != 3 || nodes[0].State != "live" || nodes[1].State != "live" || nodes[2].ID != 3 || nodes[2].State != "fenced" || nodes[2].Replicas != 3 {
				return fmt.Errorf("node %d lists %+v", b.ID, nodes)
			}
			var status struct{ Nodes, Fenced int }
			if err := answer(t, b, &status, "cluster", "status"); err != nil {
				return err
			}
			m, err := b.Scrape()
			if err != nil {
				return err
			}
			if size, err := m.Value("chronik_raft_cluster_size"); err != nil || status.Nodes != 3 || status.Fenced != 1 || size != 3 {
				return fmt.Errorf("node %d: status %+v, chronik_raft_cluster_size %v, %v", b.ID, status, size, err)
			}
			return nil
		})
	}
}
