package batch

import "iter"

// Record is one record of a batch, its offset and timestamp resolved.
type Record struct {
	Offset    int64
	Timestamp int64  // ms, -1 none; the batch's append time for LogAppendTime
	Key       []byte // nil is null
	Value     []byte // nil is null, a tombstone
	Headers   []Header
}

// Header is one header of a record. Keys may repeat; order is kept.
type Header struct {
	Key   []byte // UTF-8 by convention, not checked; never null
	Value []byte // nil is null
}

// Records iterates v's records in order. Control records are records too. The
// Record, its headers, and for a compressed batch its bytes, are valid until
// the next step. A corrupt batch ends the iteration with an error. s may be nil
// when v is not compressed; it serves one iteration at a time.
func Records(v View, s *Scratch) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		if s == nil {
			s = new(Scratch)
		}
		s.open(v)
		w := &s.win
		for count := v.Count(); count > 0; count-- {
			body := w.body()
			if w.err == nil {
				w.fail(decodeRecord(v, body, &s.record))
			}
			if w.err != nil {
				yield(nil, w.err)
				return
			}
			if !yield(&s.record, nil) {
				return
			}
		}
		if w.end(); w.err != nil {
			yield(nil, w.err)
		}
	}
}

// body reads one record's length and then holds the whole record in the
// window, growing that only as bytes arrive.
func (w *window) body() []byte {
	w.left = varint32Max
	n := int(w.varint(varint32Max))
	if w.err != nil {
		return nil
	}
	if n < 0 {
		w.fail(errorf(InvalidRecord, "a record length of %d", n))
		return nil
	}
	if !w.fill(n) {
		w.fail(errTruncated())
		return nil
	}
	b := w.buf[w.pos : w.pos+n : w.pos+n]
	w.pos += n
	return b
}

// decodeRecord decodes the bytes after a record's length into r, whose
// Headers it uses again. An at of -1 is a field that went wrong.
func decodeRecord(v View, b []byte, r *Record) *Error {
	timestampDelta, at := zigzag64(b, 1) // after the attributes, which are unused
	offsetDelta, at := zigzag32(b, at)
	r.Key, at = bytesAt(b, at)
	r.Value, at = bytesAt(b, at)
	count, at := zigzag32(b, at)
	if count < 0 {
		return errorf(InvalidRecord, "a header count of %d", count)
	}
	r.Headers = r.Headers[:0]
	for ; count > 0 && at >= 0; count-- { // Headers grows with the bytes, not with the count
		var h Header
		h.Key, at = bytesAt(b, at)
		if h.Key == nil {
			return errorf(InvalidRecord, "a header without a key")
		}
		h.Value, at = bytesAt(b, at)
		r.Headers = append(r.Headers, h)
	}
	if at != len(b) {
		return errorf(InvalidRecord, "the record's length is not what its fields take")
	}
	r.Offset = v.BaseOffset() + int64(offsetDelta)
	r.Timestamp = v.BaseTimestamp() + timestampDelta
	if v.Attributes().LogAppendTime() {
		r.Timestamp = v.MaxTimestamp()
	}
	return nil
}

// bytesAt is the nullable field at b[at:] and the position after it.
func bytesAt(b []byte, at int) ([]byte, int) {
	n, at := zigzag32(b, at)
	end := skip(b, at, n)
	if n < 0 || end < 0 {
		return nil, end
	}
	return b[at:end:end], end
}

// FirstAtOrAfter finds the first record of v at or after offset from whose
// timestamp is at least timestamp (ms). Keys and values are not held, however
// large. With v's own MaxTimestamp it finds the first record that has it.
func FirstAtOrAfter(v View, timestamp, from int64) (offset, found int64, ok bool, err error) {
	if v.MaxTimestamp() < timestamp || v.LastOffset() < from {
		return 0, 0, false, nil
	}
	s := shared.get()
	defer shared.put(s)
	s.open(v)
	w := &s.win
	for count := v.Count(); count > 0; count-- {
		h := w.record(0)
		if w.err != nil {
			return 0, 0, false, w.err
		}
		offset, found = v.BaseOffset()+int64(h.offsetDelta), v.BaseTimestamp()+h.timestampDelta
		if v.Attributes().LogAppendTime() {
			found = v.MaxTimestamp()
		}
		if offset >= from && found >= timestamp {
			return offset, found, true, nil
		}
	}
	return 0, 0, false, nil
}
