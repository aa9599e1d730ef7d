package wire

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// The Get methods are for generated code. Each takes the position of a value and returns
// the value and the position behind it, so that the position stays in a register: keeping it
// in the Reader costs a load that waits for the store before it, for every value. After an
// error the position is the end of the input and values are zero.

// Pos is the position of the next value.
func (r *Reader) Pos() int { return r.off }

// Seek says where the last Get ended.
func (r *Reader) Seek(at int) { r.off = at }

// Input is all of the input, up to where reading has to end; positions count from its start.
func (r *Reader) Input() []byte { return r.b }

// failAt records err unless there is an earlier one, and returns the end of the input.
func (r *Reader) failAt(at int, err error) int {
	if r.err == nil {
		r.err = &DecodeError{Offset: at, Err: err}
	}
	return len(r.b)
}

func (r *Reader) short(at int) int { return r.failAt(at, ErrShort) }

// GetFixed takes n bytes, n > 0, for values of fixed size that the caller picks out of
// them. They are nil after an error.
func (r *Reader) GetFixed(at, n int) ([]byte, int) {
	if end := at + n; end <= len(r.b) {
		return r.b[at:end], end
	}
	return nil, r.short(at)
}

// GetBool takes one byte; any value but 0 is true, as in Kafka.
func (r *Reader) GetBool(at int) (bool, int) {
	v, at := r.GetInt8(at)
	return v != 0, at
}

// GetInt8 takes one byte.
func (r *Reader) GetInt8(at int) (int8, int) {
	if at < len(r.b) {
		return int8(r.b[at]), at + 1
	}
	return 0, r.short(at)
}

// GetInt16 takes two bytes.
func (r *Reader) GetInt16(at int) (int16, int) {
	v, at := r.GetUint16(at)
	return int16(v), at
}

// GetUint16 takes two bytes.
func (r *Reader) GetUint16(at int) (uint16, int) {
	if end := at + 2; end <= len(r.b) {
		return binary.BigEndian.Uint16(r.b[at:end]), end
	}
	return 0, r.short(at)
}

// GetInt32 takes four bytes.
func (r *Reader) GetInt32(at int) (int32, int) {
	v, at := r.GetUint32(at)
	return int32(v), at
}

// GetUint32 takes four bytes.
func (r *Reader) GetUint32(at int) (uint32, int) {
	if end := at + 4; end <= len(r.b) {
		return binary.BigEndian.Uint32(r.b[at:end]), end
	}
	return 0, r.short(at)
}

// GetInt64 takes eight bytes.
func (r *Reader) GetInt64(at int) (int64, int) {
	if end := at + 8; end <= len(r.b) {
		return int64(binary.BigEndian.Uint64(r.b[at:end])), end
	}
	return 0, r.short(at)
}

// GetFloat64 takes eight bytes, IEEE 754.
func (r *Reader) GetFloat64(at int) (float64, int) {
	v, at := r.GetInt64(at)
	return math.Float64frombits(uint64(v)), at
}

// GetUUID takes sixteen bytes.
func (r *Reader) GetUUID(at int) (UUID, int) {
	if end := at + 16; end <= len(r.b) {
		return UUID(r.b[at:end]), end
	}
	return UUID{}, r.short(at)
}

// GetUvarint takes an unsigned base-128 number of at most 32 bits.
func (r *Reader) GetUvarint(at int) (uint32, int) {
	if b := r.b; at < len(b) && b[at] < 0x80 {
		return uint32(b[at]), at + 1
	}
	return r.uvarintSlow(at)
}

func (r *Reader) uvarintSlow(at int) (uint32, int) {
	v, n := binary.Uvarint(r.b[at:])
	switch {
	case n == 0:
		return 0, r.short(at)
	case n < 0 || n > 5 || v > math.MaxUint32:
		return 0, r.failAt(at, ErrVarint)
	}
	return uint32(v), at + n
}

// count takes a length that is written as an int32, or as uvarint(n+1) when flexible.
// It is -1 for null and never below. Numbers of one and two bytes, most by far, are done on
// the spot.
func (r *Reader) count(at int, flex bool) (int, int) {
	if flex {
		if b := r.b; at+1 < len(b) {
			if lo := int(b[at]); lo < 0x80 {
				return lo - 1, at + 1
			} else if hi := int(b[at+1]); hi < 0x80 {
				return (lo&0x7f | hi<<7) - 1, at + 2
			}
		}
		n, at := r.GetUvarint(at)
		return int(n) - 1, at
	}
	n, at := r.GetInt32(at)
	if n < -1 {
		return 0, r.failAt(at, ErrLength)
	}
	return int(n), at
}

// stringLen is count for strings, whose length has 16 bits when not flexible.
func (r *Reader) stringLen(at int, flex bool) (int, int) {
	if flex {
		n, at := r.GetUvarint(at)
		if n > math.MaxInt16+1 {
			return 0, r.failAt(at, ErrLength)
		}
		return int(n) - 1, at
	}
	n, at := r.GetInt16(at)
	if n < -1 {
		return 0, r.failAt(at, ErrLength)
	}
	return int(n), at
}

// GetBytes takes bytes that may be null if null is true; null is nil. They alias the frame.
func (r *Reader) GetBytes(at int, flex, null bool) ([]byte, int) {
	n, at := r.count(at, flex)
	if n < 0 {
		return nil, r.nullAt(at, null)
	}
	if end := at + n; end <= len(r.b) {
		return r.b[at:end:end], end
	}
	return nil, r.failAt(at, ErrLength)
}

// nullAt fails unless null is true.
func (r *Reader) nullAt(at int, null bool) int {
	if null {
		return at
	}
	return r.failAt(at, ErrNull)
}

// alias makes a string of b without copying it.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// GetString takes a string that must not be null. It aliases the frame.
func (r *Reader) GetString(at int, flex bool) (string, int) {
	n, at := r.stringLen(at, flex)
	if n < 0 {
		return "", r.failAt(at, ErrNull)
	}
	if end := at + n; end <= len(r.b) {
		return alias(r.b[at:end]), end
	}
	return "", r.failAt(at, ErrLength)
}

// GetNullString takes a string that may be null if null is true. It aliases the frame.
func (r *Reader) GetNullString(at int, flex, null bool) (NullString, int) {
	n, at := r.stringLen(at, flex)
	if n < 0 {
		return NullString{}, r.nullAt(at, null)
	}
	if end := at + n; end <= len(r.b) {
		return NullString{alias(r.b[at:end]), true}, end
	}
	return NullString{}, r.failAt(at, ErrLength)
}

// GetRecords takes record data into dst, whose memory it reuses.
func (r *Reader) GetRecords(at int, dst Records, flex, null bool) (Records, int) {
	b, at := r.GetBytes(at, flex, null)
	if b == nil || r.err != nil {
		return nil, at
	}
	if dst == nil {
		dst = make(Records, 0, 1)
	}
	if len(b) == 0 {
		return dst[:0], at
	}
	return append(dst[:0], b), at
}

// GetArrayLen takes the count of an array, -1 if it is null and may be. Each element takes
// at least elementBytesMin bytes, so a count that the bytes left cannot hold is ErrLength.
func (r *Reader) GetArrayLen(at int, flex, null bool, elementBytesMin int) (int, int) {
	n, at := r.count(at, flex)
	if n < 0 {
		if null {
			return -1, at
		}
		return 0, r.failAt(at, ErrNull)
	}
	if n*elementBytesMin > len(r.b)-at {
		return 0, r.failAt(at, ErrLength)
	}
	return n, at
}

// GetRoom says how many elements the array s, which has no room for n, may have: n, or none
// if that is over Limit.
func GetRoom[T any](r *Reader, at int, s []T, n int) (int, int) {
	var element T
	if !r.limited {
		return n, at
	}
	if r.room -= n * int(unsafe.Sizeof(element)); r.room < 0 {
		return 0, r.failAt(at, ErrMemory)
	}
	return n, at
}

// GetInt32s takes len(dst) int32s, which GetArrayLen has found to be there.
func (r *Reader) GetInt32s(at int, dst []int32) int {
	for i := range dst {
		dst[i], at = r.GetInt32(at)
	}
	return at
}

// GetPresent takes the marker in front of a struct that may be null: int8 -1 or 1.
func (r *Reader) GetPresent(at int) (bool, int) {
	v, at := r.GetInt8(at)
	return v >= 0 && r.err == nil, at
}

// GetPresentTag is GetPresent for a struct inside of a tagged field: uvarint 0 or 1.
func (r *Reader) GetPresentTag(at int) (bool, int) {
	v, at := r.GetUvarint(at)
	return v != 0, at
}

// GetTagCount takes the number of tagged fields that follow.
func (r *Reader) GetTagCount(at int) (int, int) {
	n, at := r.GetUvarint(at)
	if int(n) > (len(r.b)-at)/2 {
		return 0, r.failAt(at, ErrLength)
	}
	return int(n), at
}

// GetTag takes number and size of a tagged field and confines the reader to its value.
// outer is for GetEndTag or GetSkipTag, one of which must follow.
func (r *Reader) GetTag(at int) (tag uint32, outer []byte, _ int) {
	tag, at = r.GetUvarint(at)
	n, at := r.GetUvarint(at)
	if int(n) > len(r.b)-at {
		at = r.failAt(at, ErrLength)
	}
	if r.err != nil {
		return 0, r.b, at
	}
	outer = r.b
	r.b = r.b[:at+int(n)]
	return tag, outer, at
}

// GetEndTag ends a tagged field that has been read; what GetTag said must be used up.
func (r *Reader) GetEndTag(at int, outer []byte) int {
	if at != len(r.b) {
		r.failAt(at, ErrTag)
	}
	return r.GetSkipTag(outer)
}

// GetSkipTag ends a tagged field that this version of ours does not know.
func (r *Reader) GetSkipTag(outer []byte) int {
	at := len(r.b)
	r.b = outer
	if r.err != nil {
		return len(outer)
	}
	return at
}

// GetNoTags takes a whole tag section that holds nothing of interest.
func (r *Reader) GetNoTags(at int) int {
	if at < len(r.b) && r.b[at] == 0 {
		return at + 1
	}
	return r.skipTags(at)
}

func (r *Reader) skipTags(at int) int {
	n, at := r.GetTagCount(at)
	for ; n > 0; n-- {
		var outer []byte
		_, outer, _ = r.GetTag(at)
		at = r.GetSkipTag(outer)
	}
	return at
}
