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
	b    []byte // what is left; its capacity ends with the frame, which gives the offset
	size int    // of the whole frame
	err  error
}

// NewReader reads frame, which it aliases and never changes.
func NewReader(frame []byte) Reader {
	return Reader{b: frame[:len(frame):len(frame)], size: len(frame)}
}

// Reset starts again on another frame.
func (r *Reader) Reset(frame []byte) { *r = NewReader(frame) }

// Err is the first error, a *DecodeError, or nil.
func (r *Reader) Err() error { return r.err }

// Len is the number of bytes left; 0 after an error.
func (r *Reader) Len() int { return len(r.b) }

// Offset is the number of bytes taken so far.
func (r *Reader) Offset() int { return r.size - cap(r.b) }

// Rest takes all bytes that are left.
func (r *Reader) Rest() []byte {
	b := r.b
	r.b = r.b[len(r.b):]
	return b
}

// Done reports the first error, or ErrTrailing if input is left.
func (r *Reader) Done() error {
	if len(r.b) != 0 {
		r.Fail(ErrTrailing)
	}
	return r.err
}

// Fail records err unless there is an earlier one, and ends the input.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = &DecodeError{Offset: r.Offset(), Err: err}
		r.size = r.Offset()
	}
	r.b = nil
}

// Int8 takes one byte.
func (r *Reader) Int8() int8 {
	if len(r.b) < 1 {
		r.Fail(ErrShort)
		return 0
	}
	v := int8(r.b[0])
	r.b = r.b[1:]
	return v
}

// Bool takes one byte; any value but 0 is true, as in Kafka.
func (r *Reader) Bool() bool { return r.Int8() != 0 }

// Int16 takes two bytes.
func (r *Reader) Int16() int16 { return int16(r.Uint16()) }

// Uint16 takes two bytes.
func (r *Reader) Uint16() uint16 {
	if len(r.b) < 2 {
		r.Fail(ErrShort)
		return 0
	}
	v := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return v
}

// Int32 takes four bytes.
func (r *Reader) Int32() int32 { return int32(r.Uint32()) }

// Uint32 takes four bytes.
func (r *Reader) Uint32() uint32 {
	if len(r.b) < 4 {
		r.Fail(ErrShort)
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

// Int64 takes eight bytes.
func (r *Reader) Int64() int64 {
	if len(r.b) < 8 {
		r.Fail(ErrShort)
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return int64(v)
}

// Float64 takes eight bytes, IEEE 754.
func (r *Reader) Float64() float64 { return math.Float64frombits(uint64(r.Int64())) }

// UUID takes sixteen bytes.
func (r *Reader) UUID() (u UUID) {
	if len(r.b) < 16 {
		r.Fail(ErrShort)
		return
	}
	u = UUID(r.b)
	r.b = r.b[16:]
	return
}

// Uvarint takes an unsigned base-128 number of at most 32 bits.
func (r *Reader) Uvarint() uint32 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := r.b[0]
		r.b = r.b[1:]
		return uint32(v)
	}
	return r.uvarintSlow()
}

func (r *Reader) uvarintSlow() uint32 {
	v, n := binary.Uvarint(r.b)
	switch {
	case n == 0:
		r.Fail(ErrShort)
	case n < 0 || n > 5 || v > math.MaxUint32:
		r.Fail(ErrVarint)
	default:
		r.b = r.b[n:]
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
	v, n := binary.Varint(r.b)
	switch {
	case n == 0:
		r.Fail(ErrShort)
	case n < 0:
		r.Fail(ErrVarint)
	default:
		r.b = r.b[n:]
		return v
	}
	return 0
}

// take returns the next n bytes, or nil after ErrLength. n is not negative.
func (r *Reader) take(n int) []byte {
	if n > len(r.b) {
		r.Fail(ErrLength)
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// count takes a length that is written as an int32, or as uvarint(n+1) when flexible.
// It is -1 for null and never below.
func (r *Reader) count(flex bool) int {
	if flex {
		return int(r.Uvarint()) - 1
	}
	if len(r.b) < 4 {
		r.Fail(ErrShort)
		return 0
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
	if len(r.b) < 2 {
		r.Fail(ErrShort)
		return 0
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

// Bytes takes bytes that must not be null. They alias the frame; the result is not nil
// unless there was an error.
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
	if b == nil {
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
	if n > len(r.b)/elementBytesMin {
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
	if n > len(r.b)/2 {
		r.Fail(ErrLength)
		return 0
	}
	return n
}

// BeginTag takes number and size of a tagged field and confines the reader to its value.
// rest is for EndTag or SkipTag, one of which must follow.
func (r *Reader) BeginTag() (tag uint32, rest []byte) {
	tag = r.Uvarint()
	n := r.Uvarint()
	if uint64(n) > uint64(len(r.b)) {
		r.Fail(ErrLength)
		return 0, nil
	}
	rest = r.b[n:]
	r.b = r.b[:n]
	return tag, rest
}

// EndTag ends a tagged field that has been read; what BeginTag said must be used up.
func (r *Reader) EndTag(rest []byte) {
	if len(r.b) != 0 {
		r.Fail(ErrTag)
	}
	if r.err == nil {
		r.b = rest
	}
}

// SkipTag ends a tagged field that this version of ours does not know.
func (r *Reader) SkipTag(rest []byte) {
	if r.err == nil {
		r.b = rest
	}
}

// SkipTags takes a whole tag section that holds nothing of interest.
func (r *Reader) SkipTags() {
	if len(r.b) > 0 && r.b[0] == 0 {
		r.b = r.b[1:]
		return
	}
	for n := r.TagCount(); n > 0; n-- {
		_, rest := r.BeginTag()
		r.SkipTag(rest)
	}
}
