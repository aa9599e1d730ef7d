package partition

import (
	"runtime/debug"

	"chronik/kafka/batch"
	"chronik/segment"
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
	start := p.LogStart()
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
	start := segment.Offset(p.LogStart())
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
	pos, found, err := firstAtOrAfter(f.Payload, f.MaxTimestamp, p.LogStart())
	if err != nil {
		return None, p.readFailed(err)
	}
	if !found && upTo > p.LogStart() { // it is before the log start, and not dropped yet
		return p.searchMax(p.LogStart(), upTo)
	}
	if !found || pos.Offset >= upTo {
		return None, nil
	}
	pos.Epoch = epochOf(f.Term)
	return pos, nil
}

// searchMax is MaxTimestamp by looking at every batch from start on.
func (p *Partition) searchMax(start, upTo int64) (Position, error) {
	best := None
	var frames []segment.Entry
	for from := start; from < upTo; {
		fs, ref, err := p.log.Read(segment.Offset(from), segment.Offset(upTo), replayBytes, frames[:0])
		if err != nil {
			return None, p.readFailed(err)
		}
		if len(fs) == 0 {
			break
		}
		frames = fs
		for i := range fs {
			pos, found, err := maxOf(fs[i].Payload, best.Timestamp, start)
			if err != nil {
				ref.Release()
				return None, p.readFailed(err)
			}
			if found {
				best = pos
				best.Epoch = epochOf(fs[i].Term)
			}
			from = int64(fs[i].Next())
		}
		ref.Release()
	}
	return best, nil
}

// maxOf is the first record with the greatest timestamp of the batches in b,
// among those from an offset on, if it is above the timestamp least.
func maxOf(b []byte, least, from int64) (pos Position, found bool, err error) {
	defer segment.Caught(debug.SetPanicOnFault(true), "records", &err)
	for len(b) > 0 {
		h, rest, err := batch.Next(b)
		if err != nil {
			return None, false, err
		}
		b = rest
		if h.MaxTimestamp() <= least {
			continue
		}
		for rec, err := range batch.Records(h, nil) {
			if err != nil {
				return None, false, err
			}
			if rec.Offset >= from && rec.Timestamp > least {
				pos, found, least = Position{Offset: rec.Offset, Timestamp: rec.Timestamp}, true, rec.Timestamp
			}
		}
	}
	return pos, found, nil
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
