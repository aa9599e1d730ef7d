package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
)

// What can keep a message from being encoded: a mistake of the caller.
var (
	ErrTooLong   = errors.New("value is longer than its length field can say")
	ErrNotInThis = errors.New("field has a value that this version cannot carry")
)

// Writer appends values to a buffer of its own. The zero value is ready.
type Writer struct {
	b       []byte // all of it may be written to; what is written is b[:n]
	n       int
	cuts    []cut // where spliced slices go in, ascending
	out     net.Buffers
	spliced int // bytes in cuts
	framed  bool
	err     error
}

type cut struct {
	at   int // offset in Writer.b
	data []byte
}

// NewWriter uses buf's memory for its output.
func NewWriter(buf []byte) *Writer { return &Writer{b: buf[:cap(buf)]} }

// Reset forgets all output and keeps the memory. It drops the references to spliced slices.
func (w *Writer) Reset() {
	clear(w.cuts)
	clear(w.out)
	w.n, w.cuts, w.out, w.spliced, w.framed, w.err = 0, w.cuts[:0], w.out[:0], 0, false, nil
}

// BeginFrame resets the writer and reserves the int32 size that opens a frame; Buffers and
// Bytes fill it in.
func (w *Writer) BeginFrame() {
	w.Reset()
	w.Int32(0)
	w.framed = true
}

// Err is the first error of encoding, or nil. The output is not to be sent if there is one.
func (w *Writer) Err() error { return w.err }

// Fail records err unless there is an earlier one. field names what could not be written.
func (w *Writer) Fail(field string, err error) {
	if w.err == nil {
		w.err = fmt.Errorf("wire: cannot encode %s: %w", field, err)
	}
}

// Len is the number of bytes written, spliced ones included.
func (w *Writer) Len() int { return w.n + w.spliced }

// Buffers is the output in order: own bytes and spliced slices by turns. It is valid until
// the next Reset or BeginFrame; net.Buffers.WriteTo may consume it.
func (w *Writer) Buffers() net.Buffers {
	w.patchSize()
	w.out = w.out[:0]
	from := 0
	for _, c := range w.cuts {
		if c.at > from {
			w.out = append(w.out, w.b[from:c.at])
			from = c.at
		}
		w.out = append(w.out, c.data)
	}
	if from < w.n {
		w.out = append(w.out, w.b[from:w.n])
	}
	return w.out
}

// Bytes is the output in one piece. Without spliced slices it aliases the writer's buffer
// until the next Reset; otherwise it is a copy.
func (w *Writer) Bytes() []byte {
	w.patchSize()
	if len(w.cuts) == 0 {
		return w.b[:w.n:w.n]
	}
	flat := make([]byte, 0, w.Len())
	for _, b := range w.Buffers() {
		flat = append(flat, b...)
	}
	return flat
}

func (w *Writer) patchSize() {
	if !w.framed {
		return
	}
	n := w.Len() - 4
	if n > math.MaxInt32 {
		w.Fail("frame", ErrTooLong)
		n = 0
	}
	binary.BigEndian.PutUint32(w.b, uint32(n))
}

// Splice puts slices into the output as they are, without a length. They are not copied and
// must stay valid and unchanged until the output has been used.
func (w *Writer) Splice(slices [][]byte) { w.spliceAt(w.n, slices) }

func (w *Writer) spliceAt(at int, slices [][]byte) {
	for _, s := range slices {
		if len(s) > 0 {
			w.cuts = append(w.cuts, cut{at, s})
			w.spliced += len(s)
		}
	}
}

// Raw appends b as it is.
func (w *Writer) Raw(b []byte) { copy(w.Next(len(b)), b) }

// Bool appends 0 or 1.
func (w *Writer) Bool(v bool) {
	if v {
		w.Int8(1)
	} else {
		w.Int8(0)
	}
}

// Next appends n bytes for the caller to fill in, at once, with values of fixed size.
func (w *Writer) Next(n int) []byte {
	w.Room(w.n, n)
	b := w.b[w.n : w.n+n]
	w.n += n
	return b
}

// grow makes room for at least size bytes. It is rare: the memory is kept.
//
//go:noinline
func (w *Writer) grow(size int) {
	b := make([]byte, max(size, 2*len(w.b), 512))
	copy(b, w.b) // all of it: generated code writes ahead of n
	w.b = b
}

// Int8 appends one byte.
func (w *Writer) Int8(v int8) { w.Next(1)[0] = byte(v) }

// Int16 appends two bytes.
func (w *Writer) Int16(v int16) { binary.BigEndian.PutUint16(w.Next(2), uint16(v)) }

// Uint16 appends two bytes.
func (w *Writer) Uint16(v uint16) { binary.BigEndian.PutUint16(w.Next(2), v) }

// Int32 appends four bytes.
func (w *Writer) Int32(v int32) { binary.BigEndian.PutUint32(w.Next(4), uint32(v)) }

// Uint32 appends four bytes.
func (w *Writer) Uint32(v uint32) { binary.BigEndian.PutUint32(w.Next(4), v) }

// Int64 appends eight bytes.
func (w *Writer) Int64(v int64) { binary.BigEndian.PutUint64(w.Next(8), uint64(v)) }

// Float64 appends eight bytes, IEEE 754.
func (w *Writer) Float64(v float64) { w.Int64(int64(math.Float64bits(v))) }

// UUID appends sixteen bytes.
func (w *Writer) UUID(v UUID) { copy(w.Next(16), v[:]) }

// Uvarint appends an unsigned base-128 number.
func (w *Writer) Uvarint(v uint32) {
	if v < 0x80 {
		w.Next(1)[0] = byte(v)
	} else {
		w.uvarintSlow(uint64(v))
	}
}

func (w *Writer) uvarintSlow(v uint64) {
	var b [binary.MaxVarintLen64]byte
	w.Raw(b[:binary.PutUvarint(b[:], v)])
}

// Varint appends a zigzag number of 32 bits.
func (w *Writer) Varint(v int32) { w.Varlong(int64(v)) }

// Varlong appends a zigzag number of 64 bits.
func (w *Writer) Varlong(v int64) { w.uvarintSlow(uint64(v)<<1 ^ uint64(v>>63)) }

// String appends a string that is not null. More than 32767 bytes are ErrTooLong.
func (w *Writer) String(s string, flex bool) {
	if len(s) > StringBytesMax {
		w.Fail("string", ErrTooLong)
		s = ""
	}
	w.n = PutString(w.Room(w.n, StringRoom+len(s)), w.n, s, flex)
}

// NullString appends s. A null is written as "" when null is false: the version has no null.
func (w *Writer) NullString(s NullString, flex, null bool) {
	if s.Valid {
		w.String(s.String, flex)
	} else {
		w.n = PutNoString(w.Room(w.n, StringRoom), w.n, flex, null)
	}
}

// BytesValue appends b with its length; nil is empty.
func (w *Writer) BytesValue(b []byte, flex bool) { w.NullBytes(b, flex, false) }

// NullBytes appends b; nil is null, or empty when null is false.
func (w *Writer) NullBytes(b []byte, flex, null bool) {
	w.Commit(PutBytes(w.Room(w.n, CountRoom+len(b)), w.n, b, flex, null))
}

// Records splices v behind its length; nil is null, or empty when null is false.
func (w *Writer) Records(v Records, flex, null bool) { w.n = w.PutRecords(w.n, v, flex, null) }

// ArrayLen appends the count of an array; -1 is null.
func (w *Writer) ArrayLen(n int, flex bool) {
	if n > math.MaxInt32 {
		w.Fail("array", ErrTooLong)
	}
	w.n = PutCount(w.Room(w.n, CountRoom), w.n, n, flex)
}

// NullArrayLen appends the count of an array, which is null if isNil and null are true.
func (w *Writer) NullArrayLen(n int, isNil, flex, null bool) {
	if isNil && null {
		n = -1
	}
	w.ArrayLen(n, flex)
}

// Int32s appends an array of int32; nil is null, or empty when null is false.
func (w *Writer) Int32s(v []int32, flex, null bool) {
	w.NullArrayLen(len(v), v == nil, flex, null)
	w.Commit(PutInt32s(w.Room(w.n, 4*len(v)), w.n, v))
}

// NoTags appends an empty tag section.
func (w *Writer) NoTags() { w.Int8(0) }

// BeginTag opens a tagged field; EndTag, given the result, puts the size of what was
// written since in front of it. Nothing may be spliced in between.
func (w *Writer) BeginTag(tag uint32) (start int) {
	w.Uvarint(tag)
	return w.n
}

// EndTag closes a tagged field.
func (w *Writer) EndTag(start int) { w.n = w.PutEndTag(start, w.n) }
