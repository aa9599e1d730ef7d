package frames

import (
	"runtime/debug"

	"chronik/kafka/batch"
	"chronik/segment"
)

// Record is where a record is, and when it was; ms.
type Record struct {
	Offset    int64
	Timestamp int64
}

// MaxOf is the first record with the greatest timestamp of the batches in b,
// among those from an offset on, if it is above the timestamp least.
func MaxOf(b []byte, least, from int64) (at Record, found bool, err error) {
	defer segment.Caught(debug.SetPanicOnFault(true), "records", &err)
	for len(b) > 0 {
		h, rest, err := batch.Next(b)
		if err != nil {
			return Record{}, false, err
		}
		b = rest
		if h.MaxTimestamp() <= least {
			continue
		}
		for rec, err := range batch.Records(h, nil) {
			if err != nil {
				return Record{}, false, err
			}
			if rec.Offset >= from && rec.Timestamp > least {
				at, found, least = Record{rec.Offset, rec.Timestamp}, true, rec.Timestamp
			}
		}
	}
	return at, found, nil
}

// FirstAtOrAfter finds the first record of the batches in b with a timestamp
// of at least ts and an offset of at least from.
func FirstAtOrAfter(b []byte, ts, from int64) (at Record, found bool, err error) {
	defer segment.Caught(debug.SetPanicOnFault(true), "records", &err)
	for len(b) > 0 {
		h, rest, err := batch.Next(b)
		if err != nil {
			return Record{}, false, err
		}
		if h.MaxTimestamp() >= ts && h.LastOffset() >= from {
			off, at, ok, err := batch.FirstAtOrAfter(h, ts, from)
			if err != nil || ok {
				return Record{off, at}, ok, err
			}
		}
		b = rest
	}
	return Record{}, false, nil
}
