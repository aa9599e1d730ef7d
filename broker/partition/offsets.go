package partition

import (
	"chronik/broker/partition/frames"
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

// Isolation says how far a reader goes.
type Isolation int8

// To the high watermark, to the last stable offset, to the end of the log.
const (
	ReadUncommitted Isolation = iota
	ReadCommitted
	ReadAll // followers, debugging
)

// upTo is where readers of a leader end, if it leads in the epoch.
func (p *Partition) upTo(currentEpoch int32, i Isolation) (end int64, epoch int32, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	end = p.committed
	switch err = p.checkEpochLocked(currentEpoch); {
	case err != nil:
	case i == ReadAll:
		end = p.written
	case i == ReadCommitted:
		if end = p.stableLocked(); end < 0 {
			err = errUnstable
		}
	}
	return end, p.epoch, err
}

// Latest is the offset a new consumer starts at (L1).
func (p *Partition) Latest(currentEpoch int32, i Isolation) (Position, error) {
	end, epoch, err := p.upTo(currentEpoch, i)
	if err != nil {
		return None, err
	}
	return Position{end, -1, epoch}, nil
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
	return Position{start, -1, frames.EpochsOf(p.log.Terms()).At(start)}, nil
}

// ByTimestamp is the first record at or after the time ts in ms, as far as
// readers go (L5, L11).
func (p *Partition) ByTimestamp(currentEpoch int32, ts int64, i Isolation) (Position, error) {
	upTo, _, err := p.upTo(currentEpoch, i)
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
		at, found, err := frames.FirstAtOrAfter(f.Payload, ts, int64(start))
		epoch := epochOf(f.Term)
		from = f.BaseOffset + segment.Offset(f.Count)
		ref.Release()
		if err != nil {
			return None, p.readFailed(err)
		}
		if found {
			if at.Offset >= upTo {
				return None, nil
			}
			return Position{at.Offset, at.Timestamp, epoch}, nil
		}
	}
	return None, nil
}

// MaxTimestamp is the first record with the greatest timestamp (L3), as far as
// readers go.
func (p *Partition) MaxTimestamp(currentEpoch int32, i Isolation) (Position, error) {
	upTo, _, err := p.upTo(currentEpoch, i)
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
	at, found, err := frames.FirstAtOrAfter(f.Payload, f.MaxTimestamp, p.LogStart())
	if err != nil {
		return None, p.readFailed(err)
	}
	if !found && upTo > p.LogStart() { // it is before the log start, and not dropped yet
		return p.searchMax(p.LogStart(), upTo)
	}
	if !found || at.Offset >= upTo {
		return None, nil
	}
	return Position{at.Offset, at.Timestamp, epochOf(f.Term)}, nil
}

// searchMax is MaxTimestamp by looking at every batch from start on.
func (p *Partition) searchMax(start, upTo int64) (Position, error) {
	best := None
	var scratch []segment.Entry
	for from := start; from < upTo; {
		fs, ref, err := p.log.Read(segment.Offset(from), segment.Offset(upTo), replayBytes, scratch[:0])
		if err != nil {
			return None, p.readFailed(err)
		}
		if len(fs) == 0 {
			break
		}
		scratch = fs
		for i := range fs {
			at, found, err := frames.MaxOf(fs[i].Payload, best.Timestamp, start)
			if err != nil {
				ref.Release()
				return None, p.readFailed(err)
			}
			if found {
				best = Position{at.Offset, at.Timestamp, epochOf(fs[i].Term)}
			}
			from = int64(fs[i].Next())
		}
		ref.Release()
	}
	return best, nil
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
	e, at := frames.EpochsOf(p.log.Terms()).End(epoch, newest, end)
	return e, at, nil
}
