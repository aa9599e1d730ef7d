package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// View is what a node says of a partition.
type View struct {
	Topic     string
	Partition int32
	Leader    int32 // -1: none
	Epoch     int32
	Replicas  []int32
	ISR       []int32
	Offline   []int32
	Err       error
}

// askMax bounds one request to one node.
const askMax = 10 * time.Second

// Request asks this node itself, once.
func (b *Broker) Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	b.mu.Lock()
	if b.client == nil {
		c, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.DialTimeout(2*time.Second), kgo.ClientID("harness"))
		if err != nil {
			b.mu.Unlock()
			return nil, err
		}
		b.client = c
	}
	c := b.client
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	return c.SeedBrokers()[0].Request(ctx, req)
}

// hangUp closes the connections of Request.
func (b *Broker) hangUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client != nil {
		b.client.Close()
		b.client = nil
	}
}

// Metadata is this node's answer to a Metadata request; no topics: about all of them.
func (b *Broker) Metadata(ctx context.Context, topics ...string) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := b.Request(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("node %d: %w", b.ID, err)
	}
	return resp.(*kmsg.MetadataResponse), nil
}

// View is this node's view of a topic's partitions, in their order.
func (b *Broker) View(ctx context.Context, topic string) ([]View, error) {
	m, err := b.Metadata(ctx, topic)
	if err != nil {
		return nil, err
	}
	var views []View
	for _, t := range m.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, fmt.Errorf("node %d: %s: %w", b.ID, topic, err)
		}
		for _, p := range t.Partitions {
			views = append(views, View{
				Topic: *t.Topic, Partition: p.Partition, Leader: p.Leader, Epoch: p.LeaderEpoch, Replicas: p.Replicas,
				ISR: sorted(p.ISR), Offline: sorted(p.OfflineReplicas), Err: kerr.ErrorForCode(p.ErrorCode),
			})
		}
	}
	slices.SortFunc(views, func(a, b View) int { return int(a.Partition - b.Partition) })
	if len(views) == 0 {
		return nil, fmt.Errorf("node %d: %s has no partitions", b.ID, topic)
	}
	return views, nil
}

func sorted(ids []int32) []int32 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return ids
}

// Agreed is what all nodes that serve say of a topic's partitions, once it is the same, and check, unless nil, has no
// objection. It fails the test when that takes longer than limit.
func (c *Cluster) Agreed(limit time.Duration, topic, what string, check func([]View) error) []View {
	c.tb.Helper()
	var agreed []View
	Eventually(c.tb, limit, fmt.Sprintf("%s: %s", topic, what), func() (err error) {
		agreed, err = c.agreement(topic)
		if err == nil && check != nil {
			err = check(agreed)
		}
		return err
	})
	return agreed
}

func (c *Cluster) agreement(topic string) (agreed []View, err error) {
	serving := c.Serving()
	if len(serving) == 0 {
		return nil, errors.New("no node serves")
	}
	for i, b := range serving {
		views, err := b.View(context.Background(), topic)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			agreed = views
			continue
		}
		if a, b := fmt.Sprint(agreed), fmt.Sprint(views); a != b {
			return nil, fmt.Errorf("nodes differ: %s and %s", a, b)
		}
	}
	return agreed, nil
}

// Leaders are the leaders of a topic's partitions, as all nodes that serve say; each serves.
func (c *Cluster) Leaders(limit time.Duration, topic string) []int32 {
	c.tb.Helper()
	var leaders []int32
	c.Agreed(limit, topic, "every partition has a leader that serves", func(views []View) error {
		leaders = leaders[:0]
		for _, v := range views {
			if v.Leader < 1 || !c.Node(v.Leader).Serving() {
				return fmt.Errorf("partition %d: leader %d", v.Partition, v.Leader)
			}
			leaders = append(leaders, v.Leader)
		}
		return nil
	})
	return leaders
}

// AwaitISR waits until all nodes that serve name these in-sync replicas for every partition of the topics.
func (c *Cluster) AwaitISR(limit time.Duration, ids []int32, topics ...string) {
	c.tb.Helper()
	for _, topic := range topics {
		c.Agreed(limit, topic, fmt.Sprintf("in-sync replicas %v", ids), func(views []View) error {
			for _, v := range views {
				if !slices.Equal(v.ISR, ids) {
					return fmt.Errorf("partition %d: %v", v.Partition, v.ISR)
				}
			}
			return nil
		})
	}
}

// IDs are the ids of nodes.
func IDs(nodes []*Broker) []int32 {
	ids := make([]int32, len(nodes))
	for i, b := range nodes {
		ids[i] = b.ID
	}
	slices.Sort(ids)
	return ids
}

// Seeds splits a list of addresses.
func Seeds(bootstrap string) []string { return strings.Split(bootstrap, ",") }
