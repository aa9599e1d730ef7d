package frames

import (
	"fmt"
	"math"

	"chronik/kafka/batch"
	"chronik/segment"
)

// At is the position in b of the batch that holds the offset, or of the first
// one behind it.
func At(b []byte, offset int64) (int, error) {
	for at := 0; at < len(b); {
		h, _, err := batch.Next(b[at:])
		if err != nil {
			return 0, err
		}
		if h.LastOffset() >= offset {
			return at, nil
		}
		at += len(h)
	}
	return len(b), nil
}

// Cut is the leading batches of b that begin below upTo and fit into room, and
// the offset behind them, -1 when there are none; with atLeastOne the first
// counts whatever its size.
func Cut(b []byte, room int, atLeastOne bool, upTo int64) (whole []byte, next int64, err error) {
	at, next := 0, int64(-1)
	for at < len(b) {
		h, _, err := batch.Next(b[at:])
		if err != nil {
			return nil, -1, err
		}
		if h.BaseOffset() >= upTo || at+len(h) > room && !(at == 0 && atLeastOne) {
			break
		}
		at, next = at+len(h), h.NextOffset()
	}
	return b[:at], next, nil
}

// Describe is what a frame header says of its payload, if that is batches or a
// log start.
func Describe(payload []byte) (base segment.Offset, count uint32, maxTimestamp int64, err error) {
	if IsStart(payload) {
		return 0, 0, -1, nil
	}
	maxTimestamp = -1
	next := int64(0)
	for rest := payload; len(rest) > 0; {
		h, tail, err := batch.Next(rest)
		if err != nil {
			return 0, 0, 0, err
		}
		if len(rest) == len(payload) {
			base, next = segment.Offset(h.BaseOffset()), h.BaseOffset()
		}
		if h.BaseOffset() < next {
			return 0, 0, 0, fmt.Errorf("offset %d comes again", h.BaseOffset())
		}
		next = h.NextOffset()
		maxTimestamp = max(maxTimestamp, h.MaxTimestamp())
		rest = tail
	}
	if next-int64(base) > math.MaxUint32 {
		return 0, 0, 0, fmt.Errorf("it spans %d offsets", next-int64(base))
	}
	return base, uint32(next - int64(base)), maxTimestamp, nil
}
