package partition

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chronik/broker/partition/txns"
	"chronik/internal/clock"
	"chronik/internal/vfs"
	"chronik/kafka/batch"
	"chronik/segment"
	"chronik/wal"
)

// Marker ends the transaction of a producer in the partition.
type Marker = txns.Marker

// Aborted is a transaction whose records readers of committed ones leave out.
type Aborted = txns.Aborted

// Producer is what the partition knows of one producer (D2).
type Producer = txns.Producer

// Errors of transactions.
var (
	// ErrFencedCoordinator refuses a marker of a coordinator that another one
	// has taken over from (T50).
	ErrFencedCoordinator = txns.ErrFencedCoordinator
	// ErrInvalidTxnState refuses a batch that is of no transaction while its
	// producer has one open.
	ErrInvalidTxnState = txns.ErrInvalidTxnState
	// ErrTooManyOpen refuses to begin another transaction.
	ErrTooManyOpen = txns.ErrTooManyOpen
	// ErrNotInTransaction is the coordinator's answer to Verify: the partition
	// was not added to the transaction (T40).
	ErrNotInTransaction = errors.New("the partition is not in the producer's transaction")
	// ErrProducerIDMapping is another one: the transactional id has another
	// producer id, or is not known.
	ErrProducerIDMapping = errors.New("the producer id is not that of the transactional id")
	// ErrUnverified says that the coordinator could not be asked, or that the
	// transaction may have ended meanwhile. Nothing was appended; trying again
	// is right.
	ErrUnverified = errors.New("the transaction could not be verified")
)

// errUnstable is what readers of committed records are told while LastStable is
// not known.
var errUnstable = fmt.Errorf("%w: nor is the last stable offset", ErrOffsetNotAvailable)

// markersWaitMax is how many markers may be on their way to the log.
const markersWaitMax = 1000

// Verify asks the transaction coordinator, unless the answer is known, whether
// the partition is in the transaction of a batch that is about to be appended:
// Append begins no transaction that was not asked for (T40). It does nothing for
// batches that begin none. A marker that is written meanwhile makes the answer
// void. It waits until the timeout or the end of ctx.
func (p *Partition) Verify(ctx context.Context, timeout time.Duration, transactionalID string, b []byte) error {
	h := batch.View(b)
	if p.opt.Verify == nil || h.ProducerID() < 0 {
		return nil
	}
	id, epoch := h.ProducerID(), h.ProducerEpoch()
	p.mu.Lock()
	_, _, begins, err := p.ledger.Check(h)
	if err != nil || !begins || !p.leading || p.permits.Has(id, epoch) {
		p.mu.Unlock()
		return nil // Append says why, if anything is wrong
	}
	asked := p.permits.Ask(id, epoch)
	p.mu.Unlock()
	ctx, cancel := clock.WithTimeout(ctx, p.opt.Clock, timeout)
	defer cancel()
	switch err = p.opt.Verify(ctx, transactionalID, id, epoch, p.opt.Topic, p.opt.Partition); {
	case errors.Is(err, ErrNotInTransaction), errors.Is(err, ErrInvalidProducerEpoch), errors.Is(err, ErrProducerIDMapping):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnverified, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	asked.Give()
	return nil
}

// beginsLocked uses up the permit of a batch that begins a transaction.
func (p *Partition) beginsLocked(h batch.View) error {
	if h.BaseSequence() < 0 { // a group coordinator's, which has asked itself
		return nil
	}
	if p.opt.Verify != nil && !p.permits.Has(h.ProducerID(), h.ProducerEpoch()) {
		return fmt.Errorf("%w: producer %d begins one here", ErrUnverified, h.ProducerID())
	}
	p.permits.Take(h.ProducerID())
	return nil
}

// AppendMarker is Append of a marker, with acks=all. It is written whether or not
// the producer has a transaction here (T51): its epochs count in any case.
func (p *Partition) AppendMarker(m Marker, requireEpoch int32, a Acker, token int) error {
	typ := batch.Abort
	if m.Commit {
		typ = batch.Commit
	}
	b := batch.AppendEndTxn(nil, typ, m.ProducerID, m.Epoch, m.CoordinatorEpoch, p.opt.Clock.Now().UnixMilli())
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkEpochLocked(requireEpoch); err != nil {
		return err
	}
	if err := p.enoughLocked(ErrNotEnoughReplicas); err != nil {
		return err
	}
	switch {
	case p.noRoom != nil:
		return p.noRoom
	case p.ledger.Txns.MarkersWaiting() >= markersWaitMax:
		return fmt.Errorf("%w: %d markers wait already", ErrNotEnoughReplicas, markersWaitMax)
	}
	if err := p.ledger.CheckMarker(m); err != nil {
		return err
	}
	p.permits.Take(m.ProducerID)
	p.acceptLocked(b, AcksAll, a, token)
	return nil
}

// waiter is the Acker of one append that somebody waits for.
type waiter chan Result

func (w waiter) Acked(_ int, r Result) { w <- r }

// WriteMarker ends a producer's transaction: it returns once the marker is
// committed as acks=all says. After an error, also that of ctx, the marker may
// be written or not; writing it again does no harm (T50).
func (p *Partition) WriteMarker(ctx context.Context, m Marker) error {
	told := make(waiter, 1)
	if err := p.AppendMarker(m, -1, told, 0); err != nil {
		return err
	}
	select {
	case r := <-told:
		return r.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// LastStable is the offset at which readers of committed records end; -1 when
// this replica does not know it for now.
func (p *Partition) LastStable() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stableLocked()
}

// stableLocked is LastStable. The log start does not wait for a transaction.
func (p *Partition) stableLocked() int64 {
	if !p.current {
		return -1
	}
	stable := p.ledger.Txns.Stable(p.committed)
	if stable < 0 {
		return -1
	}
	return max(stable, min(p.LogStart(), p.committed))
}

// Producers lists the producers that a leader knows, by id (D2).
func (p *Partition) Producers() ([]Producer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkEpochLocked(-1); err != nil {
		return nil, err
	}
	return p.ledger.Producers(), nil
}

// abortedIn lists the aborted transactions that concern [from, upTo), which has
// been read and ends at or below the last stable offset (F9).
func (p *Partition) abortedIn(from, upTo int64) ([]Aborted, error) {
	p.mu.Lock()
	found, pages := p.ledger.Txns.Find(from, upTo)
	start := p.LogStart()
	p.mu.Unlock()
	if from < start { // what was before it may be forgotten
		return nil, fmt.Errorf("%w: %d, log starts at %d by now", ErrOutOfRange, from, start)
	}
	for _, end := range pages {
		blobs, err := p.log.CheckpointsAt(segment.Offset(end))
		if err != nil {
			return nil, p.readFailed(err)
		}
		if len(blobs) == 0 { // dropped meanwhile
			return nil, fmt.Errorf("%w: the log start moves", ErrOffsetNotAvailable)
		}
		for _, b := range blobs {
			if found, err = txns.PageAborted(found, b, from, upTo); err != nil {
				return nil, p.readFailed(err)
			}
		}
	}
	txns.Sort(found)
	return found, nil
}

// sealedAt reports whether a segment that ends at an offset is sealed.
func (p *Partition) sealedAt(end int64) bool {
	for _, g := range p.log.Segments() {
		if g.Sealed && int64(g.NextOffset) == end {
			return true
		}
	}
	return false
}

// sealCrowdedLocked has the active segment sealed, beside the shard, when many
// transactions have been aborted: its checkpoint then has them, and the memory
// is free.
func (p *Partition) sealCrowdedLocked() {
	if p.sealing || p.failure != nil || !p.current || !p.ledger.Txns.Crowded() {
		return
	}
	p.sealing = true
	p.beside.Go(func() {
		err := p.log.Roll()
		if err != nil && !errors.Is(err, wal.ErrClosed) && !errors.Is(err, vfs.ErrNoSpace) {
			p.opt.Logger.Error("cannot seal a segment", "topic", p.opt.Topic, "partition", p.opt.Partition, "err", err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sealing = false
		p.ledger.Txns.TurnPage(p.LogStart(), p.sealedAt)
	})
}
