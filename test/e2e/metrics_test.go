package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"chronik/test/harness"
	"chronik/test/load"
)

// The series of the contract, without chronik_raft_.
var (
	everyNode = []string{
		"leader_count", "follower_count", "election_count", "commits_total", "append_entries_sent_total", "append_entries_received_total",
		"log_compactions_total", "cluster_size", "quorum_size", "config_changes_total", "commit_latency_ms", "rpc_calls_total",
		"append_entries_rejected_total", "snapshot_count", "snapshot_size_bytes", "snapshot_last_index", "snapshot_transfers_total",
	}
	everyPartition = []string{"current_term", "node_state", "commit_index", "last_applied", "log_size_entries", "log_size_bytes"}
	everyLed       = []string{"isr_size", "max_follower_lag_entries"}
	everyFollower  = []string{"follower_lag", "follower_lag_entries", "follower_lag_ms"}
	histograms     = []string{"commit_latency_ms", "election_latency_ms", "commit_batch_size", "rpc_latency_ms", "snapshot_create_latency_ms", "snapshot_apply_latency_ms"}
	// labelled need not have rows yet, but those that they have bear the labels.
	labelled = map[string][]string{
		"election_count": {"result"}, "rpc_latency_ms_count": {"rpc_type", "target_node"}, "rpc_calls_total": {"rpc_type", "target_node"},
		"rpc_errors_total": {"rpc_type", "target_node"}, "append_entries_rejected_total": {"reason"}, "config_changes_total": {"change_type"},
		"snapshot_transfers_total": {"direction", "result"}, "leader_count": {"node_id"}, "follower_count": {"node_id"},
	}
)

// TestMetrics compares what the nodes' metrics say with each other and with Metadata.
func TestMetrics(t *testing.T) {
	c := start(t, harness.ClusterConfig{})
	create(t, c, "metered", 9)
	p := load.StartProber(t, options(c), "metered", 9, 5*time.Millisecond)
	create(t, c, "metered-not", 1)
	if err := kadm.NewClient(client(t, c)).CommitAllOffsets(ctx(t), "metered", offsets("metered-not")); err != nil { // makes __consumer_offsets
		t.Fatal(err)
	}
	p.Await(limit, time.Now())
	victim := c.Nodes[1]
	victim.Kill() // so that there were elections, and calls that failed
	c.Leaders(limit, "metered")
	if _, err := victim.Launch(); err != nil {
		t.Fatal(err)
	}
	c.AwaitISR(limit, harness.IDs(c.Nodes), "metered", "metered-not", "__consumer_offsets")
	lead(t, c, "metered") // so that each node has committed something
	p.Await(limit, time.Now())
	p.Finish() // now everything stands still
	harness.Eventually(t, limit, "the metrics of all nodes agree", func() error {
		all, err := c.ScrapeAll()
		if err != nil {
			return err
		}
		return errors.Join(present(c, all), agree(c, all))
	})
	all, err := c.ScrapeAll()
	if err != nil {
		t.Fatal(err)
	}
	for id, m := range all {
		t.Logf("node %d: %d series, leader_count %v, follower_count %v", id, len(m), m.Sum("chronik_raft_leader_count"), m.Sum("chronik_raft_follower_count"))
	}
}

// lead has the preferred replicas of a topic lead.
func lead(t *testing.T, c *harness.Cluster, topic string) {
	t.Helper()
	adm := kadm.NewClient(client(t, c))
	harness.Eventually(t, limit, "the preferred replicas lead", func() error {
		if _, err := adm.ElectLeaders(ctx(t), kadm.ElectPreferredReplica, nil); err != nil {
			return err
		}
		views, err := c.Nodes[0].View(ctx(t), topic)
		if err != nil {
			return err
		}
		for _, v := range views {
			if v.Leader != v.Replicas[0] {
				return fmt.Errorf("partition %d is led by %d, preferred is %d", v.Partition, v.Leader, v.Replicas[0])
			}
		}
		return nil
	})
}

func offsets(topic string) kadm.Offsets {
	os := kadm.Offsets{}
	os.AddOffset(topic, 0, 0, -1)
	return os
}

// present wants every series on every node.
func present(c *harness.Cluster, all map[int32]harness.Metrics) error {
	var errs []error
	for id, m := range all {
		names := slices.Concat(everyNode, everyPartition, everyFollower)
		for _, h := range histograms {
			names = append(names, h+"_bucket", h+"_sum", h+"_count")
		}
		for _, name := range names {
			if len(m["chronik_raft_"+name]) == 0 {
				errs = append(errs, fmt.Errorf("node %d: no chronik_raft_%s", id, name))
			}
		}
		for _, name := range everyLed {
			if m.Sum("chronik_raft_leader_count") > 0 && len(m["chronik_raft_"+name]) == 0 {
				errs = append(errs, fmt.Errorf("node %d: no chronik_raft_%s", id, name))
			}
		}
		for name, labels := range labelled {
			m.Each("chronik_raft_"+name, func(s harness.Sample) {
				for _, l := range labels {
					if s.Labels[l] == "" {
						errs = append(errs, fmt.Errorf("node %d: chronik_raft_%s%v has no %s", id, name, s.Labels, l))
					}
				}
			})
		}
		for name, want := range map[string]float64{"cluster_size": float64(len(c.Nodes)), "quorum_size": 2} {
			if v, err := m.Value("chronik_raft_" + name); err != nil || v != want {
				errs = append(errs, fmt.Errorf("node %d: %s %v, want %v (%v)", id, name, v, want, err))
			}
		}
		for _, name := range []string{"commits_total", "append_entries_sent_total", "append_entries_received_total"} {
			if m.Sum("chronik_raft_"+name) == 0 {
				errs = append(errs, fmt.Errorf("node %d: %s is 0", id, name))
			}
		}
	}
	return errors.Join(errs...)
}

// agree compares every partition of every topic.
func agree(c *harness.Cluster, all map[int32]harness.Metrics) error {
	topics := []string{"metered", "metered-not", "__consumer_offsets"}
	leads, total := map[int32]float64{}, 0.0
	var errs []error
	for _, topic := range topics {
		views, err := c.Nodes[0].View(context.Background(), topic)
		if err != nil {
			return err
		}
		for _, v := range views {
			leads[v.Leader]++
			total++
			errs = append(errs, partition(all, v))
		}
	}
	sum, follows := 0.0, 0.0
	for id, m := range all {
		n := m.Sum("chronik_raft_leader_count", "node_id", fmt.Sprint(id))
		sum, follows = sum+n, follows+m.Sum("chronik_raft_follower_count", "node_id", fmt.Sprint(id))
		if n != leads[id] {
			errs = append(errs, fmt.Errorf("node %d: leader_count %v, by Metadata %v", id, n, leads[id]))
		}
	}
	if sum != total || follows != total*float64(len(c.Nodes)-1) {
		errs = append(errs, fmt.Errorf("leader counts add up to %v and follower counts to %v, there are %v partitions of %d replicas", sum, follows, total, len(c.Nodes)))
	}
	return errors.Join(errs...)
}

// partition compares the metrics of the nodes on one partition.
func partition(all map[int32]harness.Metrics, v harness.View) error {
	var errs []error
	labels := []string{"topic", v.Topic, "partition", fmt.Sprint(v.Partition)}
	want := func(id int32, series string, value float64, more ...string) {
		got, err := all[id].Value("chronik_raft_"+series, append(slices.Clone(labels), more...)...)
		if err != nil || got != value {
			errs = append(errs, fmt.Errorf("node %d: %s/%d: %s %v, want %v (%v)", id, v.Topic, v.Partition, series, got, value, err))
		}
	}
	if all[v.Leader] == nil {
		return fmt.Errorf("%s/%d: leader %d", v.Topic, v.Partition, v.Leader)
	}
	commit, err := all[v.Leader].Value("chronik_raft_commit_index", labels...)
	errs = append(errs, err)
	for _, id := range v.Replicas {
		state := 3.0
		if id == v.Leader {
			state = 1
		}
		want(id, "node_state", state)
		want(id, "current_term", float64(v.Epoch+1))
		want(id, "commit_index", commit)
		want(id, "last_applied", commit)
		if id != v.Leader {
			for _, series := range []string{"follower_lag", "follower_lag_entries"} {
				want(v.Leader, series, 0, "follower_id", fmt.Sprint(id))
			}
		}
	}
	want(v.Leader, "isr_size", float64(len(v.ISR)))
	want(v.Leader, "max_follower_lag_entries", 0)
	return errors.Join(errs...)
}
