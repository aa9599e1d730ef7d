package coordinator

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf16"

	"chronik/broker/group"
	"chronik/broker/partition"
	"chronik/internal/clock"
	"chronik/segment"
)

// Partition is what a coordinator needs of a partition of __consumer_offsets; *partition.Partition is one.
type Partition interface {
	Append(b []byte, acks partition.Acks, requireEpoch int32, a partition.Acker, token int) error
	Read(q partition.Read, frames []segment.Entry) (partition.ReadResult, []segment.Entry, error)
	State() partition.State
	DeleteRecords(ctx context.Context, offset int64) (logStart int64, err error)
}

// Options say what a Host runs on. The functions are called often and from any goroutine.
type Options struct {
	Clock  clock.Clock
	Logger *slog.Logger
	// Config gives the limits of the groups of a Shard that is about to be loaded.
	Config func() group.Config
	// Partitions is how many partitions __consumer_offsets has; 0 when it does not exist.
	Partitions func() int
	// BatchBytesMax is the largest batch __consumer_offsets takes.
	BatchBytesMax func() int
	// TopicExists tells whether a topic exists; offsets of others are dropped after a load (O15).
	TopicExists func(name string) bool
	// Current waits until TopicExists is not older than the call; nil: it never is.
	Current func(ctx context.Context) error
}

// groupBytesMax is how much groups, members and offsets may take in memory before no more are taken: clients may make
// up groups. It is 2,500,000 offsets, or 400,000 groups of one member.
const groupBytesMax = 512 << 20

// Host is the group coordinator of a node.
type Host struct {
	opt    Options
	absent *shard // answers NOT_COORDINATOR for partitions that are not led here

	bytesMax int64
	bytes    atomic.Int64 // of all shards

	mu     sync.RWMutex
	shards map[int32]*shard
	closed bool
	done   sync.WaitGroup
}

// New returns a Host that leads nothing yet.
func New(o Options) *Host {
	h := &Host{opt: o, bytesMax: groupBytesMax, shards: map[int32]*shard{}}
	h.absent = newShard(h, -1, nil, -1)
	h.absent.state.Resign(o.Clock.Now(), &h.absent.fx)
	return h
}

// newState is a state machine within the limits of the host and its partitions.
func (h *Host) newState() *group.Shard {
	c := h.opt.Config()
	c.RecordBytesMax = h.opt.BatchBytesMax
	c.Full = func() bool { return h.bytes.Load() > h.bytesMax }
	return group.NewShard(c)
}

// Close resigns from everything and waits until nothing of the Host runs.
func (h *Host) Close() {
	h.mu.Lock()
	h.closed = true
	for i, s := range h.shards {
		close(s.stop)
		delete(h.shards, i)
	}
	h.mu.Unlock()
	h.done.Wait()
}

// RoleChanged takes note of who leads a partition. It does not block.
func (h *Host) RoleChanged(index int32, p Partition, leading bool, epoch int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.shards[index]
	if h.closed || old != nil && leading && old.part == p && old.epoch == epoch {
		return
	}
	if old != nil {
		close(old.stop)
		delete(h.shards, index)
	}
	if leading {
		s := newShard(h, index, p, epoch)
		h.shards[index] = s
		h.done.Go(s.run)
	}
}

// TopicDeleted drops what groups have committed for a topic (O15).
func (h *Host) TopicDeleted(topic string) {
	for _, s := range h.led() {
		s.do(func(now time.Time) { s.state.TopicDeleted(now, topic, &s.fx) })
	}
}

// led is the shards of this node, in the order of their partitions.
func (h *Host) led() []*shard {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]*shard, 0, len(h.shards))
	for _, i := range slices.Sorted(maps.Keys(h.shards)) {
		out = append(out, h.shards[i])
	}
	return out
}

// shardOf is the shard that has a group, or one that answers NOT_COORDINATOR.
func (h *Host) shardOf(groupID string) *shard {
	n := h.opt.Partitions()
	if n == 0 {
		return h.absent
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if s := h.shards[PartitionFor(groupID, n)]; s != nil {
		return s
	}
	return h.absent
}

// PartitionFor is the partition of __consumer_offsets that has a group (C2): Java's String.hashCode, without the
// sign, modulo n.
func PartitionFor(groupID string, n int) int32 {
	var hash uint32
	for _, unit := range utf16.Encode([]rune(groupID)) {
		hash = 31*hash + uint32(unit)
	}
	return int32(hash & 0x7fffffff % uint32(n))
}

// JoinGroup waits for the join phase to end. When ctx ends first, the member stays until its session does (J21).
func (h *Host) JoinGroup(ctx context.Context, r group.JoinRequest) group.JoinResponse {
	gone := group.JoinResponse{Err: group.CoordinatorNotAvailable, Generation: -1, MemberID: r.MemberID}
	return ask(ctx, h.shardOf(r.Group), gone, func(s *shard, now time.Time, tok group.Token) {
		s.state.Join(now, r, tok, &s.fx)
	})
}

// SyncGroup waits for the leader's assignment.
func (h *Host) SyncGroup(ctx context.Context, r group.SyncRequest) group.SyncResponse {
	gone := group.SyncResponse{Err: group.CoordinatorNotAvailable}
	return ask(ctx, h.shardOf(r.Group), gone, func(s *shard, now time.Time, tok group.Token) {
		s.state.Sync(now, r, tok, &s.fx)
	})
}

// Heartbeat keeps a member alive.
func (h *Host) Heartbeat(r group.HeartbeatRequest) (err group.Error) {
	s := h.shardOf(r.Group)
	s.do(func(now time.Time) { err = s.state.Heartbeat(now, r) })
	return err
}

// LeaveGroup removes members.
func (h *Host) LeaveGroup(ctx context.Context, r group.LeaveRequest) group.LeaveResponse {
	gone := group.LeaveResponse{Err: group.CoordinatorNotAvailable}
	return ask(ctx, h.shardOf(r.Group), gone, func(s *shard, now time.Time, tok group.Token) {
		s.state.Leave(now, r, tok, &s.fx)
	})
}

// CommitOffsets waits until the offsets are committed to the log (O6).
func (h *Host) CommitOffsets(ctx context.Context, r group.CommitOffsetsRequest) group.CommitOffsetsResponse {
	gone := group.CommitOffsetsResponse{Err: group.CoordinatorNotAvailable}
	return ask(ctx, h.shardOf(r.Group), gone, func(s *shard, now time.Time, tok group.Token) {
		s.state.CommitOffsets(now, r, tok, &s.fx)
	})
}

// FetchOffsets tells committed offsets.
func (h *Host) FetchOffsets(r group.FetchOffsetsRequest) (out group.FetchOffsetsResponse) {
	s := h.shardOf(r.Group)
	s.do(func(time.Time) { out = s.state.FetchOffsets(r) })
	return out
}

// DeleteOffsets waits until the offsets are gone from the log.
func (h *Host) DeleteOffsets(ctx context.Context, r group.DeleteOffsetsRequest) group.DeleteOffsetsResponse {
	gone := group.DeleteOffsetsResponse{Err: group.CoordinatorNotAvailable}
	return ask(ctx, h.shardOf(r.Group), gone, func(s *shard, now time.Time, tok group.Token) {
		s.state.DeleteOffsets(now, r, tok, &s.fx)
	})
}

// DescribeGroup tells about one group.
func (h *Host) DescribeGroup(groupID string) (out group.Description) {
	s := h.shardOf(groupID)
	s.do(func(time.Time) { out = s.state.Describe(groupID) })
	return out
}

// DeleteGroup waits until a group is gone from the log.
func (h *Host) DeleteGroup(ctx context.Context, groupID string) group.Error {
	gone := group.DeleteResponse{Err: group.CoordinatorNotAvailable}
	return ask(ctx, h.shardOf(groupID), gone, func(s *shard, now time.Time, tok group.Token) {
		s.state.Delete(now, groupID, tok, &s.fx)
	}).Err
}

// ListGroups is every group of the partitions that are led here. While one of them is being loaded that is the answer.
func (h *Host) ListGroups() (out []group.Listing, err group.Error) {
	for _, s := range h.led() {
		s.do(func(time.Time) {
			groups, e := s.state.List()
			if e != group.NotCoordinator && err == group.None { // a partition that has just been lost is not ours to tell
				err = e
			}
			out = append(out, groups...)
		})
	}
	if err != group.None {
		return nil, err
	}
	return out, group.None
}
