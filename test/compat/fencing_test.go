package compat

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

// transactional is a producer of one partition.
func transactional(t *testing.T, b *harness.Broker, id, topic string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := franz{addr: b.Bootstrap()}.dial(append([]kgo.Opt{
		kgo.TransactionalID(id), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func mustBegin(ctx context.Context, t *testing.T, c *kgo.Client, value string) {
	t.Helper()
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := c.ProduceSync(ctx, &kgo.Record{Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// committedValues reads what is committed, up to the last stable offset, which is the end of the partition.
func committedValues(ctx context.Context, t *testing.T, b *harness.Broker, topic string) (values []string) {
	t.Helper()
	committed, _ := readTransactions(ctx, t, franz{addr: b.Bootstrap()}, transactJob{Out: topic})
	return committed[0]
}

// TestFencing: a producer that takes over a transactional id aborts what the one before it has begun, and that one can
// not end it (T5).
func TestFencing(t *testing.T) {
	b := harness.Start(t, harness.Config{Set: settings})
	ctx, cancel := context.WithTimeout(context.Background(), stepMax)
	defer cancel()
	const id, topic = "fenced", "fencing"
	newTopic(t, b, topic, 1, nil)
	first := transactional(t, b, id, topic)
	mustBegin(ctx, t, first, "of the first")
	adm := kadm.NewClient(first)
	if l, err := adm.ListTransactions(ctx, nil, nil); err != nil || l[id].State != "Ongoing" {
		t.Errorf("listed as %+v: %v", l[id], err)
	}
	if d, err := adm.DescribeTransactions(ctx, id); err != nil || !d[id].Topics.Lookup(topic, 0) || d[id].State != "Ongoing" {
		t.Errorf("described as %+v: %v", d[id], err)
	}
	second := transactional(t, b, id, topic)
	mustBegin(ctx, t, second, "of the second")
	if err := first.EndTransaction(ctx, kgo.TryCommit); !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Errorf("the first one commits: %v", err)
	}
	if err := second.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if got := committedValues(ctx, t, b, topic); len(got) != 1 || got[0] != "of the second" {
		t.Errorf("committed: %q", got)
	}
	harness.Eventually(t, time.Minute, "the transaction to be complete", func() error {
		d, err := kadm.NewClient(second).DescribeTransactions(ctx, id)
		if err != nil || d[id].State != "CompleteCommit" {
			return fmt.Errorf("%+v: %w", d[id], err)
		}
		return nil
	})
}

// TestAbandoned: a transaction whose producer is gone is aborted when its time is over, and readers go on (T60).
func TestAbandoned(t *testing.T) {
	b := harness.Start(t, harness.Config{Set: settings})
	ctx, cancel := context.WithTimeout(context.Background(), stepMax)
	defer cancel()
	const topic = "abandoned"
	newTopic(t, b, topic, 1, nil)
	lost := transactional(t, b, "abandoned", topic, kgo.TransactionTimeout(10*time.Second))
	mustBegin(ctx, t, lost, "of nobody")
	other := transactional(t, b, "other", topic)
	mustBegin(ctx, t, other, "of the other")
	if err := other.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if got := committedValues(ctx, t, b, topic); len(got) != 1 || got[0] != "of the other" { // once the partition is stable
		t.Errorf("committed: %q", got)
	}
	if err := lost.EndTransaction(ctx, kgo.TryCommit); err == nil {
		t.Error("the one that was aborted is committed")
	}
}

// TestOffsetsWithoutAGroup: offsets of a group that nobody has asked for can be the first ones there are.
func TestOffsetsWithoutAGroup(t *testing.T) {
	b := harness.Start(t, harness.Config{Set: settings})
	ctx, cancel := context.WithTimeout(context.Background(), stepMax)
	defer cancel()
	const topic = "lonely"
	newTopic(t, b, topic, 1, nil)
	p := transactional(t, b, "lonely", topic)
	mustBegin(ctx, t, p, "v")
	pid, epoch, err := p.ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = "lonely", pid, epoch, "group-of-nobody"
	resp, err := req.RequestWith(ctx, p)
	if err != nil || resp.ErrorCode != 0 {
		t.Errorf("AddOffsetsToTxn: %+v, %v", resp, err)
	}
	if err := p.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Error(err)
	}
}
