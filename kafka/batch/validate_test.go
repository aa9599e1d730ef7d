package batch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

var allCodecs = []Codec{None, Gzip, Snappy, LZ4, Zstd}

const testNow = 1_700_000_000_000

// build makes a batch of one record a timestamp, with keys k0, k1...
func build(t testing.TB, codec Codec, timestamps ...int64) View {
	t.Helper()
	var b Builder
	for i, ts := range timestamps {
		b.Add(ts, fmt.Appendf(nil, "k%d", i), []byte("value"), Header{Key: []byte("h"), Value: nil})
	}
	return finish(t, &b, Plain(codec))
}

func finish(t testing.TB, b *Builder, o BuildOptions) View {
	t.Helper()
	out, err := b.Build(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Parse(out)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// put overwrites bytes of a batch and, if reseal, gives it a right CRC.
func put(v View, at int, b []byte, reseal bool) View {
	v = slices.Clone(v)
	copy(v[at:], b)
	if reseal {
		v.sealCRC()
	}
	return v
}

func be32(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
func be64(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// Step 1 of the validation, before the topic is looked at.
func TestStep1First(t *testing.T) {
	one := build(t, None, testNow)
	zstd := build(t, Zstd, testNow)
	legacy := slices.Clone(one)
	legacy[posMagic] = 1
	join := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	for _, c := range []struct {
		what    string
		records []byte
		version int16
		kind    Kind
		size    int
	}{
		{"one batch", one, 9, 0, len(one)},
		{"null", nil, 9, InvalidRecord, 0},
		{"empty", []byte{}, 9, InvalidRecord, 0},
		{"shorter than a length", one[:11], 9, InvalidRecord, 0},
		{"shorter than a magic", one[:16], 9, InvalidRecord, 0},
		{"partial", one[:len(one)-1], 9, InvalidRecord, 0},
		{"a size that runs past the buffer", put(one, posLength, be32(math.MaxInt32), false), 9, InvalidRecord, 0},
		{"negative size", put(one, posLength, be32(-1), false), 9, CorruptMessage, 0},
		{"size 13", put(one, posLength, be32(13), false)[:25], 9, CorruptMessage, 0},
		{"size 14", put(one, posLength, be32(14), false)[:26], 9, 0, 26},
		{"magic 0", put(one, posMagic, []byte{0}, false), 9, InvalidRecord, 0},
		{"magic 1", legacy, 9, InvalidRecord, 0},
		{"magic 3", put(one, posMagic, []byte{3}, false), 9, CorruptMessage, 0},
		{"magic -1", put(one, posMagic, []byte{0xff}, false), 9, CorruptMessage, 0},
		{"zstd, v7", zstd, 7, 0, len(zstd)},
		{"zstd, v6", zstd, 6, UnsupportedCompression, 0},
		{"two batches", join(one, one), 9, InvalidRecord, 0},
		{"a batch and a legacy message", join(one, legacy), 9, InvalidRecord, 0},
		{"a batch and part of one: trimmed", join(one, one[:len(one)-1]), 9, 0, len(one)},
		{"a batch and 11 bytes: trimmed", join(one, make([]byte, 11)), 9, 0, len(one)},
		{"a batch and 12 zeros: a size below the smallest", join(one, make([]byte, 12)), 9, CorruptMessage, 0},
		{"a batch and one of magic 3", join(one, put(one, posMagic, []byte{3}, false)), 9, CorruptMessage, 0},
	} {
		v, err := First(c.records, c.version)
		if kindOf(err) != c.kind || len(v) != c.size {
			t.Errorf("%s: %d bytes, %v, want %d and %v", c.what, len(v), err, c.size, c.kind)
		}
	}
}

// Steps 3 to 7: the header.
func TestSteps3To7Header(t *testing.T) {
	one := build(t, None, testNow, testNow)
	for _, c := range []struct {
		step string
		v    View
		edit func(*Options)
		kind Kind
	}{
		{"good", one, nil, 0},
		{"3 base offset", put(one, 0, be64(1), false), nil, InvalidRecord},
		{"3 before 4", put(one, 0, be64(1), false), func(o *Options) { o.BytesMax = 1 }, InvalidRecord},
		{"4 too large", one, func(o *Options) { o.BytesMax = len(one) - 1 }, MessageTooLarge},
		{"4 just fits", one, func(o *Options) { o.BytesMax = len(one) }, 0},
		{"4 before 5", put(one, posCRC, be32(0), false), func(o *Options) { o.BytesMax = 1 }, MessageTooLarge},
		{"5 shorter than a header", put(one, posLength, be32(60-12), false)[:60], nil, CorruptMessage},
		{"5 shorter than a header, with a CRC to match", put(put(one, posLength, be32(60-12), false)[:60], 0, nil, true), nil, CorruptMessage},
		{"5 CRC", put(one, posCRC, be32(0), false), nil, CorruptMessage},
		{"5 a flipped bit", put(one, len(one)-1, []byte{one[len(one)-1] ^ 1}, false), nil, CorruptMessage},
		{"5 before 6", put(one, posAttributes, []byte{0, 5}, false), nil, CorruptMessage},
		{"5 length", one[:len(one)-1], nil, CorruptMessage},
		{"6 codec 5", put(one, posAttributes, []byte{0, 5}, true), nil, InvalidRecord},
		{"6 codec 6", put(one, posAttributes, []byte{0, 6}, true), nil, InvalidRecord},
		{"6 codec 7", put(one, posAttributes, []byte{0, 7}, true), nil, InvalidRecord},
		{"7 last offset delta", put(one, posLastDelta, be32(-1), true), nil, InvalidRecord},
		{"7 no records", put(put(one, posCount, be32(0), true), posLastDelta, be32(-1), true), nil, InvalidRecord},
		{"7 count 0", put(one, posCount, be32(0), true), nil, InvalidRecord},
		{"7 negative count", put(one, posCount, be32(-2), true), nil, InvalidRecord},
		{"7 count over delta", put(one, posCount, be32(3), true), nil, InvalidRecord},
		{"7 count below delta", put(one, posLastDelta, be32(2), true), nil, InvalidRecord},
		{"7 greatest delta", put(put(one, posLastDelta, be32(math.MaxInt32), true), posCount, be32(math.MinInt32), true), nil, InvalidRecord},
		{"7 control", put(one, posAttributes, []byte{0, 0x20}, true), nil, InvalidRecord},
		{"7 P29 producer without a sequence", put(one, posProducerID, be64(4), true), nil, InvalidRecord},
		{"7 producer with a sequence", put(put(one, posProducerID, be64(4), true), posBaseSequence, be32(0), true), nil, 0},
		{"8 more records than bytes", put(put(one, posLastDelta, be32(99), true), posCount, be32(100), true), nil, InvalidRecord},
		{"8 fewer records than bytes", put(put(one, posLastDelta, be32(0), true), posCount, be32(1), true), nil, InvalidRecord},
		{"9 segment", one, func(o *Options) { o.SegmentBytes = int64(len(one)) - 1 }, RecordListTooLarge},
		{"9 segment just fits", one, func(o *Options) { o.SegmentBytes = int64(len(one)) }, 0},
	} {
		o := options(testNow)
		if c.edit != nil {
			c.edit(&o)
		}
		v := slices.Clone(c.v)
		_, err := Validate(v, o)
		if kindOf(err) != c.kind {
			t.Errorf("%s: %v, want %v", c.step, err, c.kind)
		}
		if err != nil && !bytes.Equal(v, c.v) {
			t.Errorf("%s: a refused batch was changed", c.step)
		}
	}
}

// Step 8, grammar: every field of a record that lies, in every codec.
func TestStep8Grammar(t *testing.T) {
	vi := func(all ...int64) (b []byte) {
		for _, n := range all {
			b = appendVarint(b, n)
		}
		return b
	}
	rec := func(parts ...[]byte) []byte {
		body := slices.Concat(parts...)
		return append(vi(int64(len(body))), body...)
	}
	attr := []byte{0}
	cases := []struct {
		what    string
		section []byte
		ok      bool
	}{
		{"smallest", rec(attr, vi(0, 0, -1, -1, 0)), true},
		{"key, value and headers", rec(attr, vi(0, 0, 1), []byte("k"), vi(0, 2, 0, -1, 1), []byte("h"), vi(1), []byte("v")), true},
		{"overlong varints", rec(attr, []byte{0x80, 0x00}, []byte{0x80, 0x80, 0x80, 0x80, 0x00}, vi(-1, -1, 0)), true},
		{"unused attribute bits", rec([]byte{0xff}, vi(0, 0, -1, -1, 0)), true},
		{"no bytes", nil, false},
		{"length 0", vi(0), false},
		{"negative length", append(vi(-1), attr...), false},
		{"huge length", append(vi(math.MaxInt32), attr...), false},
		{"length of 6 bytes", append([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, attr...), false},
		{"length over 32 bits", append([]byte{0xff, 0xff, 0xff, 0xff, 0x1f}, attr...), false},
		{"length short of the fields", append(vi(5), slices.Concat(attr, vi(0, 0, -1, -1, 0))...), false},
		{"length over the fields", append(vi(7), slices.Concat(attr, vi(0, 0, -1, -1, 0, 0))...), false},
		{"timestamp delta of 11 bytes", rec(attr, bytes.Repeat([]byte{0x80}, 10), vi(0, 0, -1, -1, 0)), false},
		{"key length -2", rec(attr, vi(0, 0, -2, -1, 0)), false},
		{"key over the record", rec(attr, vi(0, 0, 100, -1, 0)), false},
		{"huge key", rec(attr, vi(0, 0, math.MaxInt32, -1, 0)), false},
		{"value length -2", rec(attr, vi(0, 0, -1, -2, 0)), false},
		{"value over the record", rec(attr, vi(0, 0, -1, 2, 0)), false},
		{"no header count", rec(attr, vi(0, 0, -1, -1)), false},
		{"negative header count", rec(attr, vi(0, 0, -1, -1, -1)), false},
		{"huge header count", rec(attr, vi(0, 0, -1, -1, math.MaxInt32)), false},
		{"more headers than bytes", rec(attr, vi(0, 0, -1, -1, 2, 0, -1, 0)), false},
		{"null header key", rec(attr, vi(0, 0, -1, -1, 1, -1, -1)), false},
		{"header key over the record", rec(attr, vi(0, 0, -1, -1, 1, 9, -1)), false},
		{"header value -2", rec(attr, vi(0, 0, -1, -1, 1, 0, -2)), false},
		{"header without a value", rec(attr, vi(0, 0, -1, -1, 1, 1), []byte("k")), false},
		{"bytes after the record", append(rec(attr, vi(0, 0, -1, -1, 0)), 0), false},
		{"timestamp overflow", rec(attr, vi(math.MaxInt64, 0, -1, -1, 0)), false},
	}
	for _, c := range cases {
		for _, codec := range allCodecs {
			v := section(t, codec, 1, c.section)
			_, err := Validate(v, options(testNow))
			if want := map[bool]Kind{true: 0, false: InvalidRecord}[c.ok]; kindOf(err) != want {
				t.Errorf("%s, %v: %v, want %v", c.what, codec, err, want)
			}
			n, iterErr := drain(v)
			if c.what != "timestamp overflow" && (iterErr == nil) != c.ok || c.ok && n != 1 {
				t.Errorf("%s, %v: iterated %d records, %v", c.what, codec, n, iterErr)
			}
		}
	}
}

// section wraps a record section, as it stands, into a batch.
func section(t testing.TB, codec Codec, count int32, raw []byte) View {
	t.Helper()
	b := Builder{raw: raw, count: count, lastDelta: count - 1, baseTimestamp: testNow, maxTimestamp: testNow}
	out, err := b.Build(nil, Plain(codec))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func drain(v View) (n int, err error) {
	for _, err := range Records(v, nil) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Step 8, P40 to P42: timestamps, and keys on compacted topics.
func TestStep8Records(t *testing.T) {
	setLAT := func(v View) View {
		v = slices.Clone(v)
		v.SetTimestamps(true, testNow)
		return v
	}
	var noKeys Builder
	noKeys.Add(testNow, []byte("k"), nil)
	noKeys.Add(testNow, nil, []byte("v"))
	noKeys.Add(1, nil, []byte("v"))
	for _, codec := range allCodecs {
		for _, c := range []struct {
			what    string
			v       View
			edit    func(*Options)
			kind    Kind
			indexes []int
			max     int64
		}{
			{"P40 in range", build(t, codec, testNow-100, testNow+10, testNow), func(o *Options) { o.BeforeMaxMs, o.AfterMaxMs = 100, 10 }, 0, nil, testNow + 10},
			{"P40 too old", build(t, codec, testNow, testNow-101, testNow-101), func(o *Options) { o.BeforeMaxMs = 100 }, InvalidTimestamp, []int{1, 2}, 0},
			{"P40 too new", build(t, codec, testNow+11), func(o *Options) { o.AfterMaxMs = 10 }, InvalidTimestamp, []int{0}, 0},
			{"P40 no timestamp", build(t, codec, NoTimestamp, NoTimestamp), func(o *Options) { o.BeforeMaxMs = 0 }, 0, nil, NoTimestamp},
			{"P40 no bound", build(t, codec, math.MinInt64+1), nil, 0, nil, NoTimestamp},
			{"P40 far apart", build(t, codec, math.MinInt64+1), func(o *Options) { o.BeforeMaxMs = math.MaxInt64 - 1 }, InvalidTimestamp, []int{0}, 0},
			{"P40 the far future", build(t, codec, math.MaxInt64), nil, InvalidTimestamp, []int{0}, 0},
			{"P41 timestamps do not matter", build(t, codec, 5, math.MaxInt64), func(o *Options) { o.LogAppendTime, o.BeforeMaxMs = true, 0 }, 0, nil, testNow},
			{"P42 bit 3", setLAT(build(t, codec, testNow, testNow)), nil, InvalidTimestamp, []int{0, 1}, 0},
			{"P42 bit 3 on a LogAppendTime topic", setLAT(build(t, codec, testNow)), func(o *Options) { o.LogAppendTime = true }, InvalidTimestamp, []int{0}, 0},
			{"null keys", finish(t, &noKeys, Plain(codec)), nil, 0, nil, testNow},
			{"null keys, compacted", finish(t, &noKeys, Plain(codec)), func(o *Options) { o.Compacted = true }, InvalidRecord, []int{1, 2}, 0},
			{"null key and a timestamp: 32 decides", build2(t, codec, true), func(o *Options) { o.Compacted, o.BeforeMaxMs = true, 100 }, InvalidTimestamp, []int{0, 1}, 0},
			{"the same the other way round", build2(t, codec, false), func(o *Options) { o.Compacted, o.BeforeMaxMs = true, 100 }, InvalidTimestamp, []int{0, 1}, 0},
		} {
			o := options(testNow)
			if c.edit != nil {
				c.edit(&o)
			}
			info, err := Validate(c.v, o)
			if kindOf(err) != c.kind {
				t.Errorf("%v, %s: %v, want %v", codec, c.what, err, c.kind)
				continue
			}
			if err == nil {
				if info.MaxTimestamp != c.max || info.Batch.MaxTimestamp() != c.max || !info.Batch.CheckCRC() {
					t.Errorf("%v, %s: max timestamp %d and %d, want %d", codec, c.what, info.MaxTimestamp, info.Batch.MaxTimestamp(), c.max)
				}
				continue
			}
			var got []int
			for _, e := range err.RecordErrors {
				got = append(got, e.Index)
				if e.Msg == "" {
					t.Errorf("%v, %s: record %d has no message", codec, c.what, e.Index)
				}
			}
			if !slices.Equal(got, c.indexes) {
				t.Errorf("%v, %s: record errors %v, want %v", codec, c.what, got, c.indexes)
			}
		}
	}
}

// build2 has a null key and an old timestamp, in this order or the other.
func build2(t testing.TB, codec Codec, keyFirst bool) View {
	var b Builder
	if keyFirst {
		b.Add(testNow, nil, nil)
	}
	b.Add(testNow-101, []byte("k"), nil)
	if !keyFirst {
		b.Add(testNow, nil, nil)
	}
	return finish(t, &b, Plain(codec))
}

// A hostile batch cannot make us list a million errors.
func TestRecordErrorsAreBounded(t *testing.T) {
	var b Builder
	for range recordErrorsMax + 10 {
		b.Add(5, []byte("k"), nil)
	}
	o := options(testNow)
	o.BeforeMaxMs = 1
	_, err := Validate(finish(t, &b, Plain(Zstd)), o)
	if kindOf(err) != InvalidTimestamp || len(err.RecordErrors) != recordErrorsMax || !strings.HasPrefix(err.Msg, "1010 of 1010 records are invalid: timestamp 5 is") {
		t.Errorf("%v with %d record errors", err, len(err.RecordErrors))
	}
}

// Section 5: what is rewritten, and nothing else.
func TestRewrites(t *testing.T) {
	for _, codec := range allCodecs {
		sent := build(t, codec, 10, 30, 20)
		diff := func(a, b View) (fields []string) {
			for _, f := range []struct {
				name     string
				from, to int
			}{{"offset", 0, 8}, {"length", 8, 12}, {"epoch", 12, 16}, {"magic", 16, 17}, {"crc", 17, 21}, {"attributes", 21, 23}, {"delta", 23, 27},
				{"baseTime", 27, 35}, {"maxTime", 35, 43}, {"producer", 43, 57}, {"count", 57, 61}, {"records", 61, len(a)}} {
				if !bytes.Equal(a[f.from:f.to], b[f.from:f.to]) {
					fields = append(fields, f.name)
				}
			}
			return fields
		}
		wrong := slices.Clone(sent)
		binary.BigEndian.PutUint64(wrong[posMaxTime:], 99)
		wrong.sealCRC()
		for _, c := range []struct {
			what string
			v    View
			lat  bool
			want string
		}{
			{"nothing", sent, false, "[]"},
			{"a wrong maximum timestamp", wrong, false, "[crc maxTime]"},
			{"LogAppendTime", sent, true, "[crc attributes maxTime]"},
		} {
			o := options(testNow)
			o.LogAppendTime = c.lat
			v := slices.Clone(c.v)
			info, err := Validate(v, o)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(diff(c.v, info.Batch)); got != c.want || info.Rebuilt || &info.Batch[0] != &v[0] || !info.Batch.CheckCRC() {
				t.Errorf("%v, %s: changed %s, want %s; rebuilt %v", codec, c.what, got, c.want, info.Rebuilt)
			}
			wantMax, wantAppend := int64(30), NoTimestamp
			if c.lat {
				wantMax, wantAppend = testNow, testNow
			}
			if info.MaxTimestamp != wantMax || info.AppendTime != wantAppend || info.Batch.Attributes().LogAppendTime() != c.lat {
				t.Errorf("%v, %s: %+v", codec, c.what, info)
			}
		}
	}
}

// compression.type: from each codec to each; the records stay the same.
func TestRecompress(t *testing.T) {
	timestamps := make([]int64, 5000) // more than a window, and several blocks
	for i := range timestamps {
		timestamps[i] = testNow + int64(i%7)
	}
	s := new(Scratch)
	for _, from := range allCodecs {
		sent := build(t, from, timestamps...)
		want := recordLines(t, sent, s)
		for _, to := range append([]Codec{Keep}, allCodecs...) {
			for i, levels := range []Levels{DefaultLevels(), {Gzip: 1, LZ4: 1, Zstd: -7}, {Gzip: 9, LZ4: 17, Zstd: 22}} {
				if i > 0 && from != None {
					continue
				}
				o := options(testNow)
				o.Target, o.Levels, o.Scratch = to, levels, s
				info, err := Validate(slices.Clone(sent), o)
				if err != nil {
					t.Fatalf("%v to %v: %v", from, to, err)
				}
				wantCodec := to
				if to == Keep {
					wantCodec = from
				}
				if info.Rebuilt != (wantCodec != from) || info.Batch.Codec() != wantCodec || !info.Batch.CheckCRC() || info.Count != 5000 || info.MaxTimestamp != testNow+6 {
					t.Errorf("%v to %v: %+v", from, to, info)
				}
				if _, err := Parse(info.Batch); err != nil {
					t.Errorf("%v to %v: %v", from, to, err)
				}
				if got := recordLines(t, info.Batch, s); !slices.Equal(got, want) {
					t.Errorf("%v to %v: the records changed", from, to)
				}
			}
		}
	}
}

// A record's head that lies across the end of what is held of the stream is
// written once, as every other, wherever it is cut.
func TestRecompressAcrossWindows(t *testing.T) {
	const headMax = 24 // and more: length, attributes, deltas, key length
	for _, from := range allCodecs {
		for cut := range headMax {
			var want, b Builder
			for i, size := range []int{windowBytes - headMax - 8 + cut, 100, windowBytes - 100, 3*windowBytes + 1000, 10} {
				value := bytes.Repeat([]byte{byte('a' + i)}, size)
				b.AddAt(int32(2*i), testNow+int64(i)<<20, nil, value) // deltas that are to be straightened
				want.Add(testNow+int64(i)<<20, nil, value)
			}
			v := put(finish(t, &b, Plain(from)), posLastDelta, be32(int32(b.Len())-1), true)
			o := options(testNow)
			o.AfterMaxMs, o.Target = math.MaxInt64, None
			info, refused := Validate(v, o)
			if refused != nil {
				t.Fatalf("%v cut at %d: %v", from, cut, refused)
			}
			if !bytes.Equal(info.Batch.Payload(), want.raw) {
				t.Errorf("%v cut at %d: the records are not what was sent", from, cut)
			}
		}
	}
}

// Step 9: a batch that grows over max.message.bytes when it is decompressed.
func TestStep9RebuiltTooLarge(t *testing.T) {
	var b Builder
	b.Add(testNow, []byte("k"), make([]byte, 100_000))
	for _, codec := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		o := options(testNow)
		o.BytesMax, o.Target = 20_000, None
		if _, err := Validate(finish(t, &b, Plain(codec)), o); kindOf(err) != MessageTooLarge {
			t.Errorf("%v: %v", codec, err)
		}
	}
	o := options(testNow)
	o.Target, o.SegmentBytes = None, 50_000
	if _, err := Validate(finish(t, &b, Plain(Zstd)), o); kindOf(err) != RecordListTooLarge {
		t.Errorf("over the segment: %v", err)
	}
}

// Old clients sent offset deltas that are not 0, 1, 2...: the batch is rebuilt
// with straight ones, in the codec the topic wants.
func TestCrookedDeltas(t *testing.T) {
	for _, codec := range allCodecs {
		for _, target := range []Codec{Keep, None, LZ4} {
			for _, valueBytes := range []int{5, 300_000} { // within and beyond a window
				var crooked, straight Builder
				for i, delta := range []int32{0, 0, 700, 3} {
					value := bytes.Repeat([]byte{byte(i)}, valueBytes)
					crooked.AddAt(delta, int64(100+i), []byte("k"), value, Header{Key: []byte("h")})
					straight.AddAt(int32(i), int64(100+i), []byte("k"), value, Header{Key: []byte("h")})
				}
				v := finish(t, &crooked, Plain(codec))
				o := options(testNow)
				o.Target, o.BytesMax = target, 2_000_000
				info, err := Validate(slices.Clone(v), o)
				if err != nil {
					t.Fatalf("%v to %v: %v", codec, target, err)
				}
				got, want := recordLines(t, info.Batch, nil), recordLines(t, finish(t, &straight, Plain(None)), nil)
				if !info.Rebuilt || !slices.Equal(got, want) || info.MaxTimestamp != 103 || !info.Batch.CheckCRC() {
					t.Errorf("%v to %v: rebuilt %v, %d records, max timestamp %d", codec, target, info.Rebuilt, len(got), info.MaxTimestamp)
				}
			}
		}
	}
}

// Each way for a delta not to be the record's index, alone: the stored batch
// has its records at 0, 1, 2... all the same.
func TestEveryCrookedDelta(t *testing.T) {
	for _, codec := range allCodecs {
		for _, deltas := range [][]int32{{1}, {-1}, {math.MaxInt32}, {math.MinInt32}, {0, 2}, {1, 2}, {0, 0}, {1, 0}, {0, 1, 3}, {0, 1, 1}} {
			var b Builder
			for _, delta := range deltas {
				b.AddAt(delta, testNow, []byte("k"), nil)
			}
			b.lastDelta = int32(len(deltas)) - 1
			info, err := produce(finish(t, &b, Plain(codec)), options(testNow))
			if err != nil || !info.Rebuilt || int(info.Count) != len(deltas) {
				t.Errorf("%v, %d: %+v, %v", codec, deltas, info, err)
				continue
			}
			at := int64(0)
			for r, err := range Records(info.Batch, nil) {
				if err != nil || r.Offset != at {
					t.Errorf("%v, %d: record %d has offset %d, %v", codec, deltas, at, r.Offset, err)
				}
				at++
			}
		}
	}
}

// A call without a Scratch works as one with, and what it returns stays.
func TestSharedScratch(t *testing.T) {
	o := options(testNow)
	o.Scratch, o.Target = nil, Zstd
	a, err := Validate(build(t, LZ4, testNow, testNow), o)
	if err != nil {
		t.Fatal(err)
	}
	want := recordLines(t, a.Batch, nil)
	for range 3 * cap(shared) {
		if _, err := Validate(build(t, Gzip, 1, 2, 3, 4), o); err != nil {
			t.Fatal(err)
		}
	}
	if got := recordLines(t, a.Batch, nil); !slices.Equal(got, want) {
		t.Errorf("a rebuilt batch changed under its owner: %v", got)
	}
	if len(shared) != cap(shared) {
		t.Errorf("%d of %d scratches came back", len(shared), cap(shared))
	}
}
