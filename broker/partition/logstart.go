package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal"
)

// startEntry is an entry with a new log start, as found in the log.
type startEntry struct {
	index  segment.Index
	offset int64
}

// startWaiter is a DeleteRecords that waits.
type startWaiter struct {
	offset int64
	done   chan error
}

// LogStart is the first offset that can be read.
func (p *Partition) LogStart() int64 { return max(p.start.Load(), int64(p.log.StartOffset())) }

// DeleteRecords moves the log start to offset, -1 meaning the high watermark
// (R1), and returns the log start then in force. It waits until a majority of
// the replicas knows the new start. When ctx ends first, the log start may
// still move.
func (p *Partition) DeleteRecords(ctx context.Context, offset int64) (int64, error) {
	w, err := p.wantStart(offset)
	if err != nil {
		return -1, err
	}
	if w == nil {
		return p.LogStart(), nil
	}
	select {
	case err = <-w.done:
	case <-ctx.Done():
		err = ctx.Err()
		p.mu.Lock()
		p.startWaits = slices.DeleteFunc(p.startWaits, func(o *startWaiter) bool { return o == w })
		p.mu.Unlock()
	}
	if err != nil {
		return -1, err
	}
	return p.LogStart(), nil
}

// wantStart has a log start proposed; nil when it is in force already.
func (p *Partition) wantStart(offset int64) (*startWaiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkEpochLocked(-1); err != nil {
		return nil, err
	}
	if offset == -1 {
		offset = p.committed
	}
	if offset < 0 || offset > p.committed {
		return nil, fmt.Errorf("%w: cannot delete up to %d, high watermark is %d", ErrOutOfRange, offset, p.committed)
	}
	if offset <= p.LogStart() {
		return nil, nil
	}
	if p.noRoom != nil {
		return nil, p.noRoom
	}
	w := &startWaiter{offset, make(chan error, 1)}
	p.startWaits = append(p.startWaits, w)
	p.startWanted = max(p.startWanted, offset)
	if p.group != nil {
		p.group.Wake()
	}
	return w, nil
}

// failStartsLocked answers everyone who waits for a log start.
func (p *Partition) failStartsLocked(cause error) {
	for _, w := range p.startWaits {
		w.done <- cause
	}
	p.startWaits = nil
}

// startCommittedLocked puts a log start in force that the log has committed.
// What is before it cannot be read from now on; its files go by and by.
func (p *Partition) startCommittedLocked(offset int64) {
	if offset = min(offset, p.committed); offset > p.start.Load() {
		p.start.Store(offset)
		p.trimLocked()
		p.wakeLocked()
	}
	p.startWaits = slices.DeleteFunc(p.startWaits, func(w *startWaiter) bool {
		reached := w.offset <= p.LogStart()
		if reached {
			w.done <- nil
		}
		return reached
	})
}

// trimLocked has what is before the log start dropped, beside the shard.
func (p *Partition) trimLocked() {
	if p.trimming || p.failure != nil {
		p.trimAgain = true
		return
	}
	p.trimming = true
	p.beside.Go(func() {
		for {
			if err := p.trim(); err != nil && !errors.Is(err, wal.ErrClosed) && !errors.Is(err, vfs.ErrNoSpace) { // without room Retain tries again
				p.opt.Logger.Error("cannot move the log start", "topic", p.opt.Topic, "partition", p.opt.Partition, "err", err)
			}
			p.mu.Lock()
			again := p.trimAgain && p.failure == nil
			p.trimAgain, p.trimming = false, again
			p.mu.Unlock()
			if !again {
				return
			}
		}
	})
}

// trim drops what is before the log start, as far as no other replica needs it.
func (p *Partition) trim() error {
	to := segment.Offset(p.start.Load())
	if needed := p.neededFrom(); needed <= p.log.LastIndex() {
		for _, g := range p.log.Segments() {
			if g.BaseIndex <= needed && needed <= g.LastIndex {
				to = min(to, g.BaseOffset)
			}
		}
	}
	if to <= p.log.StartOffset() {
		return nil
	}
	p.opt.Metrics.Raft.LogCompactions.Inc()
	return p.log.SetStart(to)
}
