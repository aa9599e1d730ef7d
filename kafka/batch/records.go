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
// Headers it uses again.
func decodeRecord(v View, b []byte, r *Record) *Error {
	f := fields{b: b}
	f.bytes(1) // attributes: unused
	timestampDelta := f.varint(varint64Max)
	offsetDelta := f.varint(varint32Max)
	r.Key = f.nullable()
	r.Value = f.nullable()
	count := f.varint(varint32Max)
	if count < 0 || count > int64(len(f.b)/2) { // a header takes two bytes at least
		return errorf(InvalidRecord, "%d headers where the record has %d bytes left", count, len(f.b))
	}
	r.Headers = r.Headers[:0]
	for ; count > 0; count-- {
		key := f.nullable()
		if key == nil {
			return errorf(InvalidRecord, "a header without a key")
		}
		r.Headers = append(r.Headers, Header{Key: key, Value: f.nullable()})
	}
	if f.bad || len(f.b) != 0 {
		return errorf(InvalidRecord, "the record's length is not what its fields take")
	}
	r.Offset = v.BaseOffset() + offsetDelta
	r.Timestamp = v.BaseTimestamp() + timestampDelta
	if v.Attributes().LogAppendTime() {
		r.Timestamp = v.MaxTimestamp()
	}
	return nil
}

// fields reads a record's fields from its bytes. After a bad one, all are bad.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) varint(bytesMax int) int64 {
	v, n := varint(f.b, bytesMax)
	if n <= 0 {
		f.b, f.bad = nil, true
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) bytes(n int64) []byte {
	if n < 0 || n > int64(len(f.b)) {
		f.b, f.bad = nil, true
		return nil
	}
	b := f.b[:n:n]
	f.b = f.b[n:]
	return b
}

// nullable reads a length and its bytes: nil for -1, never nil otherwise
// unless the field is bad.
func (f *fields) nullable() []byte {
	n := f.varint(varint32Max)
	if n == -1 {
		return nil
	}
	return f.bytes(n)
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
