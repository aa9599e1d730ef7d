package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
	"chronik/test/load"
)

// whole wants every node to know all nodes of the cluster, with their addresses and racks, under one cluster id.
func whole(t *testing.T, c *harness.Cluster, racks ...string) {
	t.Helper()
	var want []string
	for i, b := range c.Nodes {
		rack := ""
		if i < len(racks) {
			rack = racks[i]
		}
		want = append(want, fmt.Sprint(b.ID, b.Addr, rack))
	}
	harness.Eventually(t, limit, "every node knows the whole cluster", func() error {
		id := ""
		for _, b := range c.Nodes {
			m, err := b.Metadata(context.Background())
			if err != nil {
				return err
			}
			var have []string
			for _, n := range m.Brokers {
				rack := ""
				if n.Rack != nil {
					rack = *n.Rack
				}
				have = append(have, fmt.Sprint(n.NodeID, fmt.Sprintf("%s:%d", n.Host, n.Port), rack))
			}
			slices.Sort(have)
			if !slices.Equal(have, want) || m.ClusterID == nil || id != "" && *m.ClusterID != id {
				return fmt.Errorf("node %d: brokers %v, want %v; cluster ids %v, %s", b.ID, have, want, m.ClusterID, id)
			}
			id = *m.ClusterID
		}
		return nil
	})
	for _, b := range c.Nodes { // all three have become voters of the metadata
		for series, value := range map[string]float64{"chronik_raft_cluster_size": float64(len(c.Nodes)), "chronik_raft_quorum_size": float64(len(c.Nodes)/2 + 1)} {
			if err := b.AwaitMetric(limit, series, func(v float64) bool { return v == value }); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestForming starts the nodes in other orders than their ids', the one that forms the cluster last or between the others.
func TestForming(t *testing.T) {
	for _, order := range [][]int32{{3, 2, 1}, {2, 1, 3}} {
		t.Run(strings.Trim(fmt.Sprint(order), "[]"), func(t *testing.T) {
			c := harness.PrepareCluster(t, harness.ClusterConfig{Set: load.Settings()})
			for _, id := range order {
				if err := c.Node(id).Spawn(); err != nil {
					t.Fatal(err)
				}
				// The next one comes when this one answers, so that it has tried and not found anybody.
				harness.Eventually(t, limit, "node answers on its metrics port", func() error { _, err := c.Node(id).Scrape(); return err })
			}
			if err := c.AwaitReady(); err != nil {
				t.Fatal(err)
			}
			whole(t, c)
			create(t, c, "formed", 3)
			produce(t, c, "formed", 3, 0, 30)
			numbered(t, consume(t, c, "formed"), 3, 30)
		})
	}
}

// TestPlaces has a node id taken, nodes find their places again, topics made through every node, and replicas spread
// over nodes and racks.
func TestPlaces(t *testing.T) {
	racks := []string{"a", "a", "b"}
	c := start(t, harness.ClusterConfig{Racks: racks})
	whole(t, c, racks...)
	t.Run("taken", func(t *testing.T) { refused(t, c); whole(t, c, racks...) })
	t.Run("through each node", func(t *testing.T) {
		for _, b := range c.Nodes {
			topic := fmt.Sprintf("through-%d", b.ID)
			createThrough(t, b, topic, 9, 3)
			c.AwaitISR(limit, harness.IDs(c.Nodes), topic)
			spread(t, c, topic)
			produce(t, c, topic, 9, 0, 90)
			numbered(t, consume(t, c, topic), 9, 90)
		}
	})
	t.Run("racks", func(t *testing.T) {
		createThrough(t, c.Nodes[1], "racked", 12, 2)
		for _, v := range c.Agreed(limit, "racked", "two replicas", nil) {
			if len(v.Replicas) != 2 || !slices.Contains(v.Replicas, 3) {
				t.Errorf("partition %d: replicas %v, want one in each of the racks, so node 3", v.Partition, v.Replicas)
			}
		}
	})
	t.Run("restart", func(t *testing.T) {
		for _, b := range c.Nodes {
			if status, err := b.Stop(); status != 0 || err != nil {
				t.Fatalf("node %d: exit status %d, %v", b.ID, status, err)
			}
			if _, err := b.Launch(); err != nil {
				t.Fatal(err)
			}
			whole(t, c, racks...)
			c.AwaitISR(limit, harness.IDs(c.Nodes), "through-1", "through-2", "through-3")
		}
	})
}

// refused starts a process with an id that another node has.
func refused(t *testing.T, c *harness.Cluster) {
	t.Helper()
	args := slices.Clone(c.Nodes[1].Args())
	for i := range args {
		switch args[i] {
		case "--data-dir":
			args[i+1] = harness.TempDir(t)
		case "--kafka-port", "--metrics-port":
			args[i+1] = "0"
		case "--raft-addr":
			args[i+1] = "127.0.0.1:0"
		}
	}
	status, out, errs := harness.Run(t, limit, args...)
	lines := strings.Split(strings.TrimSpace(errs), "\n")
	last := lines[len(lines)-1]
	if status != 2 || !strings.Contains(last, "2") || !strings.Contains(last, "id") || !strings.Contains(last, "taken") {
		t.Errorf("status %d, want 2 and a last line that says that node id 2 is taken\n%s%s", status, out, errs)
	}
}

func createThrough(t *testing.T, b *harness.Broker, topic string, parts int32, replicas int16) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30_000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, parts, replicas
	req.Topics = append(req.Topics, rt)
	resp, err := b.Request(ctx(t), req)
	if err != nil {
		t.Fatalf("create %s through node %d: %v", topic, b.ID, err)
	}
	if err := kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode); err != nil {
		t.Fatalf("create %s through node %d: %v", topic, b.ID, err)
	}
	if _, err := b.View(context.Background(), topic); err != nil { // the node that answered knows it
		t.Errorf("after the creation of %s: %v", topic, err)
	}
}

// spread wants each node to lead as many partitions as the others, and to have a replica of each.
func spread(t *testing.T, c *harness.Cluster, topic string) {
	t.Helper()
	first, leads := map[int32]int{}, map[int32]int{}
	views := c.Agreed(limit, topic, "leaders", func(views []harness.View) error {
		clear(leads)
		for _, v := range views {
			if v.Leader < 1 {
				return fmt.Errorf("partition %d has no leader", v.Partition)
			}
			leads[v.Leader]++
		}
		return nil
	})
	for _, v := range views {
		first[v.Replicas[0]]++
		if sorted := slices.Sorted(slices.Values(v.Replicas)); !slices.Equal(sorted, harness.IDs(c.Nodes)) {
			t.Errorf("%s/%d: replicas %v", topic, v.Partition, v.Replicas)
		}
	}
	for _, b := range c.Nodes {
		if want := len(views) / len(c.Nodes); first[b.ID] != want {
			t.Errorf("%s: node %d is the preferred leader of %d of %d partitions, want %d", topic, b.ID, first[b.ID], len(views), want)
		}
	}
	t.Logf("%s: leaders by node %v", topic, leads)
}

// TestPreferredLeaders takes leadership away from a node by killing it: it gets it back when it is asked for, and by and
// by if it is not.
func TestPreferredLeaders(t *testing.T) {
	c := start(t, harness.ClusterConfig{})
	create(t, c, "preferred", 6)
	preferred := func(views []harness.View) error {
		for _, v := range views {
			if v.Leader != v.Replicas[0] {
				return fmt.Errorf("partition %d is led by %d, preferred is %d", v.Partition, v.Leader, v.Replicas[0])
			}
		}
		return nil
	}
	c.Agreed(limit, "preferred", "the preferred replicas lead", preferred)
	for _, ask := range []bool{true, false} {
		b := c.Nodes[1]
		b.Kill()
		for p, l := range c.Leaders(limit, "preferred") {
			if l == b.ID {
				t.Fatalf("partition %d is led by the node that was killed", p)
			}
		}
		if _, err := b.Launch(); err != nil {
			t.Fatal(err)
		}
		c.AwaitISR(limit, harness.IDs(c.Nodes), "preferred")
		began := time.Now()
		if ask {
			harness.Eventually(t, limit, "election of preferred leaders", func() error {
				rs, err := kadm.NewClient(client(t, c)).ElectLeaders(ctx(t), kadm.ElectPreferredReplica, nil)
				if err != nil {
					return err
				}
				for _, ps := range rs {
					for _, r := range ps {
						if r.Err != nil && r.Err != kerr.ElectionNotNeeded {
							return fmt.Errorf("%s/%d: %w", r.Topic, r.Partition, r.Err)
						}
					}
				}
				return nil
			})
		}
		c.Agreed(2*limit, "preferred", "the preferred replicas lead again", preferred)
		t.Logf("asked for: %v; preferred replicas lead again %v after they were in sync", ask, time.Since(began).Round(time.Millisecond))
	}
}
