package partition

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"chronik/internal/vfs"
	"chronik/kafka/batch"
	"chronik/segment"
	"chronik/wal"
)

// Position is an offset with the timestamp and leader epoch that go with it;
// -1 where there is none.
type Position struct {
	Offset    int64
	Timestamp int64 // ms
	Epoch     int32
}

// None is the Position of nothing found.
var None = Position{-1, -1, -1}

// Latest is the offset a new consumer starts at (L1): the high watermark, or
// the log end.
func (p *Partition) Latest(currentEpoch int32, uncommitted bool) (Position, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkEpochLocked(currentEpoch); err != nil {
		return None, err
	}
	if uncommitted {
		return Position{p.written, -1, p.epoch}, nil
	}
	return Position{p.committed, -1, p.epoch}, nil
}

// Earliest is the log start (L2).
func (p *Partition) Earliest(currentEpoch int32) (Position, error) {
	p.mu.Lock()
	err := p.checkEpochLocked(currentEpoch)
	p.mu.Unlock()
	if err != nil {
		return None, err
	}
	start := int64(p.log.StartOffset())
	epoch := int32(-1)
	for _, run := range p.epochs() {
		if run.start <= start {
			epoch = run.epoch
		}
	}
	return Position{start, -1, epoch}, nil
}

// ByTimestamp is the first committed record at or after the time ts in ms
// (L5, L11).
func (p *Partition) ByTimestamp(currentEpoch int32, ts int64) (Position, error) {
	p.mu.Lock()
	err := p.checkEpochLocked(currentEpoch)
	upTo := p.committed
	p.mu.Unlock()
	if err != nil {
		return None, err
	}
	start := p.log.StartOffset()
	for from := start; int64(from) < upTo; {
		f, ref, ok, err := p.log.FindTimestamp(ts, from)
		if err != nil {
			return None, p.readFailed(err)
		}
		if !ok {
			return None, nil
		}
		pos, found, err := firstAtOrAfter(f.Payload, ts, int64(start))
		epoch := epochOf(f.Term)
		from = f.BaseOffset + segment.Offset(f.Count)
		ref.Release()
		if err != nil {
			return None, p.readFailed(err)
		}
		if found {
			if pos.Offset >= upTo {
				return None, nil
			}
			pos.Epoch = epoch
			return pos, nil
		}
	}
	return None, nil
}

// MaxTimestamp is the first record with the greatest timestamp (L3).
func (p *Partition) MaxTimestamp(currentEpoch int32) (Position, error) {
	p.mu.Lock()
	err := p.checkEpochLocked(currentEpoch)
	upTo := p.committed
	p.mu.Unlock()
	if err != nil {
		return None, err
	}
	f, ref, ok, err := p.log.LastMaxTimestamp()
	if err != nil {
		return None, p.readFailed(err)
	}
	if !ok {
		return None, nil
	}
	defer ref.Release()
	pos, found, err := firstAtOrAfter(f.Payload, f.MaxTimestamp, int64(p.log.StartOffset()))
	if err != nil {
		return None, p.readFailed(err)
	}
	if !found || pos.Offset >= upTo {
		return None, nil
	}
	pos.Epoch = epochOf(f.Term)
	return pos, nil
}

// firstAtOrAfter finds the first record of the batches in b with a timestamp
// of at least ts and an offset of at least from.
func firstAtOrAfter(b []byte, ts, from int64) (pos Position, found bool, err error) {
	defer segment.Caught(debug.SetPanicOnFault(true), "records", &err)
	for len(b) > 0 {
		h, rest, err := batch.Next(b)
		if err != nil {
			return None, false, err
		}
		if h.MaxTimestamp() >= ts && h.BaseOffset()+int64(h.LastOffsetDelta()) >= from {
			off, at, ok, err := batch.FirstAtOrAfter(h, ts, from)
			if err != nil || ok {
				return Position{Offset: off, Timestamp: at}, ok, err
			}
		}
		b = rest
	}
	return None, false, nil
}

type epochStart struct {
	epoch int32
	start int64
}

// epochs lists leader epochs with the offsets they start at, ascending. An
// epoch that wrote nothing before the next one began is left out, as Kafka's
// own cache does; the newest stays.
func (p *Partition) epochs() []epochStart {
	runs := p.log.Terms()
	out := make([]epochStart, 0, len(runs))
	for _, r := range runs {
		e := epochStart{epochOf(r.Term), int64(r.FirstOffset)}
		if n := len(out); n > 0 && out[n-1].start >= e.start {
			out = out[:n-1]
		}
		out = append(out, e)
	}
	return out
}

// EpochEnd is the largest epoch not above the one asked for and the offset
// its successor starts at (E1 to E3); (-1, -1) when there is none.
func (p *Partition) EpochEnd(currentEpoch, epoch int32) (int32, int64, error) {
	p.mu.Lock()
	err := p.checkEpochLocked(currentEpoch)
	newest, end := p.epoch, p.written
	p.mu.Unlock()
	if err != nil {
		return -1, -1, err
	}
	e, at := p.epochEnd(epoch, newest, end)
	return e, at, nil
}

// epochEnd is EpochEnd of the log as far as end, of which newest is the epoch.
func (p *Partition) epochEnd(epoch, newest int32, end int64) (int32, int64) {
	if epoch < 0 || epoch > newest {
		return -1, -1
	}
	if epoch == newest {
		return epoch, end
	}
	found := int32(-1)
	for _, e := range p.epochs() {
		if e.epoch > epoch {
			if found < 0 {
				found = epoch // E3: no epoch at or below the one asked for
			}
			return found, min(e.start, end)
		}
		found = e.epoch
	}
	return found, end
}

// DeleteRecords moves the log start to offset, -1 meaning the high watermark
// (R1), and returns the log start then in force. When ctx ends first, the log
// start may still move.
func (p *Partition) DeleteRecords(_ context.Context, offset int64) (int64, error) {
	p.mu.Lock()
	err := p.checkEpochLocked(-1)
	hw := p.committed
	p.mu.Unlock()
	if err != nil {
		return -1, err
	}
	if offset == -1 {
		offset = hw
	}
	if offset < 0 || offset > hw {
		return -1, fmt.Errorf("%w: cannot delete up to %d, high watermark is %d", ErrOutOfRange, offset, hw)
	}
	if start := int64(p.log.StartOffset()); offset <= start {
		return start, nil
	}
	if err := p.setStart(segment.Offset(offset)); err != nil {
		return -1, fmt.Errorf("%w: %w", ErrStorage, err)
	}
	return int64(p.log.StartOffset()), nil
}

func (p *Partition) setStart(offset segment.Offset) error {
	p.opt.Metrics.Raft.LogCompactions.Inc()
	return p.log.SetStart(offset)
}

// Retain drops what retention.ms and retention.bytes no longer keep, in whole
// segments, never above the high watermark. It rolls an active segment that
// has reached segment.ms or whose records have all expired; on a full disk it
// drops what it can all the same.
func (p *Partition) Retain(now time.Time) error {
	s := p.opt.Settings()
	segs := p.log.Segments()
	if len(segs) == 0 {
		return nil
	}
	var rolled error
	active := segs[len(segs)-1]
	expired := func(g wal.SegmentInfo) bool {
		return s.DeleteExpired && s.RetentionMs >= 0 && g.MaxTimestamp >= 0 && now.UnixMilli()-g.MaxTimestamp > s.RetentionMs
	}
	if active.NextOffset > active.BaseOffset &&
		(now.Sub(active.FirstAppend).Milliseconds() >= s.SegmentMs || expired(active)) {
		if rolled = p.log.Roll(); rolled != nil && !errors.Is(rolled, vfs.ErrNoSpace) {
			return rolled
		}
		segs = p.log.Segments()
	}
	p.mu.Lock()
	hw := p.committed
	p.mu.Unlock()
	total := p.log.Bytes()
	start := segment.Offset(-1)
	for _, g := range segs {
		over := s.DeleteExpired && s.RetentionBytes >= 0 && total-g.Bytes >= s.RetentionBytes
		if !g.Sealed || int64(g.NextOffset) > hw || (!expired(g) && !over) {
			break
		}
		start = g.NextOffset
		total -= g.Bytes
	}
	if start <= p.log.StartOffset() {
		return rolled
	}
	return errors.Join(rolled, p.setStart(start))
}
