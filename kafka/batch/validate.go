package batch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// NoTimestamp is a record without one.
const NoTimestamp int64 = -1

// Options are the settings of a topic, and the moment, that a batch is
// checked against.
type Options struct {
	BytesMax      int   // max.message.bytes, of the whole batch
	SegmentBytes  int64 // segment.bytes, of the whole batch
	LogAppendTime bool  // message.timestamp.type
	Now           int64 // ms
	BeforeMaxMs   int64 // message.timestamp.before.max.ms
	AfterMaxMs    int64 // message.timestamp.after.max.ms
	Compacted     bool  // cleanup.policy contains compact: keys are needed
	Target        Codec // compression.type; Keep for producer
	Levels        Levels
	Scratch       *Scratch // nil: a compressed batch waits for one of a bounded number
}

// Info is what a leader must know of a batch that passed.
type Info struct {
	// Batch is what to append: the batch given, patched in place, or one that
	// was Rebuilt in memory of its own. Base offset and leader epoch are still
	// the producer's.
	Batch         View
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
func Validate(v View, o Options) (Info, *Error) {
	if err := checkEnvelope(v, o); err != nil {
		return Info{}, err
	}
	if err := checkHeader(v); err != nil {
		return Info{}, err
	}
	target := o.Target
	if target == Keep {
		target = v.Codec()
	}
	c := check{v: v, o: o, codec: target}
	if v.Codec() == None && target == None {
		var w window // on the stack: most batches need nothing else
		w.over(v.Payload())
		if err := c.walk(&w); err != nil {
			return Info{}, err
		}
		if !c.crooked {
			return c.finish(v)
		}
	}
	s := o.Scratch
	if s == nil {
		s = shared.get()
		defer shared.put(s)
	}
	return c.compressed(s)
}

// compressed is Validate for what needs a Scratch: a compressed batch, or one
// to be rebuilt.
func (c *check) compressed(s *Scratch) (Info, *Error) {
	if !c.crooked && c.codec == c.v.Codec() {
		s.open(c.v)
		if err := c.walk(&s.win); err != nil {
			return Info{}, err
		}
		if !c.crooked {
			return c.finish(c.v)
		}
	}
	s.open(c.v)
	out := &s.out
	out.b, out.max = append(out.b[:0], c.v[:HeaderSize]...), c.o.BytesMax
	z, err := s.writer.Open(c.codec, c.o.Levels, out)
	if err != nil {
		return Info{}, compressError(err)
	}
	s.win.sink = z
	if err := c.walk(&s.win); err != nil {
		return Info{}, err
	}
	if err := z.Close(); err != nil {
		return Info{}, compressError(err)
	}
	rebuilt := View(bytes.Clone(out.b))
	sealRebuilt(rebuilt, c.codec)
	return c.finish(rebuilt)
}

// checkEnvelope is steps 3 to 5: base offset, size, length and CRC.
func checkEnvelope(v View, o Options) *Error {
	switch {
	case len(v) < logOverhead || v.Length() < 0 || int64(v.Length())+logOverhead != int64(len(v)):
		return errorf(CorruptMessage, "%d bytes are not the batch they say", len(v))
	case v.BaseOffset() != 0:
		return errorf(InvalidRecord, "base offset %d: a producer sends 0", v.BaseOffset())
	case len(v) > o.BytesMax:
		return errorf(MessageTooLarge, "the batch has %d bytes, max.message.bytes is %d", len(v), o.BytesMax)
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
	case !v.Codec().Valid():
		return errorf(InvalidRecord, "codec %d does not exist", v.Codec())
	case v.LastOffsetDelta() < 0:
		return errorf(InvalidRecord, "last offset delta %d", v.LastOffsetDelta())
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
	o       Options
	codec   Codec // of the batch to store
	crooked bool  // some offset delta is not the record's index
	max     int64 // greatest timestamp, ms

	bad     []RecordError
	badKind Kind
	badAll  int // also those that bad has no room for
}

// walk is step 8: every record, in a stream. If w has a sink it gets them,
// with straight offset deltas.
func (c *check) walk(w *window) *Error {
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
	return nil
}

// checkRecord collects what is wrong with one readable record. A bad
// timestamp among them decides the kind of the whole.
func (c *check) checkRecord(i int32, nullKey bool, timestamp int64) {
	o := &c.o
	switch {
	case o.Compacted && nullKey:
		c.reject(i, InvalidRecord, "a compacted topic needs a key in every record")
	case c.v.Attributes().LogAppendTime():
		c.reject(i, InvalidTimestamp, "a producer may not set the timestamp type LogAppendTime")
	case !o.LogAppendTime && timestamp != NoTimestamp &&
		(minus(o.Now, timestamp) > o.BeforeMaxMs || minus(timestamp, o.Now) > o.AfterMaxMs):
		msg := ""
		if len(c.bad) < recordErrorsMax {
			msg = fmt.Sprintf("timestamp %d is out of range: %d and %d ms around the broker's time %d are allowed", timestamp, o.BeforeMaxMs, o.AfterMaxMs, o.Now)
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

// finish is step 9: the rewrites, and the sizes once more.
func (c *check) finish(stored View) (Info, *Error) {
	if len(stored) > c.o.BytesMax {
		return Info{}, errorf(MessageTooLarge, "the batch has %d bytes after it was rebuilt, max.message.bytes is %d", len(stored), c.o.BytesMax)
	}
	if int64(len(stored)) > c.o.SegmentBytes {
		return Info{}, errorf(RecordListTooLarge, "the batch has %d bytes, segment.bytes is %d", len(stored), c.o.SegmentBytes)
	}
	info := Info{Batch: stored, Rebuilt: &stored[0] != &c.v[0], Count: stored.Count(), MaxTimestamp: c.max, AppendTime: NoTimestamp,
		ProducerID: stored.ProducerID(), ProducerEpoch: stored.ProducerEpoch(), BaseSequence: stored.BaseSequence(),
		LastSequence: stored.LastSequence(), Transactional: stored.Attributes().Transactional()}
	if c.o.LogAppendTime {
		info.MaxTimestamp, info.AppendTime = c.o.Now, c.o.Now
	}
	stored.SetTimestamps(c.o.LogAppendTime, info.MaxTimestamp)
	return info, nil
}

// sealRebuilt makes the header of a rebuilt batch say what follows it.
func sealRebuilt(v View, codec Codec) {
	binary.BigEndian.PutUint32(v[posLength:], uint32(len(v)-logOverhead))
	attributes := v.Attributes()&^attrCodecMask | Attributes(codec)
	binary.BigEndian.PutUint16(v[posAttributes:], uint16(attributes))
	v.sealCRC()
}
