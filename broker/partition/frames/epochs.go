package frames

import "chronik/segment"

// epochStart is a leader epoch and the offset it starts at.
type epochStart struct {
	epoch int32
	start int64
}

// Epoch is the leader epoch that a raft term is.
func Epoch(t segment.Term) int32 { return int32(t) - 1 }

// Epochs are leader epochs with the offsets they start at, ascending.
type Epochs []epochStart

// EpochsOf are the epochs of a log's terms. One that wrote nothing before the
// next one began is left out, as Kafka's own cache does; the newest stays.
func EpochsOf(runs []segment.TermRun) Epochs {
	out := make(Epochs, 0, len(runs))
	for _, r := range runs {
		e := epochStart{Epoch(r.Term), int64(r.FirstOffset)}
		if n := len(out); n > 0 && out[n-1].start >= e.start {
			out = out[:n-1]
		}
		out = append(out, e)
	}
	return out
}

// At is the epoch of an offset, -1 if it is before them all.
func (es Epochs) At(offset int64) int32 {
	epoch := int32(-1)
	for _, e := range es {
		if e.start <= offset {
			epoch = e.epoch
		}
	}
	return epoch
}

// End is the largest epoch not above the one asked for and the offset its
// successor starts at (E1 to E3), of a log as far as end, of which newest is the
// epoch; (-1, -1) when there is none.
func (es Epochs) End(epoch, newest int32, end int64) (int32, int64) {
	if epoch < 0 || epoch > newest {
		return -1, -1
	}
	if epoch == newest {
		return epoch, end
	}
	found := int32(-1)
	for _, e := range es {
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
