package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
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
	ErrMemory   = errors.New("more elements than a message of this size may have")
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

	limited bool
	room    int // bytes that arrays may still allocate, if limited
}

// NewReader reads frame, which it aliases and never changes.
func NewReader(frame []byte) Reader { return Reader{b: frame} }

// Reset starts again on another frame.
func (r *Reader) Reset(frame []byte) { *r = Reader{b: frame} }

// Limit bounds what the arrays of the messages to be read may allocate, in bytes: beyond it
// is ErrMemory. Memory that is reused does not count. Without it there is no bound but that
// of ErrLength.
func (r *Reader) Limit(bytes int) { r.limited, r.room = true, bytes }

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
func (r *Reader) Fail(err error) { r.off = r.failAt(r.off, err) }

// Bool takes one byte; any value but 0 is true, as in Kafka.
func (r *Reader) Bool() (v bool) { v, r.off = r.GetBool(r.off); return }

// Int8 takes one byte.
func (r *Reader) Int8() (v int8) { v, r.off = r.GetInt8(r.off); return }

// Int16 takes two bytes.
func (r *Reader) Int16() (v int16) { v, r.off = r.GetInt16(r.off); return }

// Uint16 takes two bytes.
func (r *Reader) Uint16() (v uint16) { v, r.off = r.GetUint16(r.off); return }

// Int32 takes four bytes.
func (r *Reader) Int32() (v int32) { v, r.off = r.GetInt32(r.off); return }

// Uint32 takes four bytes.
func (r *Reader) Uint32() (v uint32) { v, r.off = r.GetUint32(r.off); return }

// Int64 takes eight bytes.
func (r *Reader) Int64() (v int64) { v, r.off = r.GetInt64(r.off); return }

// Float64 takes eight bytes, IEEE 754.
func (r *Reader) Float64() (v float64) { v, r.off = r.GetFloat64(r.off); return }

// UUID takes sixteen bytes.
func (r *Reader) UUID() (v UUID) { v, r.off = r.GetUUID(r.off); return }

// Uvarint takes an unsigned base-128 number of at most 32 bits.
func (r *Reader) Uvarint() (v uint32) { v, r.off = r.GetUvarint(r.off); return }

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

// Bytes takes bytes that must not be null, so the result is not nil without an error.
// They alias the frame.
func (r *Reader) Bytes(flex bool) []byte { return r.NullBytes(flex, false) }

// NullBytes takes bytes that may be null if null is true; null is nil. They alias the frame.
func (r *Reader) NullBytes(flex, null bool) (v []byte) {
	v, r.off = r.GetBytes(r.off, flex, null)
	return
}

// String takes a string that must not be null. It aliases the frame.
func (r *Reader) String(flex bool) (v string) { v, r.off = r.GetString(r.off, flex); return }

// NullString takes a string that may be null if null is true. It aliases the frame.
func (r *Reader) NullString(flex, null bool) (v NullString) {
	v, r.off = r.GetNullString(r.off, flex, null)
	return
}

// ArrayLen takes the count of an array that must not be null. Each element takes at
// least elementBytesMin bytes, so a count that the bytes left cannot hold is ErrLength.
func (r *Reader) ArrayLen(flex bool, elementBytesMin int) (n int) {
	n, r.off = r.GetArrayLen(r.off, flex, false, elementBytesMin)
	return
}

// NullArrayLen is ArrayLen for an array that may be null if null is true; null is -1.
func (r *Reader) NullArrayLen(flex bool, elementBytesMin int, null bool) (n int) {
	n, r.off = r.GetArrayLen(r.off, flex, null, elementBytesMin)
	return
}

// SkipTags takes a whole tag section that holds nothing of interest.
func (r *Reader) SkipTags() { r.off = r.GetNoTags(r.off) }

// Records takes record data into dst, whose memory it reuses.
func (r *Reader) Records(dst Records, flex, null bool) (v Records) {
	v, r.off = r.GetRecords(r.off, dst, flex, null)
	return
}

// TagCount takes the number of tagged fields that follow.
func (r *Reader) TagCount() (n int) { n, r.off = r.GetTagCount(r.off); return }

// BeginTag takes number and size of a tagged field and confines the reader to its value.
// outer is for EndTag or SkipTag, one of which must follow.
func (r *Reader) BeginTag() (tag uint32, outer []byte) {
	tag, outer, r.off = r.GetTag(r.off)
	return
}

// EndTag ends a tagged field that has been read; what BeginTag said must be used up.
func (r *Reader) EndTag(outer []byte) { r.off = r.GetEndTag(r.off, outer) }

// SkipTag ends a tagged field of no interest.
func (r *Reader) SkipTag(outer []byte) { r.off = r.GetSkipTag(outer) }
