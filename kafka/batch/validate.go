package batch

import (
	"encoding/binary"
	"fmt"
	"math"
)

// TimestampType is what a topic's message.timestamp.type says.
type TimestampType int8

const (
	CreateTime    TimestampType = iota // the producer's timestamps count
	LogAppendTime                      // the broker's time of the append counts
)

func (t TimestampType) String() string {
	if t == LogAppendTime {
		return "LogAppendTime"
	}
	return "CreateTime"
}

// NoTimestamp is a record without one.
const NoTimestamp int64 = -1

// Options are the settings of a topic, and the moment, that a batch is
// checked against.
type Options struct {
	MaxBytes      int           // max.message.bytes, of the whole batch
	SegmentBytes  int           // segment.bytes, of the whole batch
	TimestampType TimestampType // message.timestamp.type
	Now           int64         // ms
	BeforeMax     int64         // message.timestamp.before.max.ms
	AfterMax      int64         // message.timestamp.after.max.ms
	Compacted     bool          // cleanup.policy contains compact: keys are needed
	Target        Codec         // compression.type; Keep for producer
	Levels        Levels        // of the target codec
	Scratch       *Buffers      // may be nil, at the price of allocations for compressed batches
}

// Info is what a leader must know of a batch that passed.
type Info struct {
	// Stored is the batch to append: the one given, patched in place, unless
	// Rebuilt, when it aliases the Scratch and must be copied before that is
	// used again. Base offset and leader epoch are still the producer's.
	Stored        View
	Rebuilt       bool
	Count         int32
	MaxTimestamp  int64 // ms, -1 none
	AppendTime    int64 // ms for LogAppendTime, else -1: the response's logAppendTimeMs
	ProducerID    int64 // -1 none, as the three below
	ProducerEpoch int16
	BaseSequence  int32
	LastSequence  int32
	Transactional bool
}

// Validate checks a batch that a producer sent, in the order in which a Kafka
// leader does, and rewrites in it what a leader rewrites: the maximum
// timestamp, the timestamp type, and the CRC if these changed. It builds
// another batch when the topic wants another codec or the offset deltas are not
// 0, 1, 2... (old client bugs). On an error v is as it was.
func Validate(v View, o *Options) (Info, *Error) {
	if err := checkEnvelope(v, o); err != nil {
		return Info{}, err
	}
	if err := checkHeader(v); err != nil {
		return Info{}, err
	}
	s := o.Scratch
	if s == nil {
		s = NewBuffers(DefaultLimits())
	}
	target := o.Target
	if target == Keep {
		target = v.Codec()
	}
	c := check{v: v, o: o, s: s, codec: target}
	err := c.walk(target != v.Codec())
	if err == nil && c.crooked && !c.rebuilt {
		err = c.walk(true)
	}
	if err != nil {
		return Info{}, err
	}
	return c.finish()
}

// checkEnvelope is steps 3 to 5: base offset, size, length and CRC.
func checkEnvelope(v View, o *Options) *Error {
	switch {
	case len(v) < logOverhead || v.Length() < 0 || int64(v.Length())+logOverhead != int64(len(v)):
		return errorf(CorruptMessage, "%d bytes are not the batch they say", len(v))
	case v.BaseOffset() != 0:
		return errorf(InvalidRecord, "base offset %d: a producer sends 0", v.BaseOffset())
	case len(v) > o.MaxBytes:
		return errorf(MessageTooLarge, "the batch has %d bytes, max.message.bytes is %d", len(v), o.MaxBytes)
	case len(v) < HeaderSize:
		return errorf(CorruptMessage, "the batch has %d bytes, less than a header", len(v))
	case v.Magic() != magicV2:
		return errorf(InvalidRecord, "the batch has magic %d", v.Magic())
	case !v.CheckCRC():
		return errorf(CorruptMessage, "CRC %#08x, but the batch says %#08x", v.ComputeCRC(), v.CRC())
	}
	return nil
}

// checkHeader is steps 6 and 7: codec, counts, control bit, sequence.
func checkHeader(v View) *Error {
	switch {
	case !v.Codec().valid():
		return errorf(InvalidRecord, "codec %d does not exist", v.Codec())
	case v.LastOffsetDelta() < 0:
		return errorf(InvalidRecord, "last offset delta %d", v.LastOffsetDelta())
	case v.Count() <= 0:
		return errorf(InvalidRecord, "record count %d", v.Count())
	case int64(v.Count()) != int64(v.LastOffsetDelta())+1:
		return errorf(InvalidRecord, "record count %d with a last offset delta of %d", v.Count(), v.LastOffsetDelta())
	case v.Attributes().Control():
		return errorf(InvalidRecord, "a producer may not send control records")
	case v.ProducerID() >= 0 && v.BaseSequence() < 0:
		return errorf(InvalidRecord, "base sequence %d with producer id %d", v.BaseSequence(), v.ProducerID())
	}
	return nil
}

// check is one Validate under way.
type check struct {
	v       View
	o       *Options
	s       *Buffers
	codec   Codec // of the batch to store
	crooked bool  // some offset delta is not the record's index
	rebuilt bool  // s.out holds the batch to store
	max     int64 // greatest timestamp, ms

	bad     []RecordError
	badKind Kind
	badAll  int // also those that bad has no room for
}

// walk is step 8: every record, in a stream. With rebuild it writes the batch
// to s.out at the same time.
func (c *check) walk(rebuild bool) *Error {
	c.s.open(c.v)
	w := &c.s.win
	finish := func() *Error { return nil }
	if rebuild {
		var err *Error
		if finish, err = c.startRebuild(w); err != nil {
			return err
		}
	}
	c.max = NoTimestamp
	base, count := c.v.BaseTimestamp(), c.v.Count()
	for i := int32(0); i < count; i++ {
		h := w.record(i)
		if w.err != nil {
			return &Error{Kind: w.err.Kind, Msg: fmt.Sprintf("record %d: %s", i, w.err.Msg)}
		}
		c.crooked = c.crooked || h.offsetDelta != i
		timestamp := base + h.timestampDelta
		if (timestamp < base) != (h.timestampDelta < 0) {
			return errorf(InvalidRecord, "record %d: timestamp delta %d overflows", i, h.timestampDelta)
		}
		c.max = max(c.max, timestamp)
		c.checkRecord(i, h.nullKey, timestamp)
	}
	if w.end(); w.err != nil {
		return w.err
	}
	if c.badAll > 0 {
		return &Error{Kind: c.badKind, Msg: fmt.Sprintf("%d of %d records are invalid: %s", c.badAll, count, c.bad[0].Msg), RecordErrors: c.bad}
	}
	return finish()
}

// checkRecord collects what is wrong with one readable record. A bad
// timestamp among them decides the kind of the whole.
func (c *check) checkRecord(i int32, nullKey bool, timestamp int64) {
	o := c.o
	switch {
	case o.Compacted && nullKey:
		c.reject(i, InvalidRecord, "a compacted topic needs a key in every record")
	case c.v.Attributes().LogAppendTime():
		c.reject(i, InvalidTimestamp, "a producer may not set the timestamp type LogAppendTime")
	case o.TimestampType == CreateTime && timestamp != NoTimestamp &&
		(minus(o.Now, timestamp) > o.BeforeMax || minus(timestamp, o.Now) > o.AfterMax):
		msg := ""
		if len(c.bad) < recordErrorsMax {
			msg = fmt.Sprintf("timestamp %d is out of range: %d and %d ms around the broker's time %d are allowed", timestamp, o.BeforeMax, o.AfterMax, o.Now)
		}
		c.reject(i, InvalidTimestamp, msg)
	}
}

func (c *check) reject(i int32, kind Kind, msg string) {
	c.badAll++
	if len(c.bad) < recordErrorsMax {
		c.bad = append(c.bad, RecordError{Index: int(i), Msg: msg})
	}
	if c.badKind != InvalidTimestamp {
		c.badKind = kind
	}
}

// minus is a - b without wrapping around.
func minus(a, b int64) int64 {
	switch d := a - b; {
	case b < 0 && d < a:
		return math.MaxInt64
	case b > 0 && d > a:
		return math.MinInt64
	default:
		return d
	}
}

// startRebuild directs the walk's records through a compressor into s.out.
// The function it returns ends the stream.
func (c *check) startRebuild(w *window) (finish func() *Error, err *Error) {
	out := &c.s.out
	out.b, out.max = append(out.b[:0], c.v[:HeaderSize]...), c.o.MaxBytes
	z, e := c.s.comp.writer(c.codec, c.o.Levels, out)
	if e != nil {
		return nil, compressError(e)
	}
	w.sink = z
	return func() *Error {
		if err := z.Close(); err != nil {
			return compressError(err)
		}
		c.rebuilt = true
		return nil
	}, nil
}

// finish is step 9: the rewrites, and the sizes once more.
func (c *check) finish() (Info, *Error) {
	stored := c.v
	if c.rebuilt {
		stored = View(c.s.out.b)
	}
	if len(stored) > c.o.MaxBytes {
		return Info{}, errorf(MessageTooLarge, "the batch has %d bytes after it was rebuilt, max.message.bytes is %d", len(stored), c.o.MaxBytes)
	}
	if len(stored) > c.o.SegmentBytes {
		return Info{}, errorf(RecordListTooLarge, "the batch has %d bytes, segment.bytes is %d", len(stored), c.o.SegmentBytes)
	}
	info := Info{Stored: stored, Rebuilt: c.rebuilt, Count: stored.Count(), MaxTimestamp: c.max, AppendTime: NoTimestamp,
		ProducerID: stored.ProducerID(), ProducerEpoch: stored.ProducerEpoch(), BaseSequence: stored.BaseSequence(),
		LastSequence: stored.LastSequence(), Transactional: stored.Attributes().Transactional()}
	appendTime := c.o.TimestampType == LogAppendTime
	if appendTime {
		info.MaxTimestamp, info.AppendTime = c.o.Now, c.o.Now
	}
	if c.rebuilt {
		sealRebuilt(stored, c.codec)
	}
	stored.SetTimestamps(appendTime, info.MaxTimestamp)
	return info, nil
}

// sealRebuilt makes the header of a rebuilt batch say what follows it.
func sealRebuilt(v View, codec Codec) {
	binary.BigEndian.PutUint32(v[posLength:], uint32(len(v)-logOverhead))
	attributes := v.Attributes()&^attrCodecMask | Attributes(codec)
	binary.BigEndian.PutUint16(v[posAttributes:], uint16(attributes))
	v.sealCRC()
}
