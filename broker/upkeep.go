package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"chronik/broker/cluster"
	"chronik/broker/local"
	"chronik/broker/partition"
	"chronik/internal/clock"
)

// housekeeping applies retention and forgets idle producers, every
// log.retention.check.interval.ms.
func (b *Broker) housekeeping() {
	for {
		if !clock.Sleep(b.ctx, b.opt.Clock, b.conf.Load().RetentionCheck) {
			return
		}
		now := b.opt.Clock.Now()
		expiry := now.Add(-b.conf.Load().ProducerIDExpiration)
		for _, r := range b.local.Replicas() {
			p := r.Partition
			if p == nil {
				continue
			}
			if err := p.Retain(now); err != nil && !errors.Is(err, partition.ErrClosed) {
				b.opt.Logger.Error("retention failed", "err", err)
			}
			p.ExpireProducers(expiry.UnixMilli())
		}
	}
}

// reserveIDs has the cluster reserve producer ids for this node (T1).
func (b *Broker) reserveIDs(ctx context.Context, count int32) (int64, error) {
	res, _, err := b.propose(ctx, &cluster.AllocateProducerIDs{Count: count})
	return res.First, err
}

// LogDirs describes the data directory (R4): the partitions named by filter,
// or all.
func (b *Broker) LogDirs(filter []TopicPartition, all bool) []LogDir {
	dir := LogDir{Path: b.opt.DataDir, TotalBytes: -1, UsableBytes: -1}
	if u, err := b.opt.FS.Usage(b.opt.DataDir); err == nil {
		dir.TotalBytes, dir.UsableBytes = u.Total, u.Free
	} else {
		dir.Err = fmt.Errorf("%w: %w", ErrStorage, err)
	}
	replicas := b.local.Replicas()
	slices.SortFunc(replicas, func(x, y local.Replica) int {
		return cmp.Or(strings.Compare(x.Topic.Name, y.Topic.Name), cmp.Compare(x.Index, y.Index))
	})
	wanted := map[TopicPartition]bool{}
	for _, f := range filter {
		wanted[TopicPartition{Topic: f.Topic, Partition: f.Partition}] = true
	}
	for _, r := range replicas {
		if r.Partition != nil && (all || wanted[TopicPartition{Topic: r.Topic.Name, Partition: r.Index}]) {
			dir.Partitions = append(dir.Partitions, LogDirPartition{
				TopicPartition: TopicPartition{Topic: r.Topic.Name, TopicID: r.Topic.ID, Partition: r.Index}, Bytes: r.Partition.State().Bytes,
			})
		}
	}
	return []LogDir{dir}
}
