package partition

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
