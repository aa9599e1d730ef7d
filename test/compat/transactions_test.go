package compat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/harness"
)

// transactJob moves Count records from Topic to Out in transactions of a transactional id, with the offsets of a group in
// them; each batch first in a transaction with "poison" for values, which is aborted.
type transactJob struct {
	Op    string `json:"op"`
	Topic string `json:"topic"`
	Out   string `json:"out"`
	Group string `json:"group"`
	ID    string `json:"id"`
	Count int    `json:"count"`
}

// TestTransactions has each foreign client that knows transactions read, transform and write in them. Who reads
// committed records sees each of them once and no poison; the group is at the end.
func TestTransactions(t *testing.T) {
	const parts, count = 4, 400
	b := sharedBroker(t)
	for _, s := range selected() {
		if !slices.Contains([]string{"java", "confluent-kafka", "kafkajs"}, s.name) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			c, err := s.open(t, b.Bootstrap())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.close)
			job := transactJob{"transact", "txn-in-" + s.name, "txn-out-" + s.name, "txn-group-" + s.name, "txn-" + s.name, count}
			newTopic(t, b, job.Topic, parts, nil)
			newTopic(t, b, job.Out, parts, nil)
			var sent []record
			for i := range count {
				sent = append(sent, record{Partition: int32(i % parts), Value: fmt.Append(nil, i), Timestamp: int64(1_700_000_000_000 + i)})
			}
			f := franz{addr: b.Bootstrap()}
			ctx, cancel := context.WithTimeout(context.Background(), 2*stepMax)
			defer cancel()
			if _, err := f.produce(ctx, produceJob{Topic: job.Topic, Codec: "none", Idempotent: true, Acks: -1, Records: sent}); err != nil {
				t.Fatal(err)
			}
			if _, err := c.(*driver).do(ctx, job, nil); err != nil {
				t.Fatal(err)
			}
			committed, poison := readTransactions(ctx, t, f, job)
			for p := range int32(parts) {
				if want := numbers(int(p), count, parts); !slices.Equal(committed[p], want) {
					t.Errorf("partition %d: committed records are %v, want %v", p, committed[p], want)
				}
			}
			if poison == 0 {
				t.Error("no poison was written: that proves nothing")
			}
			got, err := c.consume(ctx, []string{job.Out}, count)
			if err != nil {
				t.Fatalf("read by %s itself: %v", s.name, err)
			}
			for _, r := range got {
				if string(r.Value) == "poison" {
					t.Fatalf("%s itself sees poison", s.name)
				}
			}
			checkCommits(t, b, job.Group, job.Topic, count/parts)
		})
	}
}

// numbers is those from first to below end, in steps.
func numbers(first, end, step int) (out []string) {
	for i := first; i < end; i += step {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

// readTransactions reads the output as far as every transaction has ended: its committed values by partition, and how
// many records of poison readers of everything see.
func readTransactions(ctx context.Context, t *testing.T, f franz, job transactJob) (committed map[int32][]string, poison int) {
	t.Helper()
	adm, err := f.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer adm.Close()
	ends := map[int32]int64{}
	harness.Eventually(t, time.Minute, "transactions to end", func() error {
		stable, err := kadm.NewClient(adm).ListCommittedOffsets(ctx, job.Out)
		if err != nil {
			return err
		}
		all, err := kadm.NewClient(adm).ListEndOffsets(ctx, job.Out)
		if err != nil {
			return err
		}
		all.Each(func(o kadm.ListedOffset) {
			ends[o.Partition] = o.Offset
			if s, _ := stable.Lookup(o.Topic, o.Partition); s.Offset != o.Offset {
				err = errors.Join(err, fmt.Errorf("partition %d is stable up to %d of %d", o.Partition, s.Offset, o.Offset))
			}
		})
		return err
	})
	committed = map[int32][]string{}
	for _, level := range []kgo.IsolationLevel{kgo.ReadCommitted(), kgo.ReadUncommitted()} {
		c, err := f.dial(kgo.ConsumeTopics(job.Out), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords())
		if err != nil {
			t.Fatal(err)
		}
		for left := len(ends); left > 0; {
			fetches := c.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				switch {
				case r.Attrs.IsControl():
				case level == kgo.ReadCommitted():
					committed[r.Partition] = append(committed[r.Partition], string(r.Value))
				case string(r.Value) == "poison":
					poison++
				}
				if r.Offset == ends[r.Partition]-1 { // a marker
					left--
				}
			})
		}
		c.Close()
	}
	return committed, poison
}
