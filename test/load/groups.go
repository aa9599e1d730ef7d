package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commits is the highest offset that was acknowledged, and the highest that was tried, for each partition or group.
type commits struct {
	mu    sync.Mutex
	acked map[string]int64
	tried map[string]int64
}

func newCommits() *commits { return &commits{acked: map[string]int64{}, tried: map[string]int64{}} }

func (c *commits) try(key string, offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tried[key] = max(c.tried[key], offset)
}

func (c *commits) ack(key string, offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked[key] = max(c.acked[key], offset)
}

// snapshot copies what was acknowledged so far: whatever is fetched later must not be below.
func (c *commits) snapshot() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := map[string]int64{}
	for k, v := range c.acked {
		m[k] = v
	}
	return m
}

func (c *commits) triedAt(key string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tried[key]
}

// Group is the consumer group of the load.
const Group = "crash-members"

// member consumes in the group and commits after each poll. Records of a partition must come without a gap from where
// it was assigned.
func member(ctx context.Context, o Options, c *commits, seen *atomic.Int64, fault func(error)) {
	next := map[int32]int64{}
	var mu sync.Mutex
	forget := func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range m[topic] {
			delete(next, p)
		}
	}
	cl, err := kgo.NewClient(o.steady(kgo.ConsumeTopics(topic), kgo.ConsumerGroup(Group), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.BlockRebalanceOnPoll(), kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(200*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.OnPartitionsRevoked(forget), kgo.OnPartitionsLost(forget))...)
	if err != nil {
		fault(err)
		return
	}
	defer cl.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := cl.PollRecords(ctx, 2000)
		fetches.EachError(func(_ string, p int32, err error) {
			if e := (*kgo.ErrDataLoss)(nil); errors.As(err, &e) {
				fault(fmt.Errorf("group member: %w", err))
			}
		})
		commit := map[int32]kgo.EpochOffset{}
		mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			if want, ok := next[r.Partition]; ok && r.Offset != want {
				fault(fmt.Errorf("group member: partition %d: offset %d follows %d", r.Partition, r.Offset, want-1))
			}
			next[r.Partition] = r.Offset + 1
			commit[r.Partition] = kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset + 1}
			seen.Add(1)
		})
		mu.Unlock()
		if len(commit) > 0 {
			commitMember(ctx, cl, c, commit)
		}
		cl.AllowRebalance()
	}
}

// commitMember notes only what the broker's answer names: the client drops what it no longer owns.
func commitMember(ctx context.Context, cl *kgo.Client, c *commits, offsets map[int32]kgo.EpochOffset) {
	for p, o := range offsets {
		c.try(fmt.Sprint(p), o.Offset)
	}
	cctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cl.CommitOffsetsSync(cctx, map[string]map[int32]kgo.EpochOffset{topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			if err != nil {
				return // fenced, rebalancing or cut off: nothing was promised
			}
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					if p.ErrorCode == 0 {
						c.ack(fmt.Sprint(p.Partition), offsets[p.Partition].Offset)
					}
				}
			}
		})
}

// loneGroup names a group without members whose offsets a tool commits.
func loneGroup(i int) string { return fmt.Sprintf("crash-lone-%d", i) }

const loneGroups = 5

// commitAlone commits rising numbers for several groups without members, each with its number as metadata too.
func commitAlone(ctx context.Context, o Options, c *commits, fault func(error)) {
	cl, err := kgo.NewClient(o.steady()...)
	if err != nil {
		fault(err)
		return
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for n := int64(1); ctx.Err() == nil; n++ {
		group := loneGroup(int(n % loneGroups))
		c.try(group, n)
		var os kadm.Offsets
		os.Add(kadm.Offset{Topic: topic, Partition: 0, At: n, LeaderEpoch: -1, Metadata: fmt.Sprint(n)})
		cctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		err := adm.CommitAllOffsets(cctx, group, os)
		cancel()
		var refused *kerr.Error
		switch {
		case err == nil:
			c.ack(group, n)
		case errors.As(err, &refused) && !refused.Retriable: // anything else: the process is gone, nothing was promised
			fault(fmt.Errorf("commit %d of %s: %w", n, group, err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Millisecond): // pace of the load
		}
	}
}
