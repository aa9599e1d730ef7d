package wire

import (
	"encoding/binary"
	"math"
)

// The Put functions are for generated code. Room makes room at a position for a number of
// values and returns the whole buffer; each Put writes one value into it and returns the
// position behind it, as the Get methods of Reader do, and for the same reason: position and
// buffer stay in registers. The buffer is good until the next Room.

// StringBytesMax is what the length of a string can say, in all versions.
const StringBytesMax = math.MaxInt16

// The room that values take at most, besides their content.
const (
	StringRoom = 5 // and the bytes of the string
	CountRoom  = 5 // and the bytes, or 4 bytes an int32
)

// Pos is the position of the next value.
func (w *Writer) Pos() int { return w.n }

// Commit says where the last Put ended. It is the check of all counts: what they count takes
// at least a byte each.
func (w *Writer) Commit(at int) {
	w.n = at
	if at > math.MaxInt32 {
		w.Fail("message", ErrTooLong)
	}
}

// Room makes room for n bytes at a position and returns the buffer.
func (w *Writer) Room(at, n int) []byte {
	if at+n > len(w.b) {
		w.grow(at + n)
	}
	return w.b
}

// PutBool writes 0 or 1.
func PutBool(b []byte, at int, v bool) int {
	b[at] = 0
	if v {
		b[at] = 1
	}
	return at + 1
}

// PutInt8 writes one byte.
func PutInt8(b []byte, at int, v int8) int {
	b[at] = byte(v)
	return at + 1
}

// PutInt16 writes two bytes.
func PutInt16(b []byte, at int, v int16) int {
	binary.BigEndian.PutUint16(b[at:at+2], uint16(v))
	return at + 2
}

// PutUint16 writes two bytes.
func PutUint16(b []byte, at int, v uint16) int { return PutInt16(b, at, int16(v)) }

// PutInt32 writes four bytes.
func PutInt32(b []byte, at int, v int32) int {
	binary.BigEndian.PutUint32(b[at:at+4], uint32(v))
	return at + 4
}

// PutUint32 writes four bytes.
func PutUint32(b []byte, at int, v uint32) int { return PutInt32(b, at, int32(v)) }

// PutInt64 writes eight bytes.
func PutInt64(b []byte, at int, v int64) int {
	binary.BigEndian.PutUint64(b[at:at+8], uint64(v))
	return at + 8
}

// PutFloat64 writes eight bytes.
func PutFloat64(b []byte, at int, v float64) int {
	return PutInt64(b, at, int64(math.Float64bits(v)))
}

// PutUUID writes sixteen bytes.
func PutUUID(b []byte, at int, v *UUID) int {
	copy(b[at:at+16], v[:])
	return at + 16
}

// PutUvarint writes an unsigned base-128 number.
func PutUvarint(b []byte, at int, v uint32) int {
	for ; v >= 0x80; v >>= 7 {
		b[at] = byte(v) | 0x80
		at++
	}
	b[at] = byte(v)
	return at + 1
}

// PutCount writes the length of bytes or of an array; -1 is null.
func PutCount(b []byte, at, n int, flex bool) int {
	if flex {
		return PutUvarint(b, at, uint32(n+1))
	}
	return PutInt32(b, at, int32(n))
}

// PutNullCount is PutCount; the count is -1 if isNil and null are true.
func PutNullCount(b []byte, at, n int, isNil, flex, null bool) int {
	if isNil && null {
		n = -1
	}
	return PutCount(b, at, n, flex)
}

// PutInt32s writes the elements of an array.
func PutInt32s(b []byte, at int, v []int32) int {
	for _, x := range v {
		binary.BigEndian.PutUint32(b[at:at+4], uint32(x))
		at += 4
	}
	return at
}

// PutString writes a string that is not null. One of more than StringBytesMax is to be
// refused: what is written then is of no use.
func PutString(b []byte, at int, s string, flex bool) int {
	if flex {
		at = PutUvarint(b, at, uint32(len(s)+1))
	} else {
		at = PutInt16(b, at, int16(len(s)))
	}
	return at + copy(b[at:], s)
}

// PutNoString writes a string that is null. It is written as "" when null is false: the
// version has no null.
func PutNoString(b []byte, at int, flex, null bool) int {
	n := 0
	if null {
		n = -1
	}
	if flex {
		return PutInt8(b, at, int8(n+1))
	}
	return PutInt16(b, at, int16(n))
}

// PutBytes writes v with its length; nil is null, or empty when null is false.
func PutBytes(b []byte, at int, v []byte, flex, null bool) int {
	at = PutNullCount(b, at, len(v), v == nil, flex, null)
	return at + copy(b[at:], v)
}

// PutRecords splices v behind its length, for which it makes room; nil is null, or empty
// when null is false.
func (w *Writer) PutRecords(at int, v Records, flex, null bool) int {
	n := v.Size()
	if n >= math.MaxInt32 {
		w.Fail("records", ErrTooLong)
		n = 0
	}
	at = PutNullCount(w.Room(at, CountRoom), at, n, v == nil, flex, null)
	w.spliceAt(at, v)
	return at
}

// PutPresent writes the marker in front of a struct that may be null.
func PutPresent(b []byte, at int, ok bool) int {
	if ok {
		return PutInt8(b, at, 1)
	}
	return PutInt8(b, at, -1)
}

// PutPresentTag is PutPresent for a struct inside of a tagged field.
func PutPresentTag(b []byte, at int, ok bool) int { return PutBool(b, at, ok) }

// PutEndTag ends a tagged field whose value stands from start to at: it puts the size in
// front of it, for which it makes room. Nothing may be spliced in between.
func (w *Writer) PutEndTag(start, at int) int {
	var size [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(size[:], uint64(at-start))
	b := w.Room(at, n)
	copy(b[start+n:], b[start:at])
	copy(b[start:], size[:n])
	return at + n
}
