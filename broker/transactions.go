package broker

import (
	"context"
	"fmt"

	"chronik/broker/acks"
	"chronik/broker/partition"
	"chronik/internal/clock"
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

// verify is partition.Verify, for as long as the request may take.
func (b *Broker) verify(ctx context.Context, r *ProduceRequest, p *partition.Partition, batch []byte) error {
	ctx, cancel := clock.WithTimeout(ctx, b.opt.Clock, r.Timeout)
	defer cancel()
	return p.Verify(ctx, r.TransactionalID, batch)
}

// WriteTxnMarkers ends a producer's transaction in partitions that this node
// leads (T50), and returns what became of each once all are committed, or ctx
// has ended: a marker may be written then all the same, and writing it again
// does no harm.
func (b *Broker) WriteTxnMarkers(ctx context.Context, m TxnMarker) []error {
	out := make([]error, len(m.Partitions))
	w := acks.New(b.opt.Clock, len(m.Partitions), func(i int, r partition.Result) { out[i] = fromBelow(r.Err) })
	for i := range m.Partitions {
		_, p, err := b.lookup(&m.Partitions[i], false)
		if err == nil {
			err = p.AppendMarker(m.Marker, -1, w, i)
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

// Producers lists the producers that a partition of this node knows (D2).
func (b *Broker) Producers(tp TopicPartition) ([]partition.Producer, error) {
	_, p, err := b.lookup(&tp, false)
	if err != nil {
		return nil, err
	}
	out, err := p.Producers()
	return out, fromBelow(err)
}
