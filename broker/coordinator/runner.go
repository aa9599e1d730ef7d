package coordinator

import (
	"context"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf16"

	"chronik/broker/group/effect"
	"chronik/broker/partition"
	"chronik/internal/clock"
	"chronik/segment"
)

// State is what is kept in one partition, as a pure state machine: *group.Shard, or *transaction.Shard.
type State interface {
	Load(key, value []byte) error
	LoadStats() effect.LoadStats
	Loaded(now time.Time, fx *effect.Effects)
	Deadline() (time.Time, bool)
	Tick(now time.Time, fx *effect.Effects)
	Appended(now time.Time, id effect.AppendID, err error, fx *effect.Effects)
	Resign(now time.Time, fx *effect.Effects)
	Bytes() int64
	Quiet() bool
	Snapshot() iter.Seq[effect.Record]
}

// Transactional is a State whose partition has records of transactions, and their ends.
type Transactional interface {
	LoadInTxn(txn effect.Txn, key, value []byte) error
	LoadMarker(producerID int64, commit bool)
}

// Partition is what a coordinator needs of a partition; *partition.Partition is one.
type Partition interface {
	Append(b []byte, acks partition.Acks, requireEpoch int32, a partition.Acker, token int) error
	AppendMarker(m partition.Marker, requireEpoch int32, a partition.Acker, token int) error
	LastStable() int64
	Read(q partition.Read, frames []segment.Entry) (partition.ReadResult, []segment.Entry, error)
	State() partition.State
	DeleteRecords(ctx context.Context, offset int64) (logStart int64, err error)
}

// RunnerOptions say what a Runner runs on. The functions are called often and from any goroutine.
type RunnerOptions[S State] struct {
	What   string // is kept, for the log
	Clock  clock.Clock
	Logger *slog.Logger
	// New makes a State that is about to be loaded; full tells whether the states of all partitions take BytesMax.
	New      func(full func() bool) S
	BytesMax int64
	// Partitions is how many partitions the topic has; 0 when it does not exist.
	Partitions func() int
	// BatchBytesMax is the largest batch the topic takes.
	BatchBytesMax func() int
	// Current waits until what the node knows of the cluster is not older than the call; nil: it never is.
	Current func(ctx context.Context) error
	// Loaded is called when a partition has been loaded, with the lock held; current: Current has come to its end.
	Loaded func(s *Shard[S], now time.Time, current bool)
	// After is called after whatever may have changed a state, with the lock held; nil: it is not.
	After func(s *Shard[S], state S)
}

// Runner runs the states of the partitions that this node leads.
type Runner[S State] struct {
	opt    RunnerOptions[S]
	absent *Shard[S] // answers NOT_COORDINATOR for partitions that are not led here

	bytesMax int64
	bytes    atomic.Int64 // of all shards

	mu     sync.RWMutex
	shards map[int32]*Shard[S]
	closed bool
	done   sync.WaitGroup
}

// NewRunner returns a Runner that leads nothing yet.
func NewRunner[S State](o RunnerOptions[S]) *Runner[S] {
	r := &Runner[S]{opt: o, bytesMax: o.BytesMax, shards: map[int32]*Shard[S]{}}
	r.absent = newShard(r, -1, nil, -1)
	r.absent.state.Resign(o.Clock.Now(), &r.absent.fx)
	return r
}

func (r *Runner[S]) newState() S {
	return r.opt.New(func() bool { return r.bytes.Load() > r.bytesMax })
}

// Close resigns from everything and waits until nothing of the Runner runs.
func (r *Runner[S]) Close() {
	r.mu.Lock()
	r.closed = true
	for i, s := range r.shards {
		close(s.stop)
		delete(r.shards, i)
	}
	r.mu.Unlock()
	r.done.Wait()
}

// RoleChanged takes note of who leads a partition. It does not block.
func (r *Runner[S]) RoleChanged(index int32, p Partition, leading bool, epoch int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.shards[index]
	if r.closed || old != nil && leading && old.part == p && old.epoch == epoch {
		return
	}
	if old != nil {
		close(old.stop)
		delete(r.shards, index)
	}
	if leading {
		s := newShard(r, index, p, epoch)
		r.shards[index] = s
		r.done.Go(s.run)
	}
}

// Led is the shards of this node, in the order of their partitions.
func (r *Runner[S]) Led() []*Shard[S] {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]*Shard[S], 0, len(r.shards))
	for _, i := range slices.Sorted(maps.Keys(r.shards)) {
		out = append(out, r.shards[i])
	}
	return out
}

// ShardOf is the shard that has a key, or one that answers NOT_COORDINATOR.
func (r *Runner[S]) ShardOf(key string) *Shard[S] {
	if n := r.opt.Partitions(); n > 0 {
		return r.ShardAt(PartitionFor(key, n))
	}
	return r.absent
}

// ShardAt is the shard of a partition, or one that answers NOT_COORDINATOR.
func (r *Runner[S]) ShardAt(index int32) *Shard[S] {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if s := r.shards[index]; s != nil {
		return s
	}
	return r.absent
}

// PartitionFor is the partition, of n, that has a key (C2): Java's String.hashCode, without the
// sign, modulo n.
func PartitionFor(key string, n int) int32 {
	var hash uint32
	for _, unit := range utf16.Encode([]rune(key)) {
		hash = 31*hash + uint32(unit)
	}
	return int32(hash & 0x7fffffff % uint32(n))
}
