package partition

import (
	"errors"
	"fmt"
	"runtime/debug"

	"chronik/broker/partition/frames"
	"chronik/segment"
	"chronik/wal"
)

// Read says what to read.
type Read struct {
	Offset       int64
	BytesMax     int  // soft: whole batches only
	AtLeastOne   bool // the first batch comes even when it exceeds BytesMax (F3)
	Isolation    Isolation
	Follower     bool  // a replica that does not lead may serve it, up to its own high watermark
	CurrentEpoch int32 // -1 not checked
	LastEpoch    int32 // last fetched epoch, -1 none (F12)
}

// ReadResult is what a read found. The offsets are set even with an error, as
// far as they are known.
type ReadResult struct {
	Records       [][]byte // whole batches, aliasing mapped segments until Release
	Bytes         int
	HighWatermark int64
	LastStable    int64 // -1: not known for now
	LogStart      int64
	Aborted       []Aborted // of the records, if they were read as ReadCommitted; by First (F9)
	Diverging     bool      // F12; Records is empty
	DivergeEpoch  int32
	DivergeEnd    int64
	ref           *wal.Ref
}

// Release gives up the records. It must be called exactly once for a result
// with records; calling it for one without does nothing.
func (r *ReadResult) Release() {
	if r.ref != nil {
		r.ref.Release()
		r.ref, r.Records = nil, nil
	}
}

// Read returns batches from the one that holds the offset on (F1 to F5).
// scratch is handed back for reuse.
func (p *Partition) Read(q Read, scratch []segment.Entry) (ReadResult, []segment.Entry, error) {
	r, written, err := p.begin(q)
	if err != nil || r.Diverging {
		return r, scratch, err
	}
	upTo := r.HighWatermark
	switch q.Isolation {
	case ReadAll:
		upTo = written
	case ReadCommitted:
		if upTo = r.LastStable; upTo < 0 {
			return r, scratch, errUnstable
		}
	}
	if q.Offset >= upTo || (q.BytesMax <= 0 && !q.AtLeastOne) {
		return r, scratch, nil
	}
	scratch, ref, err := p.log.Read(segment.Offset(q.Offset), segment.Offset(upTo), max(q.BytesMax, 1), scratch[:0])
	if err != nil {
		if errors.Is(err, wal.ErrOffsetOutOfRange) { // trimmed meanwhile
			err = fmt.Errorf("%w: %w", ErrOutOfRange, err)
		} else {
			err = p.readFailed(err)
		}
		return r, scratch, err
	}
	r.ref = ref
	next, err := r.gather(scratch, q, upTo)
	if err != nil {
		r.Release()
		return r, scratch, p.readFailed(err)
	}
	if q.Isolation == ReadCommitted && len(r.Records) > 0 {
		r.Aborted, err = p.abortedIn(q.Offset, next)
	}
	if err != nil || len(r.Records) == 0 {
		r.Release()
	}
	return r, scratch, err
}

// begin checks a read against what the replica has, and says where that ends. A
// follower's ends where it knows it to be committed: the rest may be replaced,
// and what is behind may be on its way.
func (p *Partition) begin(q Read) (r ReadResult, end int64, err error) {
	p.mu.Lock()
	leading, newest, end := p.leading, p.epoch, p.written
	err = p.checkReadLocked(q)
	r = ReadResult{HighWatermark: p.committed, LastStable: p.stableLocked(), LogStart: p.LogStart()}
	p.mu.Unlock()
	beyond := ErrOutOfRange
	if !leading {
		end, beyond = r.HighWatermark, ErrOffsetNotAvailable
	}
	if err == nil && q.LastEpoch >= 0 {
		err = p.compare(q, &r, newest, end, beyond)
	}
	switch {
	case err != nil || r.Diverging:
	case q.Offset < r.LogStart:
		err = fmt.Errorf("%w: %d, log is %d to %d", ErrOutOfRange, q.Offset, r.LogStart, end)
	case q.Offset > end:
		err = fmt.Errorf("%w: %d, log is %d to %d", beyond, q.Offset, r.LogStart, end)
	}
	return r, end, err
}

// compare finds out whether the log diverged from the reader's below its offset
// (F12). A follower only says so of what is committed.
func (p *Partition) compare(q Read, r *ReadResult, newest int32, end int64, beyond error) error {
	epoch, at := frames.EpochsOf(p.log.Terms()).End(q.LastEpoch, newest, end)
	switch {
	case epoch < 0:
		return fmt.Errorf("%w: no end offset for epoch %d", beyond, q.LastEpoch)
	case epoch == q.LastEpoch && at >= q.Offset:
		return nil
	case errors.Is(beyond, ErrOffsetNotAvailable) && at >= end:
		return fmt.Errorf("%w: epoch %d is not known beyond %d", beyond, q.LastEpoch, end)
	}
	r.Diverging, r.DivergeEpoch, r.DivergeEnd = true, epoch, at
	return nil
}

// checkReadLocked is checkEpochLocked for a read that a follower may serve.
func (p *Partition) checkReadLocked(q Read) error {
	if p.leading || p.failure != nil || !q.Follower {
		return p.checkEpochLocked(q.CurrentEpoch)
	}
	return p.compareEpochLocked(q.CurrentEpoch)
}

// readFailed makes an error of the log one of the partition. The first one is
// logged, and counted if it is corruption: whoever reads there again gets the
// same.
func (p *Partition) readFailed(err error) error {
	p.readOnce.Do(func() {
		p.opt.Logger.Error("log cannot be read", "topic", p.opt.Topic, "partition", p.opt.Partition, "err", err)
		if errors.Is(err, segment.ErrCorrupt) {
			p.opt.Metrics.Storage.CorruptRange()
		}
	})
	return fmt.Errorf("%w: %w", ErrStorage, err)
}

// gather cuts the entries to whole batches below upTo and within the limits of
// q, and returns the offset behind them. Only the first entry and one that does
// not fit whole are walked.
func (r *ReadResult) gather(entries []segment.Entry, q Read, upTo int64) (next int64, err error) {
	defer segment.Caught(debug.SetPanicOnFault(true), "batch headers", &err)
	for i := range entries {
		b := entries[i].Payload
		if i == 0 {
			skip, err := frames.At(b, q.Offset)
			if err != nil {
				return 0, fmt.Errorf("frame %d: %w", entries[i].Index, err)
			}
			b = b[skip:]
		}
		end := int64(entries[i].Next())
		if room := q.BytesMax - r.Bytes; len(b) > room || end > upTo {
			if b, end, err = frames.Cut(b, room, q.AtLeastOne && r.Bytes == 0, upTo); err != nil {
				return 0, fmt.Errorf("frame %d: %w", entries[i].Index, err)
			}
		}
		if len(b) == 0 {
			return next, nil
		}
		next = end
		r.Records = append(r.Records, b)
		r.Bytes += len(b)
		if r.Bytes >= q.BytesMax {
			return next, nil
		}
	}
	return next, nil
}
