package partition

import (
	"errors"
	"fmt"
	"runtime/debug"

	"chronik/kafka/batch"
	"chronik/segment"
	"chronik/wal"
)

// Read says what to read.
type Read struct {
	Offset       int64
	BytesMax     int   // soft: whole batches only
	AtLeastOne   bool  // the first batch comes even when it exceeds BytesMax (F3)
	Uncommitted  bool  // up to the log end (followers, debugging), not the high watermark
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
	LogStart      int64
	Diverging     bool // F12; Records is empty
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
// frames is scratch that is handed back for reuse.
func (p *Partition) Read(q Read, frames []segment.Entry) (ReadResult, []segment.Entry, error) {
	r, written, err := p.begin(q)
	if err != nil || r.Diverging {
		return r, frames, err
	}
	upTo := r.HighWatermark
	if q.Uncommitted {
		upTo = written
	}
	if q.Offset >= upTo || (q.BytesMax <= 0 && !q.AtLeastOne) {
		return r, frames, nil
	}
	frames, ref, err := p.log.Read(segment.Offset(q.Offset), segment.Offset(upTo), max(q.BytesMax, 1), frames[:0])
	if err != nil {
		if errors.Is(err, wal.ErrOffsetOutOfRange) { // trimmed meanwhile
			err = fmt.Errorf("%w: %w", ErrOutOfRange, err)
		} else {
			err = p.readFailed(err)
		}
		return r, frames, err
	}
	r.ref = ref
	if err := r.gather(frames, q); err != nil {
		r.Release()
		return r, frames, p.readFailed(err)
	}
	if len(r.Records) == 0 {
		r.Release()
	}
	return r, frames, nil
}

// begin checks a read against what the replica has, and says where that ends. A
// follower's ends where it knows it to be committed: the rest may be replaced,
// and what is behind may be on its way.
func (p *Partition) begin(q Read) (r ReadResult, end int64, err error) {
	p.mu.Lock()
	leading, newest, end := p.leading, p.epoch, p.written
	err = p.checkReadLocked(q)
	r = ReadResult{HighWatermark: p.committed, LogStart: p.LogStart()}
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
	epoch, at := p.epochEnd(q.LastEpoch, newest, end)
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

// gather cuts the frames to whole batches within the limits of q. Only the
// first frame and one that does not fit whole are walked.
func (r *ReadResult) gather(frames []segment.Entry, q Read) (err error) {
	defer segment.Caught(debug.SetPanicOnFault(true), "batch headers", &err)
	for i := range frames {
		b := frames[i].Payload
		if i == 0 {
			skip, err := batchAt(b, q.Offset)
			if err != nil {
				return fmt.Errorf("frame %d: %w", frames[i].Index, err)
			}
			b = b[skip:]
		}
		room := q.BytesMax - r.Bytes
		if len(b) > room {
			n, err := wholeBatches(b, room, q.AtLeastOne && r.Bytes == 0)
			if err != nil {
				return fmt.Errorf("frame %d: %w", frames[i].Index, err)
			}
			b = b[:n]
		}
		if len(b) == 0 {
			return nil
		}
		r.Records = append(r.Records, b)
		r.Bytes += len(b)
		if r.Bytes >= q.BytesMax {
			return nil
		}
	}
	return nil
}

// batchAt is the position in b of the batch that holds the offset, or of the
// first one behind it.
func batchAt(b []byte, offset int64) (int, error) {
	for at := 0; at < len(b); {
		h, _, err := batch.Next(b[at:])
		if err != nil {
			return 0, err
		}
		if h.BaseOffset()+int64(h.LastOffsetDelta()) >= offset {
			return at, nil
		}
		at += len(h)
	}
	return len(b), nil
}

// wholeBatches is the length of the leading batches of b that fit into room;
// with atLeastOne the first counts whatever its size.
func wholeBatches(b []byte, room int, atLeastOne bool) (int, error) {
	at := 0
	for at < len(b) {
		h, _, err := batch.Next(b[at:])
		if err != nil {
			return 0, err
		}
		if at+len(h) > room && !(at == 0 && atLeastOne) {
			break
		}
		at += len(h)
	}
	return at, nil
}
