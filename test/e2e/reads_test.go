package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
)

const (
	none   = "none"
	unsafe = "unsafe"
	safe   = "safe"
)

// policy starts a cluster with a follower read policy and a topic of one partition with ten records; it returns the
// partition's leader and a follower.
func policy(t *testing.T, name string, cfg harness.ClusterConfig) (c *harness.Cluster, leader, follower *harness.Broker) {
	t.Helper()
	cfg.Env = append(cfg.Env, "CHRONIK_FOLLOWER_READ_POLICY="+name, "CHRONIK_READ_INDEX_TIMEOUT=2s")
	c = start(t, cfg)
	create(t, c, "reads", 1)
	produce(t, c, "reads", 1, 0, 10)
	leader = c.Node(c.Leaders(limit, "reads")[0])
	return c, leader, c.Others(leader)[0]
}

// TestFollowerReads fetches from a follower itself, under each policy: while the leader serves, and while it is paused.
func TestFollowerReads(t *testing.T) {
	for _, name := range []string{none, unsafe, safe} {
		t.Run(name, func(t *testing.T) {
			c, leader, follower := policy(t, name, harness.ClusterConfig{})
			if name == none {
				for range 20 {
					if _, err := fetch(t, follower, "reads", 0, 0, "", limit); !errors.Is(err, kerr.NotLeaderForPartition) {
						t.Fatalf("a follower answers %v, want %v", err, kerr.NotLeaderForPartition)
					}
				}
			} else {
				harness.Eventually(t, limit, "a follower serves what is committed", func() error {
					return complete(t, follower, 10)
				})
			}
			if name == safe { // every read sees what was acknowledged before it, at once
				for n := 10; n < 30; n++ {
					produce(t, c, "reads", 1, n, 1)
					if err := complete(t, follower, n+1); err != nil {
						t.Fatalf("after record %d was acknowledged: %v", n, err)
					}
				}
			}
			paused(t, c, name, leader, follower)
		})
	}
}

// complete wants n records from the start, and a high watermark as high.
func complete(t *testing.T, b *harness.Broker, n int) error {
	t.Helper()
	r, err := fetch(t, b, "reads", 0, 0, "", limit)
	if err != nil {
		return err
	}
	got := len(records(t, r.RecordBatches))
	if got != n || r.HighWatermark != int64(n) {
		return fmt.Errorf("%d records, high watermark %d, want %d", got, r.HighWatermark, n)
	}
	return nil
}

// paused stops the leader with SIGSTOP and fetches from the follower until another leads: unsafe answers all the while,
// safe answers with everything or with an error that is retried, none refuses.
func paused(t *testing.T, c *harness.Cluster, name string, leader, follower *harness.Broker) {
	t.Helper()
	want := len(consume(t, c, "reads")[0])
	if name == unsafe { // its commit index comes with the leader's next message
		harness.Eventually(t, limit, "the follower knows all", func() error { return complete(t, follower, want) })
	}
	if err := leader.Pause(); err != nil {
		t.Fatal(err)
	}
	served, refused := 0, 0
	other := false
	for end := time.Now().Add(limit); !other; {
		views, err := follower.View(ctx(t), "reads")
		if err != nil {
			t.Fatal(err)
		}
		other = views[0].Leader != leader.ID && views[0].Leader > 0
		r, err := fetch(t, follower, "reads", 0, 0, "", limit)
		switch got := len(records(t, r.RecordBatches)); {
		case err == nil && got != want:
			t.Fatalf("%s: a follower answers with %d records, %d were acknowledged", name, got, want)
		case err == nil:
			served++
		case name == unsafe:
			t.Fatalf("unsafe: a follower whose leader is paused answers %v", err)
		case name == none && !other && !errors.Is(err, kerr.NotLeaderForPartition):
			t.Fatalf("none: a follower whose leader is paused answers %v", err)
		case !kerr.IsRetriable(err):
			t.Fatalf("%s: a follower whose leader is paused answers %v", name, err)
		default:
			refused++
		}
		if time.Now().After(end) {
			t.Fatal("no other leader came")
		}
	}
	t.Logf("%s: while the leader was paused the follower answered %d fetches and refused %d", name, served, refused)
	if err := leader.Resume(); err != nil {
		t.Fatal(err)
	}
	c.AwaitISR(limit, harness.IDs(c.Nodes), "reads")
	// What was the leader does not know yet that it is not: whatever it answers now, it must not be less.
	produce(t, c, "reads", 1, want, 5)
	numbered(t, consume(t, c, "reads"), 1, want+5)
}

// TestStaleFollower cuts a follower off from the other nodes, has records acknowledged without it, and asks it: unsafe
// answers with what it knows, which is old; safe does not answer; none refuses.
func TestStaleFollower(t *testing.T) {
	for _, name := range []string{none, unsafe, safe} {
		t.Run(name, func(t *testing.T) {
			c, _, follower := policy(t, name, harness.ClusterConfig{Network: true})
			if name != none {
				harness.Eventually(t, limit, "the follower has the first records", func() error { return complete(t, follower, 10) })
			}
			c.Net.Isolate(int(follower.ID))
			p := client(t, c, kgo.DefaultProduceTopic("reads"))
			for n := range 5 {
				if err := p.ProduceSync(ctx(t), &kgo.Record{Value: fmt.Appendf(nil, "%d", 10+n)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				r, err := fetch(t, follower, "reads", 0, 0, "", limit)
				got := len(records(t, r.RecordBatches))
				switch {
				case name == unsafe && (err != nil || got != 10 || r.HighWatermark != 10):
					t.Errorf("unsafe: %d records, high watermark %d, %v, want the old ten", got, r.HighWatermark, err)
				case name == safe && !kerr.IsRetriable(err):
					t.Errorf("safe: %d records, high watermark %d, %v; 15 were acknowledged", got, r.HighWatermark, err)
				case name == none && !errors.Is(err, kerr.NotLeaderForPartition):
					t.Errorf("none: %v, want %v", err, kerr.NotLeaderForPartition)
				}
				t.Logf("%s: a follower that was cut off answers with %d of 15 records, %v", name, got, err)
			}
			c.Net.Heal()
			c.AwaitISR(limit, harness.IDs(c.Nodes), "reads")
			if name != none {
				harness.Eventually(t, limit, "the follower has caught up", func() error { return complete(t, follower, 15) })
			}
		})
	}
}

// TestRackReads has a consumer that names its rack read from the replica there: the leader sends it there, and from then on
// it gets every record (KIP-392).
func TestRackReads(t *testing.T) {
	racks := []string{"a", "b", "c"}
	c := start(t, harness.ClusterConfig{Racks: racks})
	create(t, c, "racks", 3)
	produce(t, c, "racks", 3, 0, 3000)
	for part, id := range c.Leaders(limit, "racks") {
		for i, rack := range racks {
			want := int32(-1) // in the leader's own rack, records come from the leader
			if id != int32(i+1) {
				want = int32(i + 1)
			}
			r, err := fetch(t, c.Node(id), "racks", int32(part), 0, rack, limit)
			if err != nil || r.PreferredReadReplica != want || (want >= 0) != (len(r.RecordBatches) == 0) {
				t.Errorf("partition %d, leader %d, client in rack %s: preferred replica %d, want %d; %d bytes; %v", part, id, rack, r.PreferredReadReplica, want, len(r.RecordBatches), err)
			}
		}
		if r, err := fetch(t, c.Node(id), "racks", int32(part), 0, "elsewhere", limit); err != nil || r.PreferredReadReplica != -1 || len(r.RecordBatches) == 0 {
			t.Errorf("a client in a rack without a replica: preferred replica %d, %d bytes, %v", r.PreferredReadReplica, len(r.RecordBatches), err)
		}
	}
	before := fetched(t, c)
	numbered(t, consume(t, c, "racks", kgo.Rack("b")), 3, 3000)
	after := fetched(t, c)
	var sent []float64
	for i := range before {
		sent = append(sent, after[i]-before[i])
	}
	t.Logf("bytes sent by the nodes to a consumer in rack b: %v", sent)
	if sent[1] < 2*(sent[0]+sent[2]) {
		t.Error("most did not come from the node in rack b")
	}
}

// fetched is how many bytes each node has sent to clients.
func fetched(t *testing.T, c *harness.Cluster) (sent []float64) {
	t.Helper()
	for _, b := range c.Nodes {
		m, err := b.Scrape()
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, m.Sum("chronik_kafka_sent_bytes_total"))
	}
	return sent
}
