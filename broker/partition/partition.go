package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"chronik/broker/config"
	"chronik/broker/partition/fate"
	"chronik/broker/partition/frames"
	"chronik/broker/partition/held"
	"chronik/broker/partition/producers"
	"chronik/broker/partition/txns"
	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/internal/vfs"
	"chronik/raftstore/multiraft"
	"chronik/segment"
	"chronik/wal"
)

// Errors of appends and reads.
var (
	ErrNotLeader    = errors.New("not the leader of the partition")
	ErrOutOfRange   = errors.New("offset is outside the log")
	ErrFencedEpoch  = errors.New("leader epoch is older than the partition's")
	ErrUnknownEpoch = errors.New("leader epoch is newer than the partition's")
	ErrClosed       = errors.New("partition is closed")
	ErrStorage      = errors.New("storage of the partition has failed")
	// ErrNotEnoughReplicas refuses an append with acks=all: fewer replicas are
	// in sync than min.insync.replicas. Nothing was appended.
	ErrNotEnoughReplicas = errors.New("fewer replicas are in sync than min.insync.replicas")
	// ErrNotEnoughReplicasAfterAppend says that a batch is committed, but that
	// meanwhile fewer replicas are in sync than min.insync.replicas.
	ErrNotEnoughReplicasAfterAppend = errors.New("appended, but fewer replicas are in sync than min.insync.replicas")
	// ErrOutOfOrderSequence and ErrInvalidProducerEpoch refuse batches of
	// idempotent producers.
	ErrOutOfOrderSequence   = producers.ErrOutOfOrderSequence
	ErrInvalidProducerEpoch = producers.ErrInvalidProducerEpoch
	// ErrOffsetNotAvailable is a follower's answer to an offset that is beyond
	// what it knows to be committed.
	ErrOffsetNotAvailable = errors.New("offset is not known to be committed on this replica")
)

// Options say which partition to open, and with what.
type Options struct {
	Topic     string
	Partition int32
	GroupID   uint64 // raft group, unique in the cluster for ever
	Voters    []uint64
	Candidate bool // of a new partition: this replica is to lead it, and campaigns at once

	Dir      string
	FS       vfs.FS
	Syncer   *wal.Syncer
	Maps     *wal.Maps
	Host     *multiraft.Host
	Clock    clock.Clock
	Rand     *rand.Rand
	Logger   *slog.Logger
	Metrics  *metrics.Metrics
	Settings func() *config.TopicConfig // current; cheap

	// Verify asks the transaction coordinator whether the partition is in the
	// producer's transaction; nil: nobody is asked. See Partition.Verify.
	Verify func(ctx context.Context, transactionalID string, producerID int64, epoch int16, topic string, partition int32) error
}

// Partition is one replica of one partition. See the package comment.
type Partition struct {
	opt   Options
	log   *wal.Log
	group *multiraft.Group // nil until Open has joined it; set under mu

	mu        sync.Mutex
	leading   bool
	epoch     int32  // leader epoch = raft term - 1; -1 before the first
	leader    uint64 // node id, 0 unknown
	end       int64  // next offset to hand out: includes pending and proposed
	written   int64  // next offset of the log
	durable   int64
	last      segment.Index // of the log
	lastTerm  segment.Term
	committed int64 // high watermark: never goes back
	acked     int64 // appends with acks=all below it are acknowledged
	pending   []byte
	ledger    *txns.Ledger
	current   bool // ledger covers the log up to end, no more and no less
	cuts      int  // how often the end of the log was replaced
	closed    bool
	failure   error // why the group stopped; ErrClosed after Close
	noRoom    error // the disk is full: appends are refused; nil: it is not
	commitAck fate.Queue
	durAck    fate.Queue
	watchers  map[uint64]*Watcher // by id; nil: none
	onRole    RoleFunc

	// Of a leader with other replicas; see replicas.go.
	isr      []uint64 // in-sync replicas, this one included; nil: nobody has told in this term
	progress held.Progress
	watching atomic.Bool // wants to be told progress
	permits  txns.Permits

	start       atomic.Int64 // log start, as far as the log's own is not higher; set under mu
	startWanted int64        // to be proposed; -1: none
	startWaits  []*startWaiter

	beside     sync.WaitGroup // goroutines; begun under mu, unless closed
	rebuilding bool
	trimming   bool
	trimAgain  bool
	sealing    bool

	readOnce sync.Once // the first read that failed
}

// RoleFunc is told of every gain and loss of leadership, after the partition
// has taken note of it. It runs on a scheduler shard and must not block.
type RoleFunc func(p *Partition, leading bool, epoch int32)

// Open opens the partition's log, recovers its state and joins its raft
// group. onRole may be nil; it may be called before Open returns.
func Open(o Options, onRole RoleFunc) (*Partition, error) {
	p := &Partition{opt: o, epoch: -1, onRole: onRole, ledger: txns.NewLedger(0), startWanted: -1}
	began := o.Clock.Now()
	log, rec, err := wal.Open(wal.Options{
		FS: o.FS, Dir: o.Dir, Syncer: o.Syncer, Maps: o.Maps, Clock: o.Clock, Rand: o.Rand, Logger: o.Logger,
		SegmentBytes: func() int64 { return p.opt.Settings().SegmentBytes },
		Checkpoint:   p.checkpoint,
	})
	found := outcome(rec, err)
	o.Metrics.Storage.Recovered(found, rec.TornBytes, o.Clock.Now().Sub(began))
	if found == corrupt {
		o.Metrics.Storage.CorruptRange()
	}
	if err != nil {
		return nil, fmt.Errorf("open the log of %s-%d: %w", o.Topic, o.Partition, err)
	}
	if rec.TornBytes > 0 {
		o.Logger.Warn("cut a torn tail", "topic", o.Topic, "partition", o.Partition, "bytes", rec.TornBytes)
	}
	p.log = log
	p.end, p.written, p.durable = int64(log.NextOffset()), int64(log.NextOffset()), int64(log.DurableOffset())
	p.last = log.LastIndex()
	p.lastTerm, _ = log.Term(p.last)
	p.committed = int64(log.StartOffset())
	replayed, err := p.recoverLedger()
	if err == nil {
		err = p.join(replayed)
	}
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return p, nil
}

// join joins the raft group, and puts the log starts in force that replaying
// the log has found.
func (p *Partition) join(found *replay) error {
	p.start.Store(found.of.Start)
	p.committed = max(p.committed, found.of.Start)
	o := &p.opt
	group, err := o.Host.Add(multiraft.GroupOptions{
		ID: o.GroupID, Log: p.log, Voters: o.Voters, Candidate: o.Candidate, SM: (*machine)(p), SkipApplied: true,
	})
	if err != nil {
		return fmt.Errorf("join the raft group of %s-%d: %w", o.Topic, o.Partition, err)
	}
	commit := group.Status().Commit // entries behind it come to Committed
	p.mu.Lock()
	p.group = group
	for _, s := range found.starts {
		if s.index <= commit {
			p.startCommittedLocked(s.offset)
		}
	}
	p.mu.Unlock()
	group.Wake() // for what onRole may have appended
	return nil
}

const corrupt = "corrupt"

// outcome names what was found when a log was opened.
func outcome(rec wal.Recovery, err error) string {
	switch {
	case errors.Is(err, segment.ErrNewerVersion):
		return "newer_version"
	case errors.Is(err, segment.ErrCorrupt):
		return corrupt
	case err != nil:
		return "error"
	case rec.TornBytes > 0:
		return "torn_tail"
	case rec.Created:
		return "empty"
	}
	return "clean"
}

// Close leaves the raft group and closes the log. Waiting appends fail with
// ErrClosed. The files stay.
func (p *Partition) Close() error {
	err := p.opt.Host.Remove(p.opt.GroupID)
	p.mu.Lock()
	if p.failure != nil && errors.Is(err, multiraft.ErrUnknownGroup) {
		err = nil // it has left before
	}
	p.closed = true
	p.stopLocked(ErrClosed)
	p.mu.Unlock()
	p.beside.Wait()
	return errors.Join(err, p.log.Close())
}

// stopLocked ends leadership and fails everything that waits.
func (p *Partition) stopLocked(cause error) {
	if p.failure == nil || cause == ErrClosed {
		p.failure = cause
	}
	p.leading, p.leader = false, 0 // clients are to look for another, and readiness to notice
	p.dropLocked(cause)
	p.wakeLocked()
}

// State is a consistent view of a partition's offsets and leadership.
type State struct {
	Leading       bool
	Leader        uint64 // node id, 0 unknown
	Epoch         int32
	LogStart      int64
	HighWatermark int64
	LastStable    int64 // -1: not known for now
	End           int64 // next offset of the written log
	Bytes         int64
	NoRoom        error // the disk is full: reads go on, appends are refused; nil: it is not
	Err           error // the partition has failed or is closed
}

// State returns the present state.
func (p *Partition) State() State {
	bytes := p.log.Bytes()
	p.mu.Lock()
	defer p.mu.Unlock()
	return State{
		Leading: p.leading, Leader: p.leader, Epoch: p.epoch, LogStart: p.LogStart(),
		HighWatermark: p.committed, LastStable: p.stableLocked(), End: p.written, Bytes: bytes, NoRoom: p.noRoom, Err: p.failure,
	}
}

// Leader is the node that leads the partition (0 unknown) and its epoch.
func (p *Partition) Leader() (node uint64, epoch int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leader, p.epoch
}

// Status is the raft group's status.
func (p *Partition) Status() multiraft.Status { return p.group.Status() }

// Segments describes the segments of the log.
func (p *Partition) Segments() []wal.SegmentInfo { return p.log.Segments() }

// checkEpochLocked compares a request's leader epoch with ours (F11, L8, E4).
func (p *Partition) checkEpochLocked(epoch int32) error {
	switch {
	case p.failure != nil:
		return p.failure
	case !p.leading && p.noRoom != nil: // which keeps it from leading
		return p.noRoom
	case !p.leading:
		return ErrNotLeader
	}
	return p.compareEpochLocked(epoch)
}

func (p *Partition) compareEpochLocked(epoch int32) error {
	switch {
	case epoch >= 0 && epoch < p.epoch:
		return fmt.Errorf("%w: %d, current %d", ErrFencedEpoch, epoch, p.epoch)
	case epoch > p.epoch:
		return fmt.Errorf("%w: %d, current %d", ErrUnknownEpoch, epoch, p.epoch)
	}
	return nil
}

// valid checks the invariants of the package comment.
func (p *Partition) valid() error {
	start := p.LogStart()
	if p.leading && (start > p.committed || p.committed > p.written || p.written > p.end || p.durable > p.written) {
		return fmt.Errorf("BUG: %s-%d: log start %d, high watermark %d, durable %d, written %d, end %d",
			p.opt.Topic, p.opt.Partition, start, p.committed, p.durable, p.written, p.end)
	}
	return nil
}

func epochOf(t segment.Term) int32 { return frames.Epoch(t) }
