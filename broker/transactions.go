package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chronik/broker/acks"
	"chronik/broker/coordinator"
	"chronik/broker/group"
	"chronik/broker/partition"
	"chronik/broker/transaction"
	"chronik/broker/transactions"
	"chronik/kafka/batch"
)

// checkTransactions holds a Produce request to what it may say of transactions:
// who sends transactional batches names its transactional id (P1, T42), they are
// all of one producer (P4), and versions in which the broker is to add the
// partitions to the transaction are not served (T41).
func (b *Broker) checkTransactions(r *ProduceRequest) error {
	producer := func(v batch.View) [2]int64 { return [2]int64{v.ProducerID(), int64(v.ProducerEpoch())} }
	var first batch.View
	for i := range r.Partitions {
		v, _, err := batch.Next(r.Partitions[i].Records)
		switch {
		case err != nil || !v.Attributes().Transactional():
			continue
		case r.TransactionalID == "":
			return ErrTransactionalIDMissing
		case v.ProducerID() < 0:
			return fmt.Errorf("%w: a transactional batch without a producer id", ErrInvalidProducerIDMapping)
		case first != nil && producer(v) != producer(first):
			return fmt.Errorf("%w: the batches are of more than one producer", ErrInvalidProducerIDMapping)
		case r.Version >= 12:
			return fmt.Errorf("%w: transactions of Produce %d", ErrUnsupportedVersion, r.Version)
		}
		first = v
	}
	return nil
}

// WriteTxnMarkers ends a producer's transaction in partitions that this node
// leads (T50), and returns what became of each once all are committed, or ctx
// has ended: a marker may be written then all the same, and writing it again
// does no harm.
func (b *Broker) WriteTxnMarkers(ctx context.Context, m TxnMarker) []error {
	var ms []transactions.Marker
	at, each := map[transaction.Partition]int{}, make([]int, len(m.Partitions)) // one that is named twice gets one marker
	for i, tp := range m.Partitions {
		p := transaction.Partition{Topic: tp.Topic, Index: tp.Partition}
		n, named := at[p]
		if !named {
			n = len(ms)
			at[p] = n
			ms = append(ms, transactions.Marker{
				ProducerID: m.ProducerID, Epoch: m.Epoch, CoordinatorEpoch: m.CoordinatorEpoch, Commit: m.Commit, Bumped: m.Bumped, Partition: p,
			})
		}
		each[i] = n
	}
	errs, out := b.writeMarkers(ctx, ms), make([]error, len(each))
	for i, n := range each {
		out[i] = errs[n]
	}
	return out
}

func (b *Broker) writeMarkers(ctx context.Context, ms []transactions.Marker) []error {
	out := make([]error, len(ms))
	w := acks.New(b.opt.Clock, len(ms), func(i int, r partition.Result) { out[i] = fromBelow(r.Err) })
	for i, m := range ms {
		_, p, err := b.lookup(&TopicPartition{Topic: m.Partition.Topic, Partition: m.Partition.Index}, false)
		switch {
		case err != nil:
		case m.Partition.Topic == offsetsTopic: // T52: in the order of what the group coordinator writes
			go func() { w.Acked(i, partition.Result{Err: b.endOffsets(ctx, m)}) }()
		default:
			marker := partition.Marker{ProducerID: m.ProducerID, Epoch: m.Epoch, CoordinatorEpoch: m.CoordinatorEpoch, Commit: m.Commit, Bumped: m.Bumped}
			err = p.AppendMarker(marker, -1, w, i)
		}
		if err != nil {
			w.Acked(i, partition.Result{Err: err})
		}
	}
	w.Arm(-1)
	select {
	case <-w.Done():
	case <-ctx.Done():
		for i := range out {
			w.Acked(i, partition.Result{Err: ctx.Err()})
		}
		<-w.Done()
	}
	return out
}

// endOffsets has the group coordinator write a marker to one of its partitions.
func (b *Broker) endOffsets(ctx context.Context, m transactions.Marker) error {
	err := b.EndTransaction(ctx, m.Partition.Index, group.Marker{
		Txn: group.Txn{ProducerID: m.ProducerID, Epoch: m.Epoch}, CoordinatorEpoch: m.CoordinatorEpoch, Commit: m.Commit,
	})
	if err == group.None {
		return nil
	}
	return err
}

func (b *Broker) newTransactions() *transactions.Coordinator {
	o := transactions.Options{
		NodeID: b.opt.NodeID, Clock: b.opt.Clock, Logger: b.opt.Logger,
		Limits: func() (timeoutMax, expiration time.Duration) {
			c := b.conf.Load()
			return c.TransactionTimeoutMax, c.TransactionalIDExpiration
		},
		Partitions:    func() int { return b.partitionsOf(transactionTopic) },
		BatchBytesMax: func() int { return b.batchBytesMax(transactionTopic) },
		FreshID:       func(ctx context.Context) (int64, error) { return b.ids.Next(ctx) },
		Coordinates:   func(id string) int32 { return b.coordinates(transactionTopic, id) },
		Leads: func(p transaction.Partition) (int32, bool) {
			l, ok := b.PartitionLeader(TopicPartition{Topic: p.Topic, Partition: p.Index})
			return l.ID, ok
		},
		Current: func(ctx context.Context) error { return b.meta.Await(ctx) },
		Write:   b.writeMarkers,
		Fenced: func(err error) bool {
			return errors.Is(err, partition.ErrFencedCoordinator) || errors.Is(err, partition.ErrInvalidProducerEpoch) ||
				errors.Is(err, group.TransactionCoordinatorFenced) || errors.Is(err, group.InvalidProducerEpoch)
		},
	}
	if b.opt.Peers != nil {
		o.Peers = b.opt.Peers
	}
	return transactions.New(o)
}

// verifyTransaction is the Verify of partitions (T40).
func (b *Broker) verifyTransaction(ctx context.Context, id string, producerID int64, epoch int16, topic string, index int32) error {
	err := b.Verify(ctx, transaction.Producer{ID: id, ProducerID: producerID, Epoch: epoch}, transaction.Partition{Topic: topic, Index: index})
	switch {
	case errors.Is(err, group.TransactionAbortable):
		return partition.ErrNotInTransaction
	case errors.Is(err, group.InvalidProducerIDMapping):
		return partition.ErrProducerIDMapping
	case errors.Is(err, group.ProducerFenced):
		return partition.ErrInvalidProducerEpoch
	case err != nil: // it is not the answer to the producer (T40)
		return errors.New(err.Error())
	}
	return nil
}

// OffsetsPartition is the partition of __consumer_offsets that has a group;
// false while there is none, and none can be made.
func (b *Broker) OffsetsPartition(ctx context.Context, groupID string) (transaction.Partition, bool) {
	if b.partitionsOf(offsetsTopic) == 0 { // nobody has asked for the group's coordinator, nor will before the transaction goes on
		_, _ = b.FindCoordinator(ctx, 0, groupID)
	}
	n := b.partitionsOf(offsetsTopic)
	if n == 0 {
		return transaction.Partition{}, false
	}
	return transaction.Partition{Topic: offsetsTopic, Index: coordinator.PartitionFor(groupID, n)}, true
}

// CommitTxnOffsets commits offsets in the transaction of a transactional id,
// r.Txn (T20 to T23).
func (b *Broker) CommitTxnOffsets(ctx context.Context, id string, r group.CommitOffsetsRequest) group.CommitOffsetsResponse {
	return b.CommitOffsetsInTxn(ctx, r, func(ctx context.Context) error {
		at, _ := b.OffsetsPartition(ctx, r.Group)
		return b.VerifyOffsets(ctx, transaction.Producer{ID: id, ProducerID: r.Txn.ProducerID, Epoch: r.Txn.Epoch}, at)
	})
}

// Producers lists the producers that a partition of this node knows (D2).
func (b *Broker) Producers(tp TopicPartition) ([]partition.Producer, error) {
	_, p, err := b.lookup(&tp, false)
	if err != nil {
		return nil, err
	}
	out, err := p.Producers()
	return out, fromBelow(err)
}
