package transactions

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"chronik/broker/coordinator"
	"chronik/broker/group/effect"
	"chronik/broker/transaction"
	"chronik/internal/clock"
)

// Options say what a Coordinator runs on. The functions are called often and from any goroutine.
type Options struct {
	NodeID int32
	Clock  clock.Clock
	Logger *slog.Logger
	// Limits are transaction.max.timeout.ms and transactional.id.expiration.ms.
	Limits func() (timeoutMax, expiration time.Duration)
	// Partitions is how many partitions __transaction_state has; 0 when it does not exist.
	Partitions func() int
	// BatchBytesMax is the largest batch that __transaction_state takes.
	BatchBytesMax func() int
	// FreshID is a producer id that nobody has.
	FreshID func(ctx context.Context) (int64, error)
	// Coordinates is the node that coordinates a transactional id, -1 when none is known.
	Coordinates func(id string) int32
	// Leads is the node that leads a partition, -1 when none is known; false when there is no such partition.
	Leads func(p transaction.Partition) (node int32, exists bool)
	// Current waits until what the node knows of the cluster is not older than the call.
	Current func(ctx context.Context) error
	// Write has markers written to partitions that are led here, and returns what became of each.
	Write func(ctx context.Context, ms []Marker) []error
	// Fenced tells whether an error of Write says that somebody newer has written.
	Fenced func(err error) bool
	// Peers reaches other nodes; nil: there are none.
	Peers Peers
}

// Peers are the other nodes.
type Peers interface {
	Call(ctx context.Context, node uint64, method uint8, body []byte) ([]byte, error)
}

// bytesMax is how much transactional ids may take in memory: 500,000 of them, or fewer with transactions of many
// partitions.
const bytesMax = 256 << 20

type (
	runner = coordinator.Runner[*transaction.Shard]
	shard  = coordinator.Shard[*transaction.Shard]
)

// Coordinator is the transaction coordinator of a node.
type Coordinator struct {
	run *runner
	opt Options
	out *delivery
}

// New returns a Coordinator that leads nothing yet.
func New(o Options) *Coordinator {
	c := &Coordinator{opt: o}
	c.out = newDelivery(&c.opt)
	c.run = coordinator.NewRunner(coordinator.RunnerOptions[*transaction.Shard]{
		What: "transactions", Clock: o.Clock, Logger: o.Logger, BytesMax: bytesMax,
		Partitions: o.Partitions, BatchBytesMax: o.BatchBytesMax,
		New: func(full func() bool) *transaction.Shard {
			timeoutMax, expiration := o.Limits()
			return transaction.NewShard(transaction.Config{
				TimeoutMax: timeoutMax, Expiration: expiration, RecordBytesMax: o.BatchBytesMax, Full: full,
			})
		},
		After: c.out.take,
	})
	return c
}

// RoleChanged takes note of who leads a partition of __transaction_state. It does not block.
func (c *Coordinator) RoleChanged(index int32, p coordinator.Partition, leading bool, epoch int32) {
	c.run.RoleChanged(index, p, leading, epoch)
}

// Close resigns from everything and waits until nothing of the Coordinator runs.
func (c *Coordinator) Close() {
	c.out.end() // but what delivers may wait for a shard, and that for the disk until it is stopped
	c.run.Close()
	c.out.done.Wait()
}

// InitProducerID gives a producer its id (T1): one of its own, or when it is transactional that of its transactional
// id, in a new epoch (T2 to T7). r.Fresh is not looked at.
func (c *Coordinator) InitProducerID(ctx context.Context, r transaction.InitProducerIDRequest, transactional bool) (id int64, epoch int16, err error) {
	switch {
	case (r.ProducerID == -1) != (r.Epoch == -1): // T3
		return -1, -1, effect.InvalidRequest
	case !transactional:
		if id, err = c.opt.FreshID(ctx); err != nil {
			return -1, -1, err
		}
		return id, 0, nil
	}
	out := c.initProducer(ctx, r)
	return out.ProducerID, out.Epoch, asError(out.Err)
}

func (c *Coordinator) initProducer(ctx context.Context, r transaction.InitProducerIDRequest) transaction.InitProducerIDResponse {
	gone := transaction.InitProducerIDResponse{Err: effect.CoordinatorNotAvailable, ProducerID: -1, Epoch: -1}
	s := c.run.ShardOf(r.ID)
	init := func(now time.Time, state *transaction.Shard, tok effect.Token, fx *effect.Effects) {
		state.InitProducerID(now, r, tok, fx)
	}
	r.Fresh = -1
	out := coordinator.Ask(ctx, s, gone, init)
	if !out.NeedsFresh {
		return out
	}
	var err error
	if r.Fresh, err = c.opt.FreshID(ctx); err != nil {
		c.opt.Logger.Warn("no producer id for a transactional id", "err", err)
		return gone
	}
	return coordinator.Ask(ctx, s, gone, init)
}

// AddPartitions puts partitions into a producer's transaction (T11).
func (c *Coordinator) AddPartitions(ctx context.Context, p transaction.Producer, parts []transaction.Partition) effect.Error {
	gone := transaction.Response{Err: effect.CoordinatorNotAvailable}
	return coordinator.Ask(ctx, c.run.ShardOf(p.ID), gone, func(now time.Time, state *transaction.Shard, tok effect.Token, fx *effect.Effects) {
		state.AddPartitions(now, p, parts, tok, fx)
	}).Err
}

// EndTxn commits or aborts a producer's transaction: it is certain when it returns, and the markers follow (T31).
func (c *Coordinator) EndTxn(ctx context.Context, p transaction.Producer, commit bool) effect.Error {
	gone := transaction.Response{Err: effect.CoordinatorNotAvailable}
	return coordinator.Ask(ctx, c.run.ShardOf(p.ID), gone, func(now time.Time, state *transaction.Shard, tok effect.Token, fx *effect.Effects) {
		state.End(now, p, commit, tok, fx)
	}).Err
}

// DescribeTransaction tells about one transactional id.
func (c *Coordinator) DescribeTransaction(id string) (d transaction.Description) {
	c.run.ShardOf(id).Do(func(_ time.Time, state *transaction.Shard, _ *effect.Effects) { d = state.Describe(id) })
	return d
}

// ListTransactions is every transactional id of the partitions that are led here. While one of them is being loaded
// that is the answer.
func (c *Coordinator) ListTransactions() (out []transaction.Description, err effect.Error) {
	for _, s := range c.run.Led() {
		s.Do(func(_ time.Time, state *transaction.Shard, _ *effect.Effects) {
			some, e := state.List()
			if e != effect.NotCoordinator && err == effect.None {
				err = e
			}
			out = append(out, some...)
		})
	}
	if err != effect.None {
		return nil, err
	}
	return out, effect.None
}

// TransactionStates counts the transactional ids that this node coordinates, by state.
func (c *Coordinator) TransactionStates() map[transaction.State]int {
	states := map[transaction.State]int{}
	for _, s := range c.run.Led() {
		s.Do(func(_ time.Time, state *transaction.Shard, _ *effect.Effects) { state.Count(states) })
	}
	return states
}

// Verify tells whether a partition is in a producer's transaction (T12): nil, or an effect.Error; another error when
// the node that coordinates could not be asked.
func (c *Coordinator) Verify(ctx context.Context, p transaction.Producer, part transaction.Partition) error {
	switch node := c.opt.Coordinates(p.ID); {
	case node == c.opt.NodeID:
		return asError(c.verifyHere(p, part))
	case node < 0 || c.opt.Peers == nil:
		return effect.CoordinatorNotAvailable
	default:
		answer, err := c.opt.Peers.Call(ctx, uint64(node), MethodVerify, encodeVerify(p, part))
		if err != nil {
			return err
		}
		return decodeVerified(answer)
	}
}

// verifyMax is how long another node has to answer whether a group's offsets are in a transaction.
const verifyMax = 5 * time.Second

// VerifyOffsets is Verify with the errors that TxnOffsetCommit has (T22, T23).
func (c *Coordinator) VerifyOffsets(ctx context.Context, p transaction.Producer, part transaction.Partition) error {
	ctx, cancel := clock.WithTimeout(ctx, c.opt.Clock, verifyMax)
	defer cancel()
	err := c.Verify(ctx, p, part)
	switch {
	case err == nil, errors.Is(err, effect.TransactionAbortable), errors.Is(err, effect.InvalidProducerIDMapping):
		return err
	case errors.Is(err, effect.ProducerFenced):
		return effect.InvalidProducerEpoch
	}
	return effect.CoordinatorLoadInProgress // not known: the client tries again
}

func (c *Coordinator) verifyHere(p transaction.Producer, part transaction.Partition) (err effect.Error) {
	c.run.ShardOf(p.ID).Do(func(_ time.Time, state *transaction.Shard, _ *effect.Effects) { err = state.Verify(p, part) })
	return err
}

func asError(e effect.Error) error {
	if e == effect.None {
		return nil
	}
	return e
}

// Serve answers what other nodes call: the methods of this package.
func (c *Coordinator) Serve(ctx context.Context, method uint8, body []byte) ([]byte, error) {
	if method == MethodVerify {
		p, part, err := decodeVerify(body)
		if err != nil {
			return nil, err
		}
		return encodeVerified(c.verifyHere(p, part)), nil
	}
	ms, err := decodeMarkers(body)
	if err != nil {
		return nil, err
	}
	return encodeOutcomes(c.out.write(ctx, ms)), nil
}

// wait is a timer that ends with a context or a channel.
func wait(c clock.Clock, d time.Duration, stop <-chan struct{}, done *sync.WaitGroup, then func()) {
	done.Go(func() {
		over := make(chan struct{})
		t := c.AfterFunc(d, func() { close(over) })
		defer t.Stop()
		select {
		case <-over:
			then()
		case <-stop:
		}
	})
}
