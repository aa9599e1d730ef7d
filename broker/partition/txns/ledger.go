package txns

import (
	"errors"
	"fmt"
	"slices"

	"chronik/broker/partition/producers"
	"chronik/kafka/batch"
)

// Errors of Check and CheckMarker.
var (
	// ErrInvalidTxnState refuses a batch that is of no transaction while its
	// producer has one open.
	ErrInvalidTxnState = errors.New("the producer has a transaction open, and this batch is not of it")
	// ErrTooManyOpen refuses to begin another transaction.
	ErrTooManyOpen = errors.New("too many transactions are open in the partition")
	// ErrFencedCoordinator refuses a marker of a coordinator that another one
	// has taken over from (T50).
	ErrFencedCoordinator = errors.New("a newer transaction coordinator has written to the partition")
)

// Ledger is the sequences and transactions of the producers in a log.
type Ledger struct {
	Sequences *producers.Table
	Txns      *Table
}

// NewLedger is the empty ledger of a log that ends at the offset written.
func NewLedger(written int64) *Ledger {
	return &Ledger{producers.New(producers.Max, written), New(producers.Max, written)}
}

// Observe records a batch that is (or is about to be) in the log. now is in ms.
func (l *Ledger) Observe(h batch.View, base, now int64) {
	l.Sequences.Observe(h, base, now)
	l.Txns.Observe(h, base, now)
}

// Settle notes the new end of the log.
func (l *Ledger) Settle(written int64) {
	l.Sequences.Settle(written)
	l.Txns.fences.settle(written)
}

// Top is the offset behind the last batch that was noted: without what the log
// lost from there on, it would be the same.
func (l *Ledger) Top() int64 { return max(l.Sequences.Top(), l.Txns.top) }

// Covers reports whether the ledger knows what is in a log that was cut at an
// offset, and has nothing of what was cut.
func (l *Ledger) Covers(cut int64) bool {
	t := l.Txns
	return cut >= l.Top() && (len(t.pages) == 0 || cut >= t.pages[len(t.pages)-1].end) && cut >= t.made.end
}

// Check decides about a batch of a producer: a duplicate returns the batch that
// it repeats. begins says that it is the first of a transaction.
func (l *Ledger) Check(h batch.View) (dup producers.Batch, isDup, begins bool, err error) {
	id, epoch := h.ProducerID(), h.ProducerEpoch()
	if f, ok := l.Txns.fences.of(id); ok && epoch < f.epoch {
		return dup, false, false, fmt.Errorf("%w: producer %d epoch %d, a marker has %d", producers.ErrInvalidProducerEpoch, id, epoch, f.epoch)
	}
	x := l.Txns.open[id]
	if x != nil && epoch != x.epoch { // a newer one is given out when the transaction has ended
		return dup, false, false, fmt.Errorf("%w: producer %d epoch %d, its transaction has %d", producers.ErrInvalidProducerEpoch, id, epoch, x.epoch)
	}
	dup, isDup, err = l.Sequences.Check(id, epoch, h.BaseSequence(), h.LastSequence())
	transactional := h.Attributes().Transactional()
	switch {
	case err != nil || isDup:
	case x != nil && !transactional:
		err = fmt.Errorf("%w: producer %d", ErrInvalidTxnState, id)
	case x == nil && transactional && len(l.Txns.open) >= OpenMax:
		err = ErrTooManyOpen
	}
	return dup, isDup, x == nil && transactional && !isDup, err
}

// CheckMarker decides whether a marker may be written (T50).
func (l *Ledger) CheckMarker(m Marker) error {
	f, ok := l.Txns.fences.of(m.ProducerID)
	if ok && m.CoordinatorEpoch < f.coordinator {
		return fmt.Errorf("%w: epoch %d, it has %d", ErrFencedCoordinator, m.CoordinatorEpoch, f.coordinator)
	}
	newest := int16(-1)
	if ok {
		newest = f.epoch
	}
	if x := l.Txns.open[m.ProducerID]; x != nil {
		newest = max(newest, x.epoch)
	}
	if epoch, ok := l.Sequences.Epoch(m.ProducerID); ok {
		newest = max(newest, epoch)
	}
	if m.Epoch < newest || m.Bumped && m.Epoch == newest && l.Txns.open[m.ProducerID] != nil {
		return fmt.Errorf("%w: a marker of producer %d epoch %d, current %d", producers.ErrInvalidProducerEpoch, m.ProducerID, m.Epoch, newest)
	}
	return nil
}

// Producer is what is known of one producer (D2).
type Producer struct {
	ID               int64
	Epoch            int16
	LastSequence     int32 // -1 none
	LastTimestamp    int64 // ms, -1 none
	CoordinatorEpoch int32 // -1 none
	TxnFirst         int64 // offset of its open transaction's first record, -1 none
}

// Producers lists what is known, by id.
func (l *Ledger) Producers() []Producer {
	all := map[int64]*Producer{}
	get := func(id int64) *Producer {
		p := all[id]
		if p == nil {
			p = &Producer{ID: id, Epoch: -1, LastSequence: -1, LastTimestamp: -1, CoordinatorEpoch: -1, TxnFirst: -1}
			all[id] = p
		}
		return p
	}
	l.Sequences.Each(func(id int64, epoch int16, last producers.Batch) {
		p := get(id)
		p.Epoch, p.LastSequence, p.LastTimestamp = epoch, last.Last, last.Timestamp
	})
	for _, f := range l.Txns.fences.asOf(l.Top()) { // those on their way too, the newest last
		p := get(f.id)
		p.Epoch, p.CoordinatorEpoch, p.LastTimestamp = max(p.Epoch, f.epoch), f.coordinator, max(p.LastTimestamp, f.seen)
	}
	for id, x := range l.Txns.open {
		p := get(id)
		p.Epoch, p.TxnFirst = max(p.Epoch, x.epoch), x.first
	}
	out := make([]Producer, 0, len(all))
	for _, p := range all {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b Producer) int { return int(min(max(a.ID-b.ID, -1), 1)) })
	return out
}

// Expire forgets producers that last wrote before a time in ms, but for those
// with a transaction (P27).
func (l *Ledger) Expire(before int64) {
	open := func(id int64) bool { return l.Txns.open[id] != nil }
	l.Sequences.Expire(before, open)
	l.Txns.fences.expire(before, open)
}
