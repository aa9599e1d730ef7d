package broker

import (
	"context"
	"sync"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/partition"
	"chronik/internal/clock"
	"chronik/segment"
)

// FetchResult holds on to the segments that a fetch's records lie in.
type FetchResult struct {
	reads []partition.ReadResult
	bytes int
	ready bool // an error, or divergence: answer at once
}

// Release gives up the records. Call it once, when the response is written.
func (r *FetchResult) Release() {
	for i := range r.reads {
		r.reads[i].Release()
	}
	r.reads = nil
}

// Fetch reads the partitions of a request in their order, and waits for
// MinBytes as F6 and F7 say. The results are in r.Partitions.
func (b *Broker) Fetch(ctx context.Context, r *FetchRequest) *FetchResult {
	r.MaxBytes = min(r.MaxBytes, b.conf.Load().FetchMaxBytes)
	minBytes := int(min(r.MinBytes, r.MaxBytes))
	follow := b.mayFollow(ctx, r)
	res := b.readAll(r, follow)
	if res.ready || res.bytes >= minBytes || r.MaxWait <= 0 || len(r.Partitions) == 0 {
		return res
	}
	w := partition.NewWatcher()
	for i := range r.Partitions {
		if _, p, err := b.lookup(&r.Partitions[i].TopicPartition, r.Partitions[i].ByID); err == nil {
			p.Watch(w)
			defer p.Unwatch(w)
		}
	}
	expired := make(chan struct{})
	timer := b.opt.Clock.AfterFunc(r.MaxWait, func() { close(expired) })
	defer timer.Stop()
	for last := false; ; {
		res.Release()
		res = b.readAll(r, follow)
		if last || res.ready || res.bytes >= minBytes {
			return res
		}
		select {
		case <-w.C():
		case <-expired:
			last = true
		case <-ctx.Done():
			return res
		case <-b.ctx.Done():
			return res
		}
	}
}

var framesPool = sync.Pool{New: func() any { return new([]segment.Entry) }}

// mayFollow says which of the partitions of a fetch may be read here although
// another node leads them; nil: none.
func (b *Broker) mayFollow(ctx context.Context, r *FetchRequest) []bool {
	if !r.ReplicaRead || r.ReplicaID != -1 || b.opt.Peers == nil {
		return nil
	}
	parts := make([]*partition.Partition, len(r.Partitions))
	for i := range parts {
		_, parts[i], _ = b.lookup(&r.Partitions[i].TopicPartition, r.Partitions[i].ByID)
	}
	return b.follow.May(ctx, parts)
}

// prefer sends a consumer to a replica in its own rack (KIP-392), if this node
// leads and one that is in sync has what is asked for.
func (b *Broker) prefer(r *FetchRequest, part *FetchPartition, p *partition.Partition) (sent bool) {
	if !r.ReplicaRead || r.ReplicaID != -1 || r.ClientRack == "" {
		return false
	}
	at := p.State()
	if !at.Leading || part.FetchOffset < at.LogStart || part.FetchOffset > at.HighWatermark {
		return false
	}
	b.meta.View(func(s *cluster.State) {
		if t := s.TopicByID(part.TopicID); t != nil {
			_, isr := b.leaders.Of(s, t, part.Partition)
			part.PreferredReplica, sent = b.follow.Nearer(s, r.ClientRack, isr)
		}
	})
	if sent {
		part.HighWatermark, part.LastStableOffset, part.LogStart = at.HighWatermark, at.LastStable, at.LogStart
	}
	return sent
}

// readAll reads each partition once (F1 to F5). follow says, by partition,
// whether a replica that does not lead may be read; nil: none.
func (b *Broker) readAll(r *FetchRequest, follow []bool) *FetchResult {
	res := &FetchResult{reads: make([]partition.ReadResult, len(r.Partitions))}
	frames := framesPool.Get().(*[]segment.Entry)
	defer framesPool.Put(frames)
	for i := range r.Partitions {
		part := &r.Partitions[i]
		part.Err, part.Diverging, part.Records, part.Aborted, part.Size = nil, nil, nil, nil, 0
		part.HighWatermark, part.LastStableOffset, part.LogStart, part.PreferredReplica = -1, -1, -1, -1
		_, p, err := b.lookup(&part.TopicPartition, part.ByID)
		if err != nil {
			part.Err, res.ready = err, true
			continue
		}
		if b.prefer(r, part, p) {
			res.ready = true
			continue
		}
		room := int(r.MaxBytes) - res.bytes
		var read partition.ReadResult
		read, *frames, err = p.Read(partition.Read{
			Offset: part.FetchOffset, BytesMax: min(int(part.MaxBytes), room), AtLeastOne: res.bytes == 0,
			Isolation: isolation(r.ReplicaID, r.Committed), CurrentEpoch: part.CurrentLeaderEpoch, LastEpoch: part.LastFetchedEpoch,
			Follower: follow != nil && follow[i],
		}, *frames)
		res.reads[i] = read
		if err != nil {
			part.Err, res.ready = fromBelow(err), true
			continue
		}
		part.HighWatermark, part.LastStableOffset, part.LogStart = read.HighWatermark, read.LastStable, read.LogStart
		part.Records, part.Aborted, part.Size = read.Records, read.Aborted, read.Bytes
		res.bytes += read.Bytes
		if read.Diverging {
			part.Diverging, res.ready = &EpochEnd{Epoch: read.DivergeEpoch, EndOffset: read.DivergeEnd}, true
		}
	}
	clear(*frames)
	return res
}

// isolation is how far a request reads (F1, L1).
func isolation(replica int32, committed bool) partition.Isolation {
	switch {
	case replica != -1:
		return partition.ReadAll
	case committed:
		return partition.ReadCommitted
	}
	return partition.ReadUncommitted
}

// ListOffset answers one offset by timestamp (L1 to L5).
func (b *Broker) ListOffset(_ context.Context, q ListOffset) (OffsetAt, error) {
	none := OffsetAt{Offset: -1, Timestamp: -1, LeaderEpoch: -1}
	_, p, err := b.lookup(&q.TopicPartition, false)
	if err != nil {
		return none, err
	}
	var at partition.Position
	upTo := isolation(-1, q.Committed)
	switch q.Timestamp {
	case TimestampLatest:
		at, err = p.Latest(q.CurrentLeaderEpoch, isolation(q.ReplicaID, q.Committed))
	case TimestampEarliest, TimestampEarliestLocal:
		at, err = p.Earliest(q.CurrentLeaderEpoch)
	case TimestampMax:
		at, err = p.MaxTimestamp(q.CurrentLeaderEpoch, upTo)
	case TimestampLatestTiered, TimestampEarliestPendingUpload: // L4: no tiers here
		_, err = p.Latest(q.CurrentLeaderEpoch, upTo)
		at = partition.None
	default:
		at, err = p.ByTimestamp(q.CurrentLeaderEpoch, q.Timestamp, upTo)
	}
	return OffsetAt{Offset: at.Offset, Timestamp: at.Timestamp, LeaderEpoch: at.Epoch}, fromBelow(err)
}

// OffsetForLeaderEpoch tells where a leader epoch ends (E1 to E4).
func (b *Broker) OffsetForLeaderEpoch(tp TopicPartition, currentLeaderEpoch, epoch int32) (EpochEnd, error) {
	_, p, err := b.lookup(&tp, false)
	if err != nil {
		return EpochEnd{Epoch: -1, EndOffset: -1}, err
	}
	e, end, err := p.EpochEnd(currentLeaderEpoch, epoch)
	return EpochEnd{Epoch: e, EndOffset: end}, fromBelow(err)
}

// DeleteRecords moves the log start of a partition (R1).
func (b *Broker) DeleteRecords(ctx context.Context, tp TopicPartition, offset int64, timeout time.Duration) (int64, error) {
	ctx, cancel := clock.WithTimeout(ctx, b.opt.Clock, timeout)
	defer cancel()
	t, p, err := b.lookup(&tp, false)
	switch {
	case err != nil:
		return -1, err
	case isInternal(tp.Topic):
		return -1, ErrInvalidTopic
	case t.Config().Compact && !t.Config().DeleteExpired:
		return -1, ErrPolicyViolation
	}
	start, err := p.DeleteRecords(ctx, offset)
	return start, fromBelow(err)
}
