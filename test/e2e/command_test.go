package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

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

// TestWithoutAQuorum: a node that is left alone says so, in Metadata and in what the commands print, and takes it back when the
// others are there again.
func TestWithoutAQuorum(t *testing.T) {
	c := start(t, harness.ClusterConfig{})
	create(t, c, "alone", 3)
	left := c.Node(2)
	for _, b := range c.Others(left) {
		b.Kill()
	}
	harness.Eventually(t, limit, "no partition has a leader", func() error {
		views, err := left.View(ctx(t), "alone")
		if err != nil {
			return err
		}
		for _, v := range views {
			if v.Leader != -1 || !errors.Is(v.Err, kerr.LeaderNotAvailable) {
				return fmt.Errorf("%+v", v)
			}
		}
		m, err := left.Metadata(ctx(t))
		if err != nil || m.ControllerID != -1 {
			return fmt.Errorf("controller %d, %v", m.ControllerID, err)
		}
		return nil
	})
	const leaderless = "the cluster's metadata has no leader"
	if status, out := command(t, left, "cluster", "health"); status != 1 || !strings.Contains(out, leaderless+", 3 partitions without a leader") {
		t.Errorf("cluster health: status %d, %s", status, out)
	}
	var sum struct{ Controller, Partitions, Offline int }
	if err := answer(t, left, &sum, "cluster", "status"); err != nil || sum.Controller != -1 || sum.Partitions != 3 || sum.Offline != 3 {
		t.Errorf("cluster status: %+v, %v", sum, err)
	}
	if status, out := command(t, left, "topic", "create", "more"); status != 1 || !strings.Contains(out, leaderless) {
		t.Errorf("topic create: status %d, %s", status, out)
	}
	if err := c.Launch(); err != nil {
		t.Fatal(err)
	}
	c.AwaitISR(limit, harness.IDs(c.Nodes), "alone")
	for _, b := range c.Nodes {
		if status, out := command(t, b, "cluster", "health"); status != 0 {
			t.Errorf("node %d: cluster health: status %d, %s", b.ID, status, out)
		}
	}
}
