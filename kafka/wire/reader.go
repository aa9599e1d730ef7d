package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// What can be wrong with input. A *DecodeError wraps one of these.
var (
	ErrShort    = errors.New("fewer bytes than the value needs")
	ErrLength   = errors.New("length or count is negative or more than the bytes left")
	ErrNull     = errors.New("null where the protocol version allows none")
	ErrVarint   = errors.New("varint is too long")
	ErrTag      = errors.New("tagged field and its size do not match")
	ErrValue    = errors.New("value is outside of the type's range")
	ErrTrailing = errors.New("bytes are left behind the message")
	ErrVersion  = errors.New("message has no such version")
)

// DecodeError says where in the input decoding stopped, and wraps why.
type DecodeError struct {
	Offset int // bytes from the start of the input
	Err    error
}

func (e *DecodeError) Error() string { return fmt.Sprintf("wire: at byte %d: %v", e.Offset, e.Err) }

// Unwrap returns the sentinel, for errors.Is.
func (e *DecodeError) Unwrap() error { return e.Err }

// Reader takes values off the front of a frame. The zero value is an empty input.
type Reader struct {
	b   []byte // ends where reading has to: the frame's end, or that of a tagged field
	off int    // bytes of b taken; all of them after an error
	err error
}

// NewReader reads frame, which it aliases and never changes.
func NewReader(frame []byte) Reader { return Reader{b: frame} }

// Reset starts again on another frame.
func (r *Reader) Reset(frame []byte) { *r = Reader{b: frame} }

// Err is the first error, a *DecodeError, or nil.
func (r *Reader) Err() error { return r.err }

// Len is the number of bytes left; 0 after an error.
func (r *Reader) Len() int { return len(r.b) - r.off }

// Offset is the number of bytes taken so far, or where the first error was met.
func (r *Reader) Offset() int {
	if de, ok := r.err.(*DecodeError); ok {
		return de.Offset
	}
	return r.off
}

// Rest takes all bytes that are left.
func (r *Reader) Rest() []byte {
	b := r.b[r.off:len(r.b):len(r.b)]
	r.off = len(r.b)
	return b
}

// Done reports the first error, or ErrTrailing if input is left.
func (r *Reader) Done() error {
	if r.off != len(r.b) {
		r.Fail(ErrTrailing)
	}
	return r.err
}

// Fail records err unless there is an earlier one, and ends the input.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = &DecodeError{Offset: r.off, Err: err}
	}
	r.off = len(r.b)
}

// Fixed takes n bytes, n > 0, for values of fixed size that the caller picks out of them.
// It returns nil after ErrShort.
func (r *Reader) Fixed(n int) []byte {
	end := r.off + n
	if end > len(r.b) {
		r.Fail(ErrShort)
		return nil
	}
	b := r.b[r.off:end]
	r.off = end
	return b
}

// Int8 takes one byte.
func (r *Reader) Int8() int8 {
	if r.off >= len(r.b) {
		r.Fail(ErrShort)
		return 0
	}
	v := int8(r.b[r.off])
	r.off++
	return v
}

// Bool takes one byte; any value but 0 is true, as in Kafka.
func (r *Reader) Bool() bool { return r.Int8() != 0 }

// Int16 takes two bytes.
func (r *Reader) Int16() int16 { return int16(r.Uint16()) }

// Uint16 takes two bytes.
func (r *Reader) Uint16() uint16 {
	if b := r.Fixed(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// Int32 takes four bytes.
func (r *Reader) Int32() int32 { return int32(r.Uint32()) }

// Uint32 takes four bytes.
func (r *Reader) Uint32() uint32 {
	if b := r.Fixed(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Int64 takes eight bytes.
func (r *Reader) Int64() int64 {
	if b := r.Fixed(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// Float64 takes eight bytes, IEEE 754.
func (r *Reader) Float64() float64 { return math.Float64frombits(uint64(r.Int64())) }

// UUID takes sixteen bytes.
func (r *Reader) UUID() (u UUID) {
	if b := r.Fixed(16); b != nil {
		u = UUID(b)
	}
	return
}

// Uvarint takes an unsigned base-128 number of at most 32 bits.
func (r *Reader) Uvarint() uint32 {
	b := r.b[r.off:]
	if len(b) > 0 && b[0] < 0x80 {
		r.off++
		return uint32(b[0])
	}
	if len(b) > 1 && b[1] < 0x80 {
		r.off += 2
		return uint32(b[0]&0x7f) | uint32(b[1])<<7
	}
	return r.uvarintSlow(b)
}

func (r *Reader) uvarintSlow(b []byte) uint32 {
	v, n := binary.Uvarint(b)
	switch {
	case n == 0:
		r.Fail(ErrShort)
	case n < 0 || n > 5 || v > math.MaxUint32:
		r.Fail(ErrVarint)
	default:
		r.off += n
		return uint32(v)
	}
	return 0
}

// Varint takes a zigzag number of at most 32 bits.
func (r *Reader) Varint() int32 {
	v := r.Uvarint()
	return int32(v>>1) ^ -int32(v&1)
}

// Varlong takes a zigzag number of at most 64 bits.
func (r *Reader) Varlong() int64 {
	v, n := binary.Varint(r.b[r.off:])
	switch {
	case n == 0:
		r.Fail(ErrShort)
	case n < 0:
		r.Fail(ErrVarint)
	default:
		r.off += n
		return v
	}
	return 0
}

// take returns the next n bytes, or nil after ErrLength. n is not negative.
func (r *Reader) take(n int) []byte {
	end := r.off + n
	if end > len(r.b) {
		r.Fail(ErrLength)
		return nil
	}
	b := r.b[r.off:end:end]
	r.off = end
	return b
}

// count takes a length that is written as an int32, or as uvarint(n+1) when flexible.
// It is -1 for null and never below.
func (r *Reader) count(flex bool) int {
	if flex {
		return int(r.Uvarint()) - 1
	}
	n := int(r.Int32())
	if n < -1 {
		r.Fail(ErrLength)
		return 0
	}
	return n
}

// stringLen is count for strings, whose length has 16 bits when not flexible.
func (r *Reader) stringLen(flex bool) int {
	if flex {
		n := int(r.Uvarint()) - 1
		if n > math.MaxInt16 {
			r.Fail(ErrLength)
			return 0
		}
		return n
	}
	n := int(r.Int16())
	if n < -1 {
		r.Fail(ErrLength)
		return 0
	}
	return n
}

// alias makes a string of b without copying it.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// String takes a string that must not be null. It aliases the frame.
func (r *Reader) String(flex bool) string {
	n := r.stringLen(flex)
	if n < 0 {
		r.failNull()
		return ""
	}
	return alias(r.take(n))
}

// failNull fails with ErrNull unless an earlier error is the reason for the -1.
func (r *Reader) failNull() { r.Fail(ErrNull) }

// NullString takes a string that may be null if null is true. It aliases the frame.
func (r *Reader) NullString(flex, null bool) NullString {
	n := r.stringLen(flex)
	if n < 0 {
		if !null {
			r.failNull()
		}
		return NullString{}
	}
	return NullString{alias(r.take(n)), true}
}

// Bytes takes bytes that must not be null, so the result is not nil without an error.
// They alias the frame.
func (r *Reader) Bytes(flex bool) []byte { return r.NullBytes(flex, false) }

// NullBytes takes bytes that may be null if null is true; null is nil. They alias the frame.
func (r *Reader) NullBytes(flex, null bool) []byte {
	n := r.count(flex)
	if n < 0 {
		if !null {
			r.failNull()
		}
		return nil
	}
	return r.take(n)
}

// Records takes record data into dst, whose memory it reuses.
func (r *Reader) Records(dst Records, flex, null bool) Records {
	b := r.NullBytes(flex, null)
	if b == nil || r.err != nil {
		return nil
	}
	if dst == nil {
		dst = make(Records, 0, 1)
	}
	if len(b) == 0 {
		return dst[:0]
	}
	return append(dst[:0], b)
}

// ArrayLen takes the count of an array that must not be null. Each element takes at
// least elementBytesMin bytes, so a count that the bytes left cannot hold is ErrLength.
func (r *Reader) ArrayLen(flex bool, elementBytesMin int) int {
	n := r.NullArrayLen(flex, elementBytesMin, false)
	if n < 0 {
		return 0
	}
	return n
}

// NullArrayLen is ArrayLen for an array that may be null if null is true; null is -1.
func (r *Reader) NullArrayLen(flex bool, elementBytesMin int, null bool) int {
	n := r.count(flex)
	if n < 0 {
		if !null {
			r.failNull()
			return 0
		}
		return -1
	}
	if n*elementBytesMin > r.Len() {
		r.Fail(ErrLength)
		return 0
	}
	return n
}

// Present takes the marker in front of a struct that may be null: int8 -1 or 1.
func (r *Reader) Present() bool { return r.Int8() >= 0 && r.err == nil }

// PresentTag is Present for a struct inside of a tagged field: uvarint 0 or 1.
func (r *Reader) PresentTag() bool { return r.Uvarint() != 0 }

// TagCount takes the number of tagged fields that follow.
func (r *Reader) TagCount() int {
	n := int(r.Uvarint())
	if n > r.Len()/2 {
		r.Fail(ErrLength)
		return 0
	}
	return n
}

// BeginTag takes number and size of a tagged field and confines the reader to its value.
// outer is for EndTag or SkipTag, one of which must follow.
func (r *Reader) BeginTag() (tag uint32, outer []byte) {
	tag = r.Uvarint()
	n := r.Uvarint()
	if uint64(n) > uint64(r.Len()) {
		r.Fail(ErrLength)
	}
	if r.err != nil {
		return 0, r.b
	}
	outer = r.b
	r.b = r.b[:r.off+int(n)]
	return tag, outer
}

// EndTag ends a tagged field that has been read; what BeginTag said must be used up.
func (r *Reader) EndTag(outer []byte) {
	if r.off != len(r.b) {
		r.Fail(ErrTag)
	}
	r.SkipTag(outer)
}

// SkipTag ends a tagged field that this version of ours does not know.
func (r *Reader) SkipTag(outer []byte) {
	r.off = len(r.b)
	r.b = outer
	if r.err != nil {
		r.off = len(outer)
	}
}

// SkipTags takes a whole tag section that holds nothing of interest.
func (r *Reader) SkipTags() {
	if r.off < len(r.b) && r.b[r.off] == 0 {
		r.off++
		return
	}
	r.skipTagsSlow()
}

func (r *Reader) skipTagsSlow() {
	for n := r.TagCount(); n > 0; n-- {
		_, outer := r.BeginTag()
		r.SkipTag(outer)
	}
}

// Int32s takes len(dst) int32s, which ArrayLen has found to be there.
func (r *Reader) Int32s(dst []int32) {
	if len(dst) == 0 {
		return
	}
	b := r.Fixed(4 * len(dst))
	for i := 0; i < len(dst) && len(b) >= 4; i++ {
		dst[i] = int32(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
}
