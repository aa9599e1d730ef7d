package coordinator

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"chronik/broker/group"
	"chronik/internal/clock"
)

// Options say what the coordinator of groups runs on. The functions are called often and from any goroutine.
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
	*Runner[*group.Shard]
}

type groupShard = Shard[*group.Shard]

// New returns a Host that leads nothing yet.
func New(o Options) *Host {
	h := &Host{}
	h.Runner = NewRunner(RunnerOptions[*group.Shard]{
		What: "group offsets", Clock: o.Clock, Logger: o.Logger, BytesMax: groupBytesMax,
		Partitions: o.Partitions, BatchBytesMax: o.BatchBytesMax, Current: o.Current,
		New: func(full func() bool) *group.Shard {
			c := o.Config()
			c.RecordBytesMax, c.Full = o.BatchBytesMax, full
			return group.NewShard(c)
		},
		Loaded: func(s *groupShard, now time.Time, current bool) {
			for _, topic := range s.state.Topics() {
				if current && !o.TopicExists(topic) {
					s.state.TopicDeleted(now, topic, &s.fx)
				}
			}
		},
	})
	return h
}

// TopicDeleted drops what groups have committed for a topic (O15).
func (h *Host) TopicDeleted(topic string) {
	for _, s := range h.Led() {
		s.do(func(now time.Time) { s.state.TopicDeleted(now, topic, &s.fx) })
	}
}

// JoinGroup waits for the join phase to end. When ctx ends first, the member stays until its session does (J21).
func (h *Host) JoinGroup(ctx context.Context, r group.JoinRequest) group.JoinResponse {
	gone := group.JoinResponse{Err: group.CoordinatorNotAvailable, Generation: -1, MemberID: r.MemberID}
	return ask(ctx, h.ShardOf(r.Group), gone, func(s *groupShard, now time.Time, tok group.Token) {
		s.state.Join(now, r, tok, &s.fx)
	})
}

// SyncGroup waits for the leader's assignment.
func (h *Host) SyncGroup(ctx context.Context, r group.SyncRequest) group.SyncResponse {
	gone := group.SyncResponse{Err: group.CoordinatorNotAvailable}
	return ask(ctx, h.ShardOf(r.Group), gone, func(s *groupShard, now time.Time, tok group.Token) {
		s.state.Sync(now, r, tok, &s.fx)
	})
}

// Heartbeat keeps a member alive.
func (h *Host) Heartbeat(r group.HeartbeatRequest) (err group.Error) {
	s := h.ShardOf(r.Group)
	s.do(func(now time.Time) { err = s.state.Heartbeat(now, r) })
	return err
}

// LeaveGroup removes members.
func (h *Host) LeaveGroup(ctx context.Context, r group.LeaveRequest) group.LeaveResponse {
	gone := group.LeaveResponse{Err: group.CoordinatorNotAvailable}
	return ask(ctx, h.ShardOf(r.Group), gone, func(s *groupShard, now time.Time, tok group.Token) {
		s.state.Leave(now, r, tok, &s.fx)
	})
}

// CommitOffsets waits until the offsets are committed to the log (O6).
func (h *Host) CommitOffsets(ctx context.Context, r group.CommitOffsetsRequest) group.CommitOffsetsResponse {
	gone := group.CommitOffsetsResponse{Err: group.CoordinatorNotAvailable}
	return ask(ctx, h.ShardOf(r.Group), gone, func(s *groupShard, now time.Time, tok group.Token) {
		s.state.CommitOffsets(now, r, tok, &s.fx)
	})
}

// CommitOffsetsInTxn is CommitOffsets for r.Txn. Unless the transaction is known to go on here, verify asks the
// transaction coordinator whether it may begin here; its error, if it is not a group.Error, is one that is told as
// COORDINATOR_LOAD_IN_PROGRESS: the client tries again.
func (h *Host) CommitOffsetsInTxn(ctx context.Context, r group.CommitOffsetsRequest, verify func(ctx context.Context) error) group.CommitOffsetsResponse {
	s := h.ShardOf(r.Group)
	s.do(func(time.Time) { r.Permit = s.state.AskPermit(*r.Txn) })
	if r.Permit != nil {
		if err := verify(ctx); err != nil {
			s.do(func(time.Time) { s.state.GiveUpPermit(*r.Txn, r.Permit) })
			refused := group.CoordinatorLoadInProgress
			_ = errors.As(err, &refused)
			return group.CommitOffsetsResponse{Err: refused}
		}
	}
	return h.CommitOffsets(ctx, r)
}

// EndTransaction writes the marker of a transaction to a partition of __consumer_offsets, and waits until it is
// committed: what was committed in it shows from then on, or never.
func (h *Host) EndTransaction(ctx context.Context, index int32, m group.Marker) group.Error {
	gone := group.MarkerResponse{Err: group.CoordinatorNotAvailable}
	return ask(ctx, h.ShardAt(index), gone, func(s *groupShard, now time.Time, tok group.Token) {
		s.state.EndTransaction(now, m, tok, &s.fx)
	}).Err
}

// FetchOffsets tells committed offsets.
func (h *Host) FetchOffsets(r group.FetchOffsetsRequest) (out group.FetchOffsetsResponse) {
	s := h.ShardOf(r.Group)
	s.do(func(time.Time) { out = s.state.FetchOffsets(r) })
	return out
}

// DeleteOffsets waits until the offsets are gone from the log.
func (h *Host) DeleteOffsets(ctx context.Context, r group.DeleteOffsetsRequest) group.DeleteOffsetsResponse {
	gone := group.DeleteOffsetsResponse{Err: group.CoordinatorNotAvailable}
	return ask(ctx, h.ShardOf(r.Group), gone, func(s *groupShard, now time.Time, tok group.Token) {
		s.state.DeleteOffsets(now, r, tok, &s.fx)
	})
}

// DescribeGroup tells about one group.
func (h *Host) DescribeGroup(groupID string) (out group.Description) {
	s := h.ShardOf(groupID)
	s.do(func(time.Time) { out = s.state.Describe(groupID) })
	return out
}

// DeleteGroup waits until a group is gone from the log.
func (h *Host) DeleteGroup(ctx context.Context, groupID string) group.Error {
	gone := group.DeleteResponse{Err: group.CoordinatorNotAvailable}
	return ask(ctx, h.ShardOf(groupID), gone, func(s *groupShard, now time.Time, tok group.Token) {
		s.state.Delete(now, groupID, tok, &s.fx)
	}).Err
}

// ListGroups is every group of the partitions that are led here. While one of them is being loaded that is the answer.
func (h *Host) ListGroups() (out []group.Listing, err group.Error) {
	for _, s := range h.Led() {
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
