package batch

import (
	"io"
	"slices"
)

// windowBytes is the size in bytes of what is held of a decompressed stream.
const windowBytes = 64 << 10

// window is the record section of a batch while it is read: the section
// itself when it is not compressed, else a bounded stretch of what the
// decompressor has produced. Errors stick: after the first, every read gives
// zero and err says why.
//
// Invariants: 0 <= mark <= pos <= len(buf); buf is own's storage iff src is set
// (or has ended).
type window struct {
	buf  []byte    // buf[pos:] is unread
	pos  int       //
	src  io.Reader // what comes after buf; nil when nothing does
	own  []byte    // storage that refills use
	left int       // bytes of the current record not yet read
	err  *Error

	sink io.Writer // gets the bytes buf[mark:pos] before they go, when set
	mark int
	head []byte // scratch of writeHead
}

// over starts reading whole, a record section that is all there.
func (w *window) over(whole []byte) {
	*w = window{buf: whole, own: w.own, head: w.head}
}

// from starts reading what src produces. It never gives nothing without an error.
func (w *window) from(src io.Reader) {
	if cap(w.own) < windowBytes {
		w.own = make([]byte, 0, windowBytes)
	}
	*w = window{buf: w.own[:0], src: src, own: w.own, head: w.head}
}

func (w *window) fail(e *Error) {
	if w.err == nil {
		w.err = e
	}
}

// fill makes at least n unread bytes available, growing the storage beyond
// windowBytes only as bytes arrive. It reports false at the end of the stream
// (without an error) and on an error.
func (w *window) fill(n int) bool {
	for len(w.buf)-w.pos < n {
		if w.src == nil || w.err != nil || !w.makeRoom() {
			return false
		}
		got, err := w.src.Read(w.buf[len(w.buf):cap(w.buf)])
		w.buf = w.buf[:len(w.buf)+got]
		if err == io.EOF {
			w.src = nil
		} else if err != nil {
			w.fail(decompressError(err))
		}
	}
	return w.err == nil
}

// makeRoom moves the unread bytes to the front of the storage, and doubles
// that when they fill it. The bytes before them go to the sink first.
func (w *window) makeRoom() bool {
	if len(w.buf) < cap(w.buf) {
		return true
	}
	if !w.flush() {
		return false
	}
	unread := w.buf[w.pos:]
	if len(unread) == cap(w.buf) {
		w.own = slices.Grow(w.own[:0], 2*cap(w.own))[:0]
	}
	w.buf = w.own[:copy(w.own[:cap(w.own)], unread)]
	w.pos, w.mark = 0, 0
	return true
}

// flush gives the sink the bytes between mark and pos.
func (w *window) flush() bool {
	if w.sink != nil && w.mark < w.pos {
		if _, err := w.sink.Write(w.buf[w.mark:w.pos]); err != nil {
			w.fail(compressError(err))
			return false
		}
	}
	w.mark = w.pos
	return true
}

// skip passes over n bytes of the current record.
func (w *window) skip(n int) {
	if n > w.left {
		w.fail(errorf(InvalidRecord, "a field of %d bytes where the record has %d left", n, w.left))
		return
	}
	w.left -= n
	for n > len(w.buf)-w.pos {
		n -= len(w.buf) - w.pos
		w.pos = len(w.buf)
		if !w.fill(1) {
			w.fail(errTruncated())
			return
		}
	}
	w.pos += n
}

func errTruncated() *Error { return errorf(InvalidRecord, "the records end inside a record") }

// varint reads a zigzag varint of at most bytesMax bytes that is part of the
// current record.
func (w *window) varint(bytesMax int) int64 {
	if b := w.buf[w.pos:]; len(b) > 0 && b[0] < 0x80 && w.left > 0 { // by far the most frequent
		w.pos++
		w.left--
		return int64(b[0]>>1) ^ -int64(b[0]&1)
	}
	return w.varintSlow(bytesMax)
}

func (w *window) varintSlow(bytesMax int) int64 {
	if !w.fill(min(bytesMax, w.left)) && w.err != nil {
		return 0
	}
	b := w.buf[w.pos:]
	v, n := varint(b[:min(len(b), w.left)], bytesMax)
	if n <= 0 {
		if n == 0 && len(b) < w.left {
			w.fail(errTruncated())
		} else {
			w.fail(errorf(InvalidRecord, "a varint does not end in %d bytes", min(bytesMax, w.left)))
		}
		return 0
	}
	w.pos += n
	w.left -= n
	return v
}

// head is what validation needs to know of one record.
type head struct {
	timestampDelta int64
	offsetDelta    int32
	nullKey        bool
}

// record passes over one record and checks its grammar. With a sink, it
// writes the record to it with newDelta in place of its offset delta.
//
// The record: length varint, attributes int8, timestampDelta varlong, offsetDelta
// varint, key, value (length varint -1 null, bytes), headerCount varint, and per
// header a key (never null) and a value. The length must be what they take.
func (w *window) record(newDelta int32) head {
	if w.sink == nil && w.err == nil {
		if h, n := scan(w.buf[w.pos:]); n > 0 {
			w.pos += n
			return h
		}
	}
	return w.stream(newDelta)
}

// stream is record for one of any size, piece by piece.
func (w *window) stream(newDelta int32) (h head) {
	sink := w.sink
	w.sink = nil // the head is written anew: what is read of it goes nowhere, also when the window moves on
	w.left = varint32Max
	length := w.varint(varint32Max)
	if w.err == nil && length < 0 {
		w.fail(errorf(InvalidRecord, "a record length of %d", length))
	}
	w.left = int(length)
	w.skip(1)
	h.timestampDelta = w.varint(varint64Max)
	h.offsetDelta = int32(w.varint(varint32Max))
	if w.sink = sink; sink != nil && w.err == nil {
		w.writeHead(h.timestampDelta, newDelta)
	}
	keyLen := w.varint(varint32Max)
	h.nullKey = keyLen < 0
	w.nullable(keyLen)
	w.nullable(w.varint(varint32Max))
	count := w.varint(varint32Max)
	if count < 0 {
		w.fail(errorf(InvalidRecord, "a header count of %d", count))
	}
	for ; count > 0 && w.err == nil; count-- {
		n := w.varint(varint32Max)
		if n < 0 {
			w.fail(errorf(InvalidRecord, "a header key of length %d", n))
		}
		w.nullable(n)
		w.nullable(w.varint(varint32Max))
	}
	if w.err == nil && w.left != 0 {
		w.fail(errorf(InvalidRecord, "the record's length is %d bytes more than its fields", w.left))
	}
	if w.err == nil {
		w.flush()
	}
	return h
}

// nullable passes over a field of n bytes, none when n is -1.
func (w *window) nullable(n int64) {
	if n > 0 {
		w.skip(int(n))
	} else if n < -1 {
		w.fail(errorf(InvalidRecord, "a field length of %d", n))
	}
}

// writeHead gives the sink a record's start, up to and with the offset
// delta; the rest of the record follows from mark on.
func (w *window) writeHead(timestampDelta int64, offsetDelta int32) {
	rest := 1 + varintSize(timestampDelta) + varintSize(int64(offsetDelta)) + w.left
	b := append(appendVarint(w.head[:0], int64(rest)), 0) // attributes: unused
	b = appendVarint(b, timestampDelta)
	b = appendVarint(b, int64(offsetDelta))
	w.head, w.mark = b, w.pos
	if _, err := w.sink.Write(b); err != nil {
		w.fail(compressError(err))
	}
}

// end checks that nothing follows the last record, and thereby that a
// compressed stream's own checksums held.
func (w *window) end() {
	if w.err == nil && w.fill(1) {
		w.fail(errorf(InvalidRecord, "bytes follow the last record"))
	}
}
