package coordinator

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chronik/broker/group"
	"chronik/broker/partition"
	"chronik/internal/clock"
	"chronik/kafka/batch"
	"chronik/segment"
)

var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// fakePartition is a partition in memory, with the locking of the real one: Acked is called under its lock.
type fakePartition struct {
	mu             sync.Mutex
	batches        [][]byte
	start, end, hw int64
	manual         bool  // appends are acknowledged by commit only
	refuse         error // what Append answers
	epoch          int32
	waiting        []func(err error)
}

func (p *fakePartition) Append(b []byte, acks partition.Acks, requireEpoch int32, a partition.Acker, token int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return p.refuse
	}
	if acks != partition.AcksAll || requireEpoch != p.epoch {
		return partition.ErrFencedEpoch
	}
	base := p.end
	p.storeLocked(b)
	p.waiting = append(p.waiting, func(err error) { a.Acked(token, partition.Result{BaseOffset: base, Err: err}) })
	if !p.manual {
		p.commitLocked()
	}
	return nil
}

func (p *fakePartition) AppendMarker(m partition.Marker, requireEpoch int32, a partition.Acker, token int) error {
	typ := batch.Abort
	if m.Commit {
		typ = batch.Commit
	}
	b := batch.AppendEndTxn(nil, typ, m.ProducerID, m.Epoch, m.CoordinatorEpoch, epoch.UnixMilli())
	return p.Append(b, partition.AcksAll, requireEpoch, a, token)
}

// LastStable implements Partition, from the batches.
func (p *fakePartition) LastStable() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	open := map[int64]int64{}
	for _, b := range p.batches {
		switch v := batch.View(b); {
		case v.BaseOffset() >= p.hw || !v.Attributes().Transactional():
		case v.Attributes().Control():
			delete(open, v.ProducerID())
		default:
			if _, ok := open[v.ProducerID()]; !ok {
				open[v.ProducerID()] = v.BaseOffset()
			}
		}
	}
	stable := p.hw
	for _, first := range open {
		stable = min(stable, first)
	}
	return stable
}

func (p *fakePartition) storeLocked(b []byte) {
	v := batch.View(append([]byte{}, b...))
	v.SetBaseOffset(p.end)
	p.batches = append(p.batches, v)
	p.end += int64(v.LastOffsetDelta()) + 1
}

// store puts records into the log without committing them.
func (p *fakePartition) store(t *testing.T, control bool, records ...group.Record) {
	t.Helper()
	var b batch.Builder
	for _, r := range records {
		b.Add(epoch.UnixMilli(), r.Key, r.Value)
	}
	o := batch.Plain(batch.None)
	o.Control = control
	bytes, err := b.Build(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.storeLocked(bytes)
}

func (p *fakePartition) commit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commitLocked()
}

func (p *fakePartition) commitLocked() {
	p.hw = p.end
	p.settleLocked(nil)
}

func (p *fakePartition) settleLocked(err error) {
	for _, f := range p.waiting {
		f(err)
	}
	p.waiting = nil
}

// fail ends everything that waits, as the loss of leadership does.
func (p *fakePartition) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settleLocked(err)
}

func (p *fakePartition) set(f func(p *fakePartition)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

func (p *fakePartition) Read(q partition.Read, frames []segment.Entry) (partition.ReadResult, []segment.Entry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q.CurrentEpoch != p.epoch {
		return partition.ReadResult{}, frames, partition.ErrFencedEpoch
	}
	r := partition.ReadResult{HighWatermark: p.hw}
	for _, b := range p.batches {
		v := batch.View(b)
		if v.BaseOffset() < p.start {
			continue
		}
		if last := v.BaseOffset() + int64(v.LastOffsetDelta()); last >= q.Offset && last < p.hw {
			r.Records = append(r.Records, b)
			break // one at a time, so that loads take several steps
		}
	}
	return r, frames, nil
}

func (p *fakePartition) DeleteRecords(_ context.Context, offset int64) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if offset > p.hw {
		return -1, partition.ErrOutOfRange
	}
	p.start = offset
	return offset, nil
}

func (p *fakePartition) State() partition.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return partition.State{Leading: true, Epoch: p.epoch, LogStart: p.start, HighWatermark: p.hw, End: p.end}
}

// tool is a Host over fakes.
type tool struct {
	*testing.T
	h      *Host
	clock  *clock.Manual
	parts  []*fakePartition
	ids    atomic.Int64
	topics sync.Map // that do not exist
	batch  atomic.Int64
}

func newTool(t *testing.T, partitions int, opts ...func(*group.Config)) *tool {
	x := &tool{T: t, clock: clock.NewManual(epoch)}
	x.batch.Store(1 << 20)
	x.h = New(Options{
		Clock: x.clock, Logger: slog.New(slog.DiscardHandler),
		Config: func() group.Config {
			c := group.DefaultConfig(func() string { return strconv.FormatInt(x.ids.Add(1), 10) })
			c.InitialRebalanceDelay = 0
			for _, o := range opts {
				o(&c)
			}
			return c
		},
		Partitions:    func() int { return partitions },
		BatchBytesMax: func() int { return int(x.batch.Load()) },
		TopicExists: func(name string) bool {
			_, gone := x.topics.Load(name)
			return !gone
		},
	})
	for range partitions {
		x.parts = append(x.parts, &fakePartition{})
	}
	t.Cleanup(x.h.Close)
	return x
}

// lead begins leadership of a partition in its present epoch and waits until it is loaded.
func (x *tool) lead(i int) {
	x.Helper()
	x.h.RoleChanged(int32(i), x.parts[i], true, x.parts[i].State().Epoch)
	x.eventually("partition loaded", func() bool {
		x.h.mu.RLock()
		s := x.h.shards[int32(i)]
		x.h.mu.RUnlock()
		var err group.Error
		s.do(func(time.Time) { _, err = s.state.List() })
		return err == group.None
	})
}

// eventually polls: what it waits for is done by other goroutines.
func (x *tool) eventually(what string, ok func() bool) {
	x.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-limit.C:
			x.Fatalf("not in time: %s", what)
		}
	}
}

func join(groupID, member, client string) group.JoinRequest {
	return group.JoinRequest{
		Group: groupID, MemberID: member, ClientID: client, ClientHost: "/h", SessionTimeout: 10 * time.Second,
		RebalanceTimeout: time.Minute, ProtocolType: "consumer", Protocols: []group.Protocol{{Name: "range", Metadata: []byte("m")}},
	}
}

func commit(groupID, topic string, offset int64) group.CommitOffsetsRequest {
	return group.CommitOffsetsRequest{Group: groupID, Generation: -1, Retention: -1, Topics: []group.TopicToCommit{
		{Name: topic, Partitions: []group.OffsetToCommit{{Offset: offset, LeaderEpoch: -1}}},
	}}
}

func (x *tool) offset(groupID, topic string) int64 {
	x.Helper()
	r := x.h.FetchOffsets(group.FetchOffsetsRequest{Group: groupID, Topics: []group.TopicPartitions{{Name: topic, Partitions: []int32{0}}}})
	if r.Err != group.None {
		x.Fatalf("fetch offsets of %s: %v", groupID, r.Err)
	}
	return r.Topics[0].Partitions[0].Offset
}
