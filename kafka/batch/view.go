package batch

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"iter"
)

// HeaderSize is the size in bytes of a magic 2 batch without its records.
const HeaderSize = 61

const (
	logOverhead     = 12 // base offset and length: the bytes that the length does not count
	sizeToMagic     = 17 // the smallest prefix that tells the format
	legacySizeMin   = 14 // the smallest length a message of magic 0 can state
	magicV2         = 2
	posLength       = 8
	posLeaderEpoch  = 12
	posMagic        = 16
	posCRC          = 17
	posAttributes   = 21
	posLastDelta    = 23
	posBaseTime     = 27
	posMaxTime      = 35
	posProducerID   = 43
	posProdEpoch    = 51
	posBaseSequence = 53
	posCount        = 57
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// View is one whole record batch, seen in place.
//
//	at size field            type    catches, or who writes it
//	 0   8  baseOffset       int64   0 from producers; the leader assigns
//	 8   4  batchLength      int32   bytes after this field
//	12   4  leaderEpoch      int32   -1 from producers; the leader assigns
//	16   1  magic            int8    2
//	17   4  crc              uint32  CRC-32C of everything from attributes on
//	21   2  attributes       int16   codec, timestamp type, transactional, control, horizon
//	23   4  lastOffsetDelta  int32   last offset - base offset; kept by compaction
//	27   8  baseTimestamp    int64   ms; the delete horizon when attribute bit 6 is set
//	35   8  maxTimestamp     int64   ms; the append time when attribute bit 3 is set
//	43   8  producerId       int64   -1 none
//	51   2  producerEpoch    int16   -1 none
//	53   4  baseSequence     int32   -1 none
//	57   4  recordsCount     int32   0 only in batches a cleaner kept
//	61   -  records                  raw, or one compressed stream
//
// The accessors need HeaderSize bytes and do not check it: make Views with
// Parse, Next or First. (First may return a shorter one, which Validate refuses.)
type View []byte

// Attributes are the flag bits of a batch.
type Attributes int16

const (
	attrCodecMask     Attributes = 0x07
	AttrLogAppendTime Attributes = 1 << 3
	AttrTransactional Attributes = 1 << 4
	AttrControl       Attributes = 1 << 5
	AttrDeleteHorizon Attributes = 1 << 6
)

func (a Attributes) Codec() Codec        { return Codec(a & attrCodecMask) }
func (a Attributes) LogAppendTime() bool { return a&AttrLogAppendTime != 0 }
func (a Attributes) Transactional() bool { return a&AttrTransactional != 0 }
func (a Attributes) Control() bool       { return a&AttrControl != 0 }
func (a Attributes) DeleteHorizon() bool { return a&AttrDeleteHorizon != 0 }

func (v View) i64(at int) int64  { return int64(binary.BigEndian.Uint64(v[at:])) }
func (v View) i32(at int) int32  { return int32(binary.BigEndian.Uint32(v[at:])) }
func (v View) i16(at int) int16  { return int16(binary.BigEndian.Uint16(v[at:])) }
func (v View) BaseOffset() int64 { return v.i64(0) }

// Length is the header's own count: the bytes after the length field.
func (v View) Length() int32          { return v.i32(posLength) }
func (v View) LeaderEpoch() int32     { return v.i32(posLeaderEpoch) }
func (v View) Magic() int8            { return int8(v[posMagic]) }
func (v View) CRC() uint32            { return binary.BigEndian.Uint32(v[posCRC:]) }
func (v View) Attributes() Attributes { return Attributes(v.i16(posAttributes)) }
func (v View) LastOffsetDelta() int32 { return v.i32(posLastDelta) }
func (v View) BaseTimestamp() int64   { return v.i64(posBaseTime) }
func (v View) MaxTimestamp() int64    { return v.i64(posMaxTime) }
func (v View) ProducerID() int64      { return v.i64(posProducerID) }
func (v View) ProducerEpoch() int16   { return v.i16(posProdEpoch) }
func (v View) BaseSequence() int32    { return v.i32(posBaseSequence) }
func (v View) Count() int32           { return v.i32(posCount) }
func (v View) Codec() Codec           { return v.Attributes().Codec() }

// Payload is the record section as it lies in the batch, compressed or not.
func (v View) Payload() []byte { return v[HeaderSize:] }

// LastOffset is the offset of the last record the batch was written with,
// also when compaction has removed it. NextOffset is the one after.
func (v View) LastOffset() int64 { return v.BaseOffset() + int64(v.LastOffsetDelta()) }
func (v View) NextOffset() int64 { return v.LastOffset() + 1 }

// LastSequence is the sequence number of the last record, -1 when there is
// none. Sequences wrap from 2147483647 to 0.
func (v View) LastSequence() int32 {
	if v.BaseSequence() < 0 {
		return -1
	}
	return AddSequence(v.BaseSequence(), v.LastOffsetDelta())
}

// AddSequence is sequence + n modulo 2^31, for non-negative operands.
func AddSequence(sequence, n int32) int32 {
	return int32((int64(sequence) + int64(n)) & 0x7fffffff)
}

// ComputeCRC is the CRC-32C the batch's bytes give.
func (v View) ComputeCRC() uint32 { return crc32.Checksum(v[posAttributes:], castagnoli) }

// CheckCRC reports whether the bytes are those the CRC was made for.
func (v View) CheckCRC() bool { return v.ComputeCRC() == v.CRC() }

// SetBaseOffset assigns the offset of the first record. Outside of the CRC.
func (v View) SetBaseOffset(offset int64) { binary.BigEndian.PutUint64(v, uint64(offset)) }

// SetLeaderEpoch assigns the leader epoch. Outside of the CRC.
func (v View) SetLeaderEpoch(epoch int32) {
	binary.BigEndian.PutUint32(v[posLeaderEpoch:], uint32(epoch))
}

// SetTimestamps sets the timestamp type and the maximum timestamp (ms) and
// recomputes the CRC if, and only if, that changed anything.
func (v View) SetTimestamps(logAppendTime bool, maxTimestamp int64) {
	attributes := v.Attributes() &^ AttrLogAppendTime
	if logAppendTime {
		attributes |= AttrLogAppendTime
	}
	if attributes == v.Attributes() && maxTimestamp == v.MaxTimestamp() {
		return
	}
	binary.BigEndian.PutUint16(v[posAttributes:], uint16(attributes))
	binary.BigEndian.PutUint64(v[posMaxTime:], uint64(maxTimestamp))
	v.sealCRC()
}

func (v View) sealCRC() { binary.BigEndian.PutUint32(v[posCRC:], v.ComputeCRC()) }

// ErrIncomplete is Next's answer when the bytes end before the batch does.
var ErrIncomplete = errors.New("batch: the bytes end before the batch does")

// Parse views b, which must be exactly one batch of magic 2, and checks the
// length, the magic, the offsets and the counts; not the CRC and not the records.
func Parse(b []byte) (View, error) {
	v, rest, err := Next(b)
	if err == nil && len(rest) != 0 {
		return nil, errorf(CorruptMessage, "%d bytes follow the batch", len(rest))
	}
	return v, err
}

// Next views the batch at the front of b, with the checks of Parse, and
// returns what follows it. When b does not hold a whole batch, also when it is
// empty, the error is ErrIncomplete.
func Next(b []byte) (v View, rest []byte, err error) {
	if len(b) < sizeToMagic {
		return nil, b, ErrIncomplete
	}
	length := int64(View(b).Length())
	if length < HeaderSize-logOverhead {
		return nil, b, errorf(CorruptMessage, "batch length %d is below the smallest batch", length)
	}
	if m := View(b).Magic(); m != magicV2 {
		return nil, b, errorf(CorruptMessage, "batch has magic %d", m)
	}
	size := length + logOverhead
	if size > int64(len(b)) {
		return nil, b, ErrIncomplete
	}
	v = View(b[:size:size])
	if v.BaseOffset() < 0 || v.NextOffset() < v.BaseOffset() {
		return nil, b, errorf(CorruptMessage, "base offset %d with a last offset delta of %d", v.BaseOffset(), v.LastOffsetDelta())
	}
	if v.LastOffsetDelta() < 0 || v.Count() < 0 || v.Count()-1 > v.LastOffsetDelta() {
		return nil, b, errorf(CorruptMessage, "%d records with a last offset delta of %d", v.Count(), v.LastOffsetDelta())
	}
	return v, b[size:], nil
}

// All iterates batches that lie back to back and fill b. An error, as Next
// gives it, is the last step.
func All(b []byte) iter.Seq2[View, error] {
	return func(yield func(View, error) bool) {
		for len(b) > 0 {
			v, rest, err := Next(b)
			if !yield(v, err) || err != nil {
				return
			}
			b = rest
		}
	}
}
