package batch

import (
	"encoding/binary"
	"math"

	"chronik/kafka/batch/compress"
)

// BuildOptions are the header fields of a batch to be built that its records
// do not decide.
type BuildOptions struct {
	Codec         Codec
	Levels        Levels // of the codec
	BaseOffset    int64
	LeaderEpoch   int32
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Control       bool
}

// Plain are the options of an ordinary batch without a producer id.
func Plain(codec Codec) BuildOptions {
	return BuildOptions{Codec: codec, Levels: DefaultLevels(), LeaderEpoch: -1, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1}
}

// Builder builds one batch after another. Its zero value is ready. One
// goroutine at a time.
type Builder struct {
	raw           []byte // the records, not compressed
	count         int32
	lastDelta     int32
	baseTimestamp int64
	maxTimestamp  int64
	writer        compress.Writer
}

// Reset forgets the records.
func (b *Builder) Reset() {
	b.raw, b.count, b.lastDelta = b.raw[:0], 0, 0
}

// Len is the number of records so far, and Size their bytes before compression.
func (b *Builder) Len() int  { return int(b.count) }
func (b *Builder) Size() int { return len(b.raw) }

// Add appends a record at the next offset; timestamp in ms. The bytes are copied.
func (b *Builder) Add(timestamp int64, key, value []byte, headers ...Header) {
	delta := int32(0)
	if b.count > 0 {
		delta = b.lastDelta + 1
	}
	b.AddAt(delta, timestamp, key, value, headers...)
}

// AddAt is Add with a chosen offset delta, as compaction leaves them; deltas
// ascend.
func (b *Builder) AddAt(offsetDelta int32, timestamp int64, key, value []byte, headers ...Header) {
	if b.count == 0 {
		b.baseTimestamp, b.maxTimestamp = timestamp, timestamp
	}
	b.maxTimestamp = max(b.maxTimestamp, timestamp)
	b.count++
	b.lastDelta = offsetDelta
	b.raw = appendRecord(b.raw, timestamp-b.baseTimestamp, offsetDelta, key, value, headers)
}

// appendRecord appends one record in wire form, its length included.
func appendRecord(dst []byte, timestampDelta int64, offsetDelta int32, key, value []byte, headers []Header) []byte {
	n := 1 + varintSize(timestampDelta) + varintSize(int64(offsetDelta)) + bytesSize(key) + bytesSize(value) + varintSize(int64(len(headers)))
	for _, h := range headers {
		n += varintSize(int64(len(h.Key))) + len(h.Key) + bytesSize(h.Value)
	}
	dst = appendVarint(dst, int64(n))
	dst = append(dst, 0) // attributes: unused
	dst = appendVarint(dst, timestampDelta)
	dst = appendVarint(dst, int64(offsetDelta))
	dst = appendBytes(dst, key)
	dst = appendBytes(dst, value)
	dst = appendVarint(dst, int64(len(headers)))
	for _, h := range headers {
		dst = appendVarint(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 1) // -1: null
	}
	return append(appendVarint(dst, int64(len(b))), b...)
}

// Build appends the batch to dst, compressed, with its CRC. The records stay:
// Reset before the next batch. It fails on a codec or level that does not exist,
// on a control batch with a codec, and beyond 2 GiB, compressed or not.
func (b *Builder) Build(dst []byte, o BuildOptions) ([]byte, error) {
	if o.Control && o.Codec != None {
		return dst, errorf(InvalidRecord, "a control batch is not compressed")
	}
	if len(b.raw) > math.MaxInt32-HeaderSize {
		return dst, errorf(MessageTooLarge, "%d bytes of records", len(b.raw))
	}
	out := boundedBuffer{b: append(dst, make([]byte, HeaderSize)...), max: len(dst) + math.MaxInt32}
	z, err := b.writer.Open(o.Codec, o.Levels, &out)
	if err != nil {
		return dst, compressError(err)
	}
	if _, err = z.Write(b.raw); err == nil {
		err = z.Close()
	}
	if err != nil {
		return dst, compressError(err)
	}
	v := View(out.b[len(dst):])
	be := binary.BigEndian
	be.PutUint32(v[posLength:], uint32(len(v)-logOverhead))
	v[posMagic] = magicV2
	attributes := Attributes(o.Codec)
	if o.Transactional {
		attributes |= AttrTransactional
	}
	if o.Control {
		attributes |= AttrControl
	}
	be.PutUint16(v[posAttributes:], uint16(attributes))
	be.PutUint32(v[posLastDelta:], uint32(b.lastDelta))
	be.PutUint64(v[posBaseTime:], uint64(b.baseTimestamp))
	be.PutUint64(v[posMaxTime:], uint64(b.maxTimestamp))
	be.PutUint64(v[posProducerID:], uint64(o.ProducerID))
	be.PutUint16(v[posProdEpoch:], uint16(o.ProducerEpoch))
	be.PutUint32(v[posBaseSequence:], uint32(o.BaseSequence))
	be.PutUint32(v[posCount:], uint32(b.count))
	v.SetBaseOffset(o.BaseOffset)
	v.SetLeaderEpoch(o.LeaderEpoch)
	v.sealCRC()
	return out.b, nil
}
