package wire

import (
	"encoding/binary"
	"math"
)

// The Put methods are for generated code. Room makes room at a position for a number of
// values; each Put writes one there and returns the position behind it, as the Get methods of
// Reader do, and for the same reason.

// The room that values take at most, besides their content.
const (
	StringRoom = 3 // and the bytes of the string
	CountRoom  = 5 // and the bytes, or 4 bytes an int32
)

// Pos is the position of the next value.
func (w *Writer) Pos() int { return w.n }

// Commit says where the last Put ended.
func (w *Writer) Commit(at int) { w.n = at }

// Room makes room for n bytes at a position.
func (w *Writer) Room(at, n int) {
	if at+n > len(w.b) {
		w.grow(at + n)
	}
}

// At is the room of n bytes at position at, for values of fixed size.
func (w *Writer) At(at, n int) []byte { return w.b[at : at+n] }

// PutBool writes 0 or 1.
func (w *Writer) PutBool(at int, v bool) int {
	if v {
		w.b[at] = 1
	} else {
		w.b[at] = 0
	}
	return at + 1
}

// PutInt8 writes one byte.
func (w *Writer) PutInt8(at int, v int8) int {
	w.b[at] = byte(v)
	return at + 1
}

// PutInt16 writes two bytes.
func (w *Writer) PutInt16(at int, v int16) int {
	binary.BigEndian.PutUint16(w.b[at:at+2], uint16(v))
	return at + 2
}

// PutUint16 writes two bytes.
func (w *Writer) PutUint16(at int, v uint16) int { return w.PutInt16(at, int16(v)) }

// PutInt32 writes four bytes.
func (w *Writer) PutInt32(at int, v int32) int {
	binary.BigEndian.PutUint32(w.b[at:at+4], uint32(v))
	return at + 4
}

// PutUint32 writes four bytes.
func (w *Writer) PutUint32(at int, v uint32) int { return w.PutInt32(at, int32(v)) }

// PutInt64 writes eight bytes.
func (w *Writer) PutInt64(at int, v int64) int {
	binary.BigEndian.PutUint64(w.b[at:at+8], uint64(v))
	return at + 8
}

// PutFloat64 writes eight bytes.
func (w *Writer) PutFloat64(at int, v float64) int {
	return w.PutInt64(at, int64(math.Float64bits(v)))
}

// PutUUID writes sixteen bytes.
func (w *Writer) PutUUID(at int, v *UUID) int {
	copy(w.b[at:at+16], v[:])
	return at + 16
}

// PutUvarint writes an unsigned base-128 number.
func (w *Writer) PutUvarint(at int, v uint32) int {
	if v < 0x80 {
		w.b[at] = byte(v)
		return at + 1
	}
	return at + binary.PutUvarint(w.b[at:at+CountRoom], uint64(v))
}

// PutCount writes the length of bytes or of an array; -1 is null.
func (w *Writer) PutCount(at, n int, flex bool) int {
	if flex && n < 0x7f {
		w.b[at] = byte(n + 1)
		return at + 1
	}
	return w.putCountSlow(at, n, flex)
}

func (w *Writer) putCountSlow(at, n int, flex bool) int {
	if n >= math.MaxInt32 {
		w.Fail("length", ErrTooLong)
		n = 0
	}
	if flex {
		return w.PutUvarint(at, uint32(n+1))
	}
	return w.PutInt32(at, int32(n))
}

// PutNullCount is PutCount; the count is -1 if isNil and null are true.
func (w *Writer) PutNullCount(at, n int, isNil, flex, null bool) int {
	if isNil && null {
		n = -1
	}
	return w.PutCount(at, n, flex)
}

// PutString writes a string that is not null. More than 32767 bytes are ErrTooLong.
func (w *Writer) PutString(at int, s string, flex bool) int {
	if flex && len(s) < 0x7f {
		w.b[at] = byte(len(s) + 1)
		at++
	} else {
		if len(s) > math.MaxInt16 {
			w.Fail("string", ErrTooLong)
			s = ""
		}
		if flex {
			at = w.PutUvarint(at, uint32(len(s)+1))
		} else {
			at = w.PutInt16(at, int16(len(s)))
		}
	}
	return at + copy(w.b[at:], s)
}

// PutNullString writes s. A null is written as "" when null is false: the version has none.
func (w *Writer) PutNullString(at int, s *NullString, flex, null bool) int {
	switch {
	case s.Valid:
		return w.PutString(at, s.String, flex)
	case !null:
		return w.PutString(at, "", flex)
	case flex:
		return w.PutInt8(at, 0)
	default:
		return w.PutInt16(at, -1)
	}
}

// PutBytes writes b with its length; nil is null, or empty when null is false.
func (w *Writer) PutBytes(at int, b []byte, flex, null bool) int {
	at = w.PutNullCount(at, len(b), b == nil, flex, null)
	return at + copy(w.b[at:], b)
}

// PutInt32s writes an array; nil is null, or empty when null is false.
func (w *Writer) PutInt32s(at int, v []int32, flex, null bool) int {
	b := w.b
	if flex && len(v) < 0x7f && (v != nil || !null) {
		b[at] = byte(len(v) + 1)
		at++
	} else {
		at = w.PutNullCount(at, len(v), v == nil, flex, null)
	}
	for _, x := range v {
		binary.BigEndian.PutUint32(b[at:at+4:at+4], uint32(x))
		at += 4
	}
	return at
}

// PutRecords splices v behind its length, for which it makes room; nil is null, or empty
// when null is false.
func (w *Writer) PutRecords(at int, v Records, flex, null bool) int {
	w.Room(at, CountRoom)
	at = w.PutNullCount(at, v.Size(), v == nil, flex, null)
	w.spliceAt(at, v)
	return at
}

// PutPresent writes the marker in front of a struct that may be null.
func (w *Writer) PutPresent(at int, ok bool) int {
	if ok {
		return w.PutInt8(at, 1)
	}
	return w.PutInt8(at, -1)
}

// PutPresentTag is PutPresent for a struct inside of a tagged field.
func (w *Writer) PutPresentTag(at int, ok bool) int { return w.PutBool(at, ok) }

// PutEndTag ends a tagged field whose value stands from start to at: it puts the size in
// front of it, for which it makes room. Nothing may be spliced in between.
func (w *Writer) PutEndTag(start, at int) int {
	var size [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(size[:], uint64(at-start))
	w.Room(at, n)
	copy(w.b[start+n:], w.b[start:at])
	copy(w.b[start:], size[:n])
	return at + n
}
