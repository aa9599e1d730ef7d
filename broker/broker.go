package broker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"chronik/broker/acks"
	"chronik/broker/cluster"
	"chronik/broker/config"
	"chronik/broker/coordinator"
	"chronik/broker/follow"
	"chronik/broker/lag"
	"chronik/broker/leaders"
	"chronik/broker/local"
	"chronik/broker/metadata"
	"chronik/broker/partition"
	"chronik/broker/producerid"
	"chronik/broker/replica"
	"chronik/broker/settings"
	"chronik/broker/transactions"
)

// Broker is one node's part of the cluster.
type Broker struct {
	*coordinator.Host         // JoinGroup, CommitOffsets and the other calls of groups
	*transactions.Coordinator // AddPartitions, EndTxn and the other calls of transactions

	opt  Options
	meta *metadata.Member
	conf atomic.Pointer[config.BrokerConfig]

	local   *local.Set       // this node's partitions
	watch   *replica.Tracker // of those that it leads
	leaders *leaders.Leaders
	lag     *lag.Lag
	follow  follow.Policy
	up      atomic.Bool // Start is through

	alterMu sync.Mutex // serialises config changes
	randMu  sync.Mutex
	ids     *producerid.IDs

	stop context.CancelFunc
	ctx  context.Context // ends when the broker closes
	done sync.WaitGroup
}

// New opens the metadata, and waits for nothing and nobody: Start does. What
// other nodes ask of Serve is answered from now on.
func New(o Options) (*Broker, error) {
	o.setDefaults()
	b := &Broker{opt: o, follow: follow.Policy{
		Reads: o.FollowerReads, Timeout: o.ReadIndexTimeout, NodeID: o.NodeID, Rack: o.Rack, Clock: o.Clock,
	}}
	b.ctx, b.stop = context.WithCancel(context.Background())
	if err := b.refreshSettings(cluster.New()); err != nil {
		return nil, err
	}
	b.Host = b.newCoordinator()
	b.Coordinator = b.newTransactions()
	b.ids = &producerid.IDs{Reserve: b.reserveIDs}
	b.local = b.newLocal()
	b.watch = b.newTracker()
	b.leaders, b.lag = b.newLeaders()
	meta, err := metadata.Open(metadata.Options{
		Self: cluster.Broker{ID: o.NodeID, Host: o.Host, Port: o.Port, Rack: o.Rack, RaftAddr: o.RaftAddr, Dir: o.Directory},
		Dir:  b.metadataDir(), FS: o.FS, Syncer: o.Syncer, Raft: o.Raft, Clock: o.Clock, Rand: b.newRand(), Logger: o.Logger,
		Peers: o.Peers, StaticPeers: o.StaticPeers, Voters: o.Voters, Learner: o.Learner, Gone: o.Gone,
	})
	if err != nil {
		b.stop()
		return nil, err
	}
	b.meta = meta
	return b, nil
}

// Start joins the cluster and opens every partition of this node. On one node
// that is all there is, all of them have their leaders when it returns; in a
// cluster that depends on others.
//
// After an error the broker is to be closed.
func (b *Broker) Start(ctx context.Context) error {
	b.meta.Start()
	if err := b.meta.Await(ctx); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	if err := b.meta.Register(ctx); err != nil {
		return fmt.Errorf("register with the cluster: %w", err)
	}
	if err := b.removeOrphans(); err != nil {
		return err
	}
	b.done.Go(func() { b.watch.Run(b.ctx) })
	full := b.reconcile(true)
	b.done.Go(func() { b.reconcileLoop(full) })
	b.done.Go(b.housekeeping)
	if b.opt.Peers == nil {
		if err := b.awaitLeaders(ctx); err != nil {
			return err
		}
	}
	b.up.Store(true)
	return nil
}

// Open is New and Start.
func Open(ctx context.Context, o Options) (*Broker, error) {
	b, err := New(o)
	if err != nil {
		return nil, err
	}
	if err := b.Start(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Broker) metadataDir() string { return filepath.Join(b.opt.DataDir, "metadata") }

// propose has a change of the metadata carried out, and returns its result
// and the metadata version that includes it.
func (b *Broker) propose(ctx context.Context, c cluster.Command) (cluster.Result, uint64, error) {
	res, version, err := b.meta.Propose(ctx, c)
	return res, version, fromBelow(err)
}

// Close stops the background work, closes every partition and the metadata.
// Requests that wait are answered with an error. The caller has stopped
// accepting new ones.
func (b *Broker) Close() error {
	b.stop()
	b.done.Wait()
	b.lag.Close()
	b.Coordinator.Close()
	b.Host.Close()
	return errors.Join(b.local.Close(), b.meta.Close())
}

// Settings are the broker's effective settings. The value is never changed.
func (b *Broker) Settings() *config.BrokerConfig { return b.conf.Load() }

// ClusterID is the cluster's id, 22 characters (M9).
func (b *Broker) ClusterID() (id string) {
	b.meta.View(func(s *cluster.State) { id = s.ClusterID() })
	return id
}

// lookup finds a partition of this node, and completes tp with the topic's
// name and id.
func (b *Broker) lookup(tp *TopicPartition, byID bool) (*local.Topic, *partition.Partition, error) {
	t, p, err := b.local.Lookup(tp.Topic, tp.TopicID, byID, tp.Partition)
	if t != nil {
		tp.Topic, tp.TopicID = t.Name, t.ID
	}
	if err == nil {
		return t, p, nil
	}
	if errors.Is(err, local.ErrUnknown) || errors.Is(err, local.ErrUnknownID) {
		known := b.topic(TopicRef{Name: tp.Topic, ID: tp.TopicID, ByID: byID})
		if known != nil && tp.Partition >= 0 && int(tp.Partition) < len(known.Partitions) {
			return nil, nil, fmt.Errorf("%w: it has just been created", ErrNotLeader)
		}
	}
	return t, nil, fromBelow(err)
}

// fromBelow turns the errors of the packages below into the broker's.
func fromBelow(err error) error {
	for _, m := range errorsBelow {
		if errors.Is(err, m.from) {
			return fmt.Errorf("%w: %w", m.to, err)
		}
	}
	return err
}

var errorsBelow = []struct{ from, to error }{
	{partition.ErrNotLeader, ErrNotLeader},
	{partition.ErrClosed, ErrNotLeader},
	{partition.ErrOutOfRange, ErrOffsetOutOfRange},
	{partition.ErrOffsetNotAvailable, ErrOffsetNotAvailable},
	{partition.ErrNotEnoughReplicas, ErrNotEnoughReplicas},
	{partition.ErrNotEnoughReplicasAfterAppend, ErrNotEnoughReplicasAfterAppend},
	{context.DeadlineExceeded, ErrRequestTimedOut},
	{context.Canceled, ErrRequestTimedOut},
	{partition.ErrFencedEpoch, ErrFencedLeaderEpoch},
	{partition.ErrUnknownEpoch, ErrUnknownLeaderEpoch},
	{partition.ErrOutOfOrderSequence, ErrOutOfOrderSequence},
	{partition.ErrInvalidProducerEpoch, ErrInvalidProducerEpoch},
	{partition.ErrInvalidTxnState, ErrInvalidTxnState},
	{partition.ErrNotInTransaction, ErrTransactionAbortable},
	{partition.ErrProducerIDMapping, ErrInvalidProducerIDMapping},
	{partition.ErrUnverified, ErrNotEnoughReplicas}, // T40: retriable
	{partition.ErrTooManyOpen, ErrNotEnoughReplicas},
	{partition.ErrFencedCoordinator, ErrTransactionCoordinatorFenced},
	{partition.ErrStorage, ErrStorage},
	{acks.ErrTimeout, ErrRequestTimedOut},
	{leaders.ErrUnknown, ErrUnknownTopicOrPartition},
	{leaders.ErrNotNeeded, ErrElectionNotNeeded},
	{leaders.ErrNotAvailable, ErrPreferredLeaderNotAvailable},
	{local.ErrUnknown, ErrUnknownTopicOrPartition},
	{local.ErrUnknownID, ErrUnknownTopicID},
	{local.ErrElsewhere, ErrNotLeader},
	{local.ErrOpening, ErrNotLeader},
	{local.ErrFailed, ErrStorage},
	{metadata.ErrNotInCluster, ErrLeaderNotAvailable},
	{metadata.ErrNotLeader, ErrLeaderNotAvailable},
	{metadata.ErrTimeout, ErrRequestTimedOut},
	{metadata.ErrClosed, ErrShuttingDown},
	{metadata.ErrStorage, ErrStorage},
	{cluster.ErrTopicExists, ErrTopicExists},
	{cluster.ErrTooManyPartitions, ErrPolicyViolation},
	{cluster.ErrTooLarge, ErrPolicyViolation},
	{cluster.ErrTopicCollides, ErrInvalidTopic},
	{cluster.ErrUnknownTopic, ErrUnknownTopicOrPartition},
	{cluster.ErrPartitions, ErrInvalidPartitions},
	{cluster.ErrInvalidTopicName, ErrInvalidTopic},
	{cluster.ErrReplicationFactor, ErrInvalidReplicationFactor},
	{cluster.ErrPartitionCount, ErrInvalidPartitions},
	{cluster.ErrAssignment, ErrInvalidReplicaAssignment},
	{settings.ErrResource, ErrInvalidRequest},
}
