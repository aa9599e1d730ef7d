package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"
)

// hostile is what a producer sends, and what it is told.
type hostile struct {
	what    string
	records []byte
	kind    Kind   // 0: taken
	msg     string // in the error
}

// produce is what a leader does with the records of a partition.
func produce(records []byte, o Options) (Info, *Error) {
	v, err := First(records, 9)
	if err != nil {
		return Info{}, err
	}
	return Validate(v, o)
}

// refuse runs a table, without and with edits to the topic, and holds the
// memory against a bound: no length that is claimed is believed.
func refuse(t *testing.T, table []hostile, edit func(*Options)) {
	t.Helper()
	for _, c := range table {
		o := options(testNow)
		if edit != nil {
			edit(&o)
		}
		sent := slices.Clone(c.records)
		var err *Error
		grown := allocated(func() { _, err = produce(sent, o) })
		if kindOf(err) != c.kind || err != nil && !strings.Contains(err.Msg, c.msg) {
			t.Errorf("%s: %v, want %v: %q", c.what, err, c.kind, c.msg)
		}
		if err != nil && !bytes.Equal(sent, c.records) {
			t.Errorf("%s: refused, yet changed", c.what)
		}
		if grown > 2<<20 {
			t.Errorf("%s: %d bytes of memory for %d bytes", c.what, grown, len(sent))
		}
		for v, err := range All(sent) { // no panic, and an end
			if err == nil {
				_, _ = drain(v)
				_, _, _, _ = FirstAtOrAfter(v, 0, 0)
			}
		}
	}
}

func be16(n int16) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// legacyMessage is a message of magic 0 or 1 with a value, or a wrapper around
// others when attributes name a codec.
func legacyMessage(magic int8, attributes byte, value []byte) []byte {
	body := []byte{byte(magic), attributes}
	if magic == 1 {
		body = append(body, be64(testNow)...)
	}
	body = slices.Concat(body, be32(-1), be32(int32(len(value))), value)
	return slices.Concat(be64(0), be32(int32(4+len(body))), binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body)), body)
}

// Nested: legacy formats, as messages and as wrappers, and batches inside of
// batches. Kafka 4 takes no legacy message in any Produce version that it has
// (87, not UNSUPPORTED_FOR_MESSAGE_FORMAT).
func TestNested(t *testing.T) {
	one := build(t, None, testNow)
	inner := legacyMessage(1, 0, []byte("v"))
	value := Builder{}
	value.Add(testNow, nil, one)
	refuse(t, []hostile{
		{"a message of magic 0", legacyMessage(0, 0, []byte("v")), InvalidRecord, "magic 0: Produce needs magic 2"},
		{"a message of magic 1", inner, InvalidRecord, "magic 1: Produce needs magic 2"},
		{"a wrapper of magic 0", legacyMessage(0, 1, gzipped(t, legacyMessage(0, 0, nil))), InvalidRecord, "magic 0"},
		{"a wrapper of magic 1", legacyMessage(1, 1, gzipped(t, inner)), InvalidRecord, "magic 1"},
		{"a wrapper around a batch", legacyMessage(1, 1, gzipped(t, one)), InvalidRecord, "magic 1"},
		{"two messages of magic 1", slices.Concat(inner, inner), InvalidRecord, "magic 1"},
		{"a batch, then a wrapper", slices.Concat(one, legacyMessage(1, 1, gzipped(t, inner))), InvalidRecord, "more than one batch"},
		{"a batch as the records of a batch", section(t, None, 1, one), InvalidRecord, "record 0: a field of 1 bytes where the record has 0 left"},
		{"a message as the records of a batch", section(t, None, 1, inner), InvalidRecord, "record 0: "},
		{"a compressed batch as the records of one", section(t, Gzip, 1, build(t, Gzip, testNow)), InvalidRecord, "record 0: "},
		{"gzip of gzip", section(t, Gzip, 1, gzipped(t, one.Payload())), InvalidRecord, "record 0: "},
		{"a batch as a value: bytes like any", finish(t, &value, Plain(None)), 0, ""},
	}, nil)
}

// Overlapping: batches and records that end where others have begun.
func TestOverlapping(t *testing.T) {
	a, b := build(t, None, testNow, testNow), build(t, None, testNow)
	both := slices.Concat(a, b)
	stretched := func(to int, seal bool) []byte { // a's length says that it ends at to
		all := slices.Clone(both)
		copy(all[posLength:], be32(int32(to-logOverhead)))
		if seal {
			View(all[:to]).sealCRC()
		}
		return all
	}
	records := a.Payload()
	first := int(records[0]>>1) + 1 // bytes of the first record
	lengthens := func(by int8) View {
		v := slices.Clone(a)
		v[HeaderSize] = byte(int8(v[HeaderSize]) + 2*by)
		v.sealCRC()
		return v
	}
	refuse(t, []hostile{
		{"a batch that ends in the next one's header", stretched(len(a)+20, false), CorruptMessage, "CRC"},
		{"the same, with a CRC to match", stretched(len(a)+20, true), InvalidRecord, "bytes follow the last record"},
		{"a batch that ends in the next one's records", stretched(len(both)-3, true), InvalidRecord, "bytes follow the last record"},
		{"a batch around the next", stretched(len(both), true), InvalidRecord, "bytes follow the last record"},
		{"a batch that ends in its own last record", stretched(len(a)-1, true), CorruptMessage, ""},
		{"a batch that ends where its second record does not begin", stretched(HeaderSize+first, true), InvalidRecord, "record 1: the records end inside a record"},
		{"a record that ends in the next", lengthens(3), InvalidRecord, "record 0: the record's length is 3 bytes more than its fields"},
		{"a record that ends with the next", lengthens(int8(first)), InvalidRecord, "record 0: the record's length"},
		{"a record that ends before its fields", lengthens(-1), InvalidRecord, "record 0: "},
		{"a record that ends after the batch", lengthens(63 - int8(records[0]>>1)), InvalidRecord, "record 0: "},
		{"two batches", both, InvalidRecord, "more than one batch"},
		{"a batch and what follows, cut short", both[:len(both)-1], 0, ""},
	}, nil)
}

// Negative: every number of the header, below zero and at its ends.
func TestNegative(t *testing.T) {
	one := build(t, None, testNow)
	producer := func(id int64, epoch int16, sequence int32) View {
		return put(one, posProducerID, slices.Concat(be64(id), be16(epoch), be32(sequence)), true)
	}
	counts := func(delta, count int32) View {
		return put(put(one, posLastDelta, be32(delta), false), posCount, be32(count), true)
	}
	refuse(t, []hostile{
		{"length -1", put(one, posLength, be32(-1), false), CorruptMessage, "batch length -1"},
		{"length -2^31", put(one, posLength, be32(math.MinInt32), false), CorruptMessage, "batch length -2147483648"},
		{"length 0", put(one, posLength, be32(0), false), CorruptMessage, "batch length 0"},
		{"base offset -1", put(one, 0, be64(-1), false), InvalidRecord, "base offset -1"},
		{"base offset -2^63", put(one, 0, be64(math.MinInt64), false), InvalidRecord, "base offset -9223372036854775808"},
		{"base offset 2^63-1", put(one, 0, be64(math.MaxInt64), false), InvalidRecord, "base offset 9223372036854775807"},
		{"magic -128", put(one, posMagic, []byte{0x80}, false), CorruptMessage, "magic -128"},
		{"leader epoch -5, which the leader assigns", put(one, posLeaderEpoch, be32(-5), false), 0, ""},
		{"last offset delta -1", counts(-1, 1), InvalidRecord, "last offset delta -1"},
		{"last offset delta -2^31", counts(math.MinInt32, 1), InvalidRecord, "last offset delta -2147483648"},
		{"last offset delta -1 and no records", counts(-1, 0), InvalidRecord, "last offset delta -1"},
		{"no records", counts(0, 0), InvalidRecord, "record count 0"},
		{"record count -1", counts(0, -1), InvalidRecord, "record count -1"},
		{"record count -2^31", counts(0, math.MinInt32), InvalidRecord, "record count -2147483648"},
		{"count and delta that agree where 32 bits wrap", counts(math.MaxInt32, math.MinInt32), InvalidRecord, "record count -2147483648"},
		{"count below the last offset delta", counts(1, 1), InvalidRecord, "record count 1 with a last offset delta of 1"},
		{"count above the last offset delta", counts(0, 2), InvalidRecord, "record count 2 with a last offset delta of 0"},
		{"P29 producer without a sequence", producer(7, 0, -1), InvalidRecord, "base sequence -1 with producer id 7"},
		{"P29 producer with sequence -2^31", producer(0, 0, math.MinInt32), InvalidRecord, "base sequence -2147483648"},
		{"P29 the same, without an epoch", producer(7, -1, -1), InvalidRecord, "base sequence -1"},
		{"producer id -2 is none, as in Kafka", producer(-2, -1, -1), 0, ""},
		{"a sequence without a producer, as in Kafka", producer(-1, 0, 5), 0, ""},
		{"producer id 2^63-1", producer(math.MaxInt64, math.MaxInt16, math.MaxInt32), 0, ""},
		{"a producer without an epoch: its state decides", producer(7, -1, 0), 0, ""},
	}, nil)
}

// Huge: claims of up to 2^31-1 in the header and in records of every codec.
// (refuse holds the memory they take.)
func TestHuge(t *testing.T) {
	one := build(t, None, testNow)
	max32 := appendVarint(nil, math.MaxInt32)
	field := func(parts ...[]byte) []byte { // the fields of one record after its attributes
		body := slices.Concat(append([][]byte{{0}}, parts...)...)
		return append(appendVarint(nil, int64(len(body))), body...)
	}
	table := []hostile{
		{"length 2^31-1", put(one, posLength, be32(math.MaxInt32), false), InvalidRecord, "no whole batch"},
		{"length one more than there is", put(one, posLength, be32(one.Length()+1), false), InvalidRecord, "no whole batch"},
	}
	for _, codec := range allCodecs {
		name := codec.String() + ", "
		table = append(table,
			hostile{name + "2^31-1 records", put(put(section(t, codec, 1, field([]byte{0, 0, 1, 1, 0})), posLastDelta, be32(math.MaxInt32-1), false), posCount, be32(math.MaxInt32), true), InvalidRecord, "record 1: "},
			hostile{name + "a record of 2^31-1 bytes", section(t, codec, 1, slices.Concat(max32, make([]byte, 20))), InvalidRecord, "record 0: "},
			hostile{name + "a key of 2^31-1 bytes", section(t, codec, 1, field([]byte{0, 0}, max32, []byte("key"))), InvalidRecord, "record 0: a field of 2147483647 bytes"},
			hostile{name + "a value of 2^31-1 bytes", section(t, codec, 1, field([]byte{0, 0, 1}, max32, []byte("value"))), InvalidRecord, "record 0: a field of 2147483647 bytes"},
			hostile{name + "2^31-1 headers", section(t, codec, 1, field([]byte{0, 0, 1, 1}, max32, make([]byte, 30))), InvalidRecord, "record 0: "},
			hostile{name + "a header key of 2^31-1 bytes", section(t, codec, 1, field([]byte{0, 0, 1, 1, 2}, max32, []byte("key"))), InvalidRecord, "record 0: a field of 2147483647 bytes"},
			hostile{name + "a header value of 2^31-1 bytes", section(t, codec, 1, field([]byte{0, 0, 1, 1, 2, 0}, max32, []byte("value"))), InvalidRecord, "record 0: a field of 2147483647 bytes"},
		)
	}
	refuse(t, table, nil)
	refuse(t, []hostile{{"a batch over max.message.bytes", one, MessageTooLarge, "max.message.bytes is 60"}}, func(o *Options) { o.BytesMax = 60 })
	refuse(t, []hostile{{"a batch over segment.bytes", one, RecordListTooLarge, "segment.bytes is 60"}}, func(o *Options) { o.SegmentBytes = 60 })
}

// Attributes: codecs that do not exist, control batches, and bits that nobody
// uses yet, which Kafka stores as they are.
func TestAttributes(t *testing.T) {
	one := build(t, None, testNow)
	with := func(attributes int16) View { return put(one, posAttributes, be16(attributes), true) }
	marker := View(AppendEndTxn(nil, Commit, 7, 1, 3, testNow))
	table := []hostile{
		{"codec 5", with(5), InvalidRecord, "codec 5 does not exist"},
		{"codec 6", with(6), InvalidRecord, "codec 6 does not exist"},
		{"codec 7", with(7), InvalidRecord, "codec 7 does not exist"},
		{"records that are not what the codec says", with(1), InvalidRecord, "the records do not decompress"},
		{"P42 LogAppendTime", with(8), InvalidTimestamp, "1 of 1 records are invalid"},
		{"transactional", with(0x10), 0, ""},
		{"a control batch", with(0x20), InvalidRecord, "may not send control records"},
		{"a transactional control batch", with(0x30), InvalidRecord, "may not send control records"},
		{"a marker", marker, InvalidRecord, "may not send control records"},
		{"a control batch of codec 5", with(0x25), InvalidRecord, "codec 5 does not exist"},
	}
	for bit := 6; bit < 16; bit++ {
		table = append(table, hostile{"an unused bit, as in Kafka", with(int16(uint16(1) << bit)), 0, ""})
	}
	refuse(t, table, nil)
	if _, err := First(build(t, Zstd, testNow), 6); kindOf(err) != UnsupportedCompression {
		t.Errorf("zstd in Produce v6: %v", err)
	}
	info, err := produce(slices.Clone(with(math.MinInt16)), options(testNow))
	if err != nil || uint16(info.Batch.Attributes()) != 0x8000 {
		t.Errorf("bit 15 does not stay: %v %v", info.Batch, err)
	}
}

// Every bit of a batch, flipped: what the CRC covers is corrupt; what it does
// not is the offset (87), the length, the magic, and the epoch, which the
// leader writes over.
func TestEveryBit(t *testing.T) {
	for _, codec := range allCodecs {
		one := build(t, codec, testNow, testNow+1)
		for bit := range 8 * len(one) {
			at := bit / 8
			bent := put(one, at, []byte{one[at] ^ 1<<(bit%8)}, false)
			_, err := produce(bent, options(testNow))
			kind, ok := kindOf(err), false
			switch {
			case at < posLength:
				ok = kind == InvalidRecord
			case at < posLeaderEpoch: // shorter, longer, or nothing a batch can be
				ok = kind == CorruptMessage || kind == InvalidRecord
			case at < posMagic:
				ok = err == nil
			case at < posCRC: // magic 0 is refused as such; 3 and more do not exist
				ok = kind == CorruptMessage || kind == InvalidRecord && one[at]^1<<(bit%8) == 0
			default:
				ok = kind == CorruptMessage && strings.Contains(err.Msg, "CRC")
			}
			if !ok {
				t.Errorf("%v, byte %d bit %d: %v", codec, at, bit%8, err)
			}
		}
	}
}

// A batch cut off anywhere is an error wherever it is read, and the error says
// what ended; so is one whose length and CRC say that the rest is all there is.
func TestTruncation(t *testing.T) {
	for _, codec := range allCodecs {
		whole := build(t, codec, testNow, testNow+1, testNow+2)
		for n := range len(whole) {
			cut := slices.Clone(whole[:n:n])
			if _, err := First(cut, 9); kindOf(err) != InvalidRecord || !strings.Contains(err.Msg, "no whole batch") {
				t.Fatalf("%v cut at %d: First gives %v", codec, n, err)
			}
			if _, rest, err := Next(cut); !errors.Is(err, ErrIncomplete) || len(rest) != n {
				t.Fatalf("%v cut at %d: Next gives %v", codec, n, err)
			}
			if _, err := Parse(cut); !errors.Is(err, ErrIncomplete) {
				t.Fatalf("%v cut at %d: Parse gives %v", codec, n, err)
			}
			if _, err := Validate(cut, options(testNow)); kindOf(err) != CorruptMessage || !strings.Contains(err.Msg, "bytes are not the batch they say") {
				t.Fatalf("%v cut at %d: Validate gives %v", codec, n, err)
			}
			if n < logOverhead {
				continue
			}
			copy(cut[posLength:], be32(int32(n-logOverhead)))
			if n < HeaderSize {
				if _, err := Validate(cut, options(testNow)); kindOf(err) != CorruptMessage || !strings.Contains(err.Msg, "less than a header") {
					t.Fatalf("%v cut at %d with a length to match: Validate gives %v", codec, n, err)
				}
				continue
			}
			cut.sealCRC()
			want := "the records do not decompress"
			if codec == None {
				want = "record " + string('0'+rune(wholeRecords(cut.Payload()))) + ": the records end inside a record"
			}
			_, err := Validate(cut, options(testNow))
			if kindOf(err) != InvalidRecord || !strings.Contains(err.Msg, want) && (codec == None || !strings.Contains(err.Msg, "the records end inside a record")) {
				t.Fatalf("%v cut at %d with a length and a CRC to match: Validate gives %v, want %s", codec, n, err, want)
			}
			if read, err := drain(cut); err == nil || read > 3 {
				t.Fatalf("%v cut at %d with a length and a CRC to match: %d records, %v", codec, n, read, err)
			}
		}
	}
}

// wholeRecords counts the records that lie in b as a whole.
func wholeRecords(b []byte) (n int) {
	for {
		_, size := scan(b)
		if size == 0 {
			return n
		}
		n++
		b = b[size:]
	}
}

// Offsets that are not on disk: Next refuses what would wrap around.
func TestNextOffsets(t *testing.T) {
	one := build(t, None, testNow, testNow)
	for _, c := range []struct {
		base int64
		ok   bool
	}{{0, true}, {math.MaxInt64 - 2, true}, {math.MaxInt64 - 1, false}, {math.MaxInt64, false}, {-1, false}, {math.MinInt64, false}} {
		v, err := Parse(put(one, 0, be64(c.base), false))
		if (err == nil) != c.ok || c.ok && v.NextOffset() != c.base+2 {
			t.Errorf("base offset %d: %v", c.base, err)
		}
	}
}

// Control records: what is written, and the versions and types that are read.
func TestControlRules(t *testing.T) {
	var b Builder
	b.Add(testNow, []byte{0, 0, 0, 0}, make([]byte, 6))
	for _, codec := range allCodecs {
		o := Plain(codec)
		o.Control = true
		if _, err := b.Build(nil, o); (err == nil) != (codec == None) {
			t.Errorf("a control batch of codec %v: %v", codec, err)
		}
	}
	for _, c := range []struct {
		typ  ControlType
		want Attributes
	}{{Abort, 0x30}, {Commit, 0x30}} {
		v := View(AppendEndTxn(nil, c.typ, 1<<40, 9, 3, testNow))
		if v.Attributes() != c.want || v.Count() != 1 || v.BaseSequence() != -1 || v.ProducerID() != 1<<40 || v.ProducerEpoch() != 9 || !v.CheckCRC() {
			t.Errorf("marker %d: %x", c.typ, v)
		}
		for r, err := range Records(v, nil) {
			version, typ, keyErr := ParseControl(r.Key)
			epoch, valueErr := ParseEndTxn(r.Value)
			if errors.Join(err, keyErr, valueErr) != nil || version != 0 || typ != c.typ || epoch != 3 || r.Timestamp != testNow {
				t.Errorf("marker %d reads as version %d, type %d, epoch %d: %v %v %v", c.typ, version, typ, epoch, err, keyErr, valueErr)
			}
		}
	}
	for _, c := range []struct {
		key     string
		version int16
		typ     ControlType
		ok      bool
	}{
		{"\x00\x00\x00\x06", 0, 6, true},
		{"\x00\x05\x7f\xff", 5, 32767, true}, // readers skip types they do not know
		{"\x00\x01\x00\x02more", 1, LeaderChange, true},
		{"\x00\x00\xff\xff", 0, -1, true},
		{"\xff\xff\x00\x00", 0, 0, false},
		{"\x00\x00\x00", 0, 0, false},
		{"", 0, 0, false},
	} {
		version, typ, err := ParseControl([]byte(c.key))
		if (err == nil) != c.ok || version != c.version || typ != c.typ {
			t.Errorf("control key %x: %d %d %v", c.key, version, typ, err)
		}
	}
	for value, ok := range map[string]bool{"\x00\x00\x00\x00\x00\x09": true, "\x00\x07\x00\x00\x00\x09later": true, "\xff\xff\x00\x00\x00\x09": false, "\x00\x00\x00\x00\x00": false, "": false} {
		if epoch, err := ParseEndTxn([]byte(value)); (err == nil) != ok || ok && epoch != 9 {
			t.Errorf("end of transaction value %x: %d %v", value, epoch, err)
		}
	}
}
