package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
)

// TestTopicsWhileANodeIsDown creates topics of three replicas with two of three nodes there: by a request, by a produce, and
// __consumer_offsets by the first group. They take writes with acks=all, and the node that comes back finds its replicas.
func TestTopicsWhileANodeIsDown(t *testing.T) {
	c := start(t, harness.ClusterConfig{})
	down := c.Node(2)
	down.Kill()
	left := c.Others(down)
	harness.Eventually(t, limit, "node 2 is fenced", func() error {
		for _, b := range left {
			if m, err := b.Metadata(ctx(t)); err != nil || len(m.Brokers) != 2 {
				return fmt.Errorf("node %d: %v, %v", b.ID, m, err)
			}
		}
		return nil
	})
	if _, err := kadm.NewClient(client(t, c)).CreateTopic(ctx(t), 3, 3, nil, "asked"); err != nil {
		t.Fatal(err)
	}
	auto := client(t, c, kgo.AllowAutoTopicCreation(), kgo.RequiredAcks(kgo.AllISRAcks()))
	if err := auto.ProduceSync(ctx(t), &kgo.Record{Topic: "auto", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset("auto", 0, 1, -1)
	if err := kadm.NewClient(auto).CommitAllOffsets(ctx(t), "g", offsets); err != nil {
		t.Fatal(err)
	}
	produce(t, c, "asked", 3, 0, 300)
	topics := []string{"asked", "auto", "__consumer_offsets"}
	for _, topic := range topics {
		c.Agreed(limit, topic, "three replicas, a live one first", func(views []harness.View) error {
			for _, v := range views {
				if len(v.Replicas) != 3 || v.Replicas[0] == down.ID || slices.Contains(v.ISR, down.ID) || !slices.Equal(v.Offline, []int32{down.ID}) {
					return fmt.Errorf("%+v", v)
				}
			}
			return nil
		})
	}
	began := time.Now()
	if _, err := down.Launch(); err != nil {
		t.Fatal(err)
	}
	c.AwaitISR(limit, harness.IDs(c.Nodes), topics...)
	t.Logf("in sync everywhere %v after its start", time.Since(began).Round(time.Millisecond))
	c.Node(1).Kill() // what the node that came back has counts
	c.AwaitISR(limit, []int32{2, 3}, topics...)
	produce(t, c, "asked", 3, 300, 300)
	numbered(t, consume(t, c, "asked"), 3, 600)
}
