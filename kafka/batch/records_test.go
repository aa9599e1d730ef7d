package batch

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 takes one from the clock")

// random gives a source whose seed a failure prints, with how to run it again.
func random(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again: go test ./kafka/batch -run '^%s$' -seed %d", t.Name(), seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

func randomBytes(r *rand.Rand, most int) []byte {
	switch r.IntN(10) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	b := make([]byte, r.IntN(most))
	for i := range b {
		b[i] = byte(r.IntN(1 + r.IntN(255)))
	}
	return b
}

// randomBatch builds a batch and says what records it must hold. Gaps leaves
// holes between the offsets, as compaction does.
func randomBatch(t testing.TB, r *rand.Rand, codec Codec, gaps bool) (View, []string) {
	t.Helper()
	o := Plain(codec)
	o.BaseOffset = r.Int64N(1 << 40)
	o.LeaderEpoch = r.Int32()
	most := 1 << (2 + r.IntN(12))
	var b Builder
	var want []string
	delta := int32(-1)
	for range 1 + r.IntN(100) {
		if delta++; gaps {
			delta += r.Int32N(3)
		}
		rec := Record{Offset: o.BaseOffset + int64(delta), Timestamp: testNow + r.Int64N(1000) - 500, Key: randomBytes(r, 20), Value: randomBytes(r, most)}
		for range r.IntN(4) {
			key := randomBytes(r, 10)
			if key == nil {
				key = []byte{}
			}
			rec.Headers = append(rec.Headers, Header{Key: key, Value: randomBytes(r, 10)})
		}
		b.AddAt(delta, rec.Timestamp, rec.Key, rec.Value, rec.Headers...)
		want = append(want, show(&rec))
	}
	return finish(t, &b, o), want
}

// Whatever is built is read back the same, is valid to a leader, and is found
// by time as a look at every record would.
func TestRandomRoundTrip(t *testing.T) {
	r := random(t)
	s := new(Scratch)
	for i := range 150 {
		codec, gaps := allCodecs[i%len(allCodecs)], r.IntN(2) == 0
		v, want := randomBatch(t, r, codec, gaps)
		got := recordLines(t, v, s)
		if !slices.Equal(got, want) {
			t.Fatalf("batch %d, %v: the records differ\n got %.200s\nwant %.200s", i, codec, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		checkLookups(t, r, v, s)
		if gaps {
			continue
		}
		sent := slices.Clone(v)
		sent.SetBaseOffset(0)
		o := options(testNow)
		o.BytesMax, o.Scratch = len(v), s
		if info, err := Validate(sent, o); err != nil || info.Rebuilt || int(info.Count) != len(want) || info.MaxTimestamp != v.MaxTimestamp() {
			t.Fatalf("batch %d, %v: %+v %v", i, codec, info, err)
		}
	}
}

// checkLookups compares FirstAtOrAfter with a look at every record (L5).
func checkLookups(t *testing.T, r *rand.Rand, v View, s *Scratch) {
	t.Helper()
	for range 5 {
		timestamp, from := testNow+r.Int64N(1100)-550, v.BaseOffset()+r.Int64N(int64(v.LastOffsetDelta())+3)-1
		want := "none"
		for rec, err := range Records(v, s) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Offset >= from && rec.Timestamp >= timestamp {
				want = fmt.Sprint(rec.Offset, rec.Timestamp)
				break
			}
		}
		got := "none"
		if offset, found, ok, err := FirstAtOrAfter(v, timestamp, from); err != nil {
			t.Fatal(err)
		} else if ok {
			got = fmt.Sprint(offset, found)
		}
		if got != want {
			t.Fatalf("first at or after time %d and offset %d: %s, want %s", timestamp, from, got, want)
		}
	}
}

// L11: LogAppendTime batches are searched by their append time; L3: the first
// record with the greatest timestamp.
func TestFirstAtOrAfter(t *testing.T) {
	for _, codec := range allCodecs {
		v := build(t, codec, 10, 30, 20, 30)
		v.SetBaseOffset(100)
		lat := slices.Clone(v)
		lat.SetTimestamps(true, 50)
		for _, c := range []struct {
			v               View
			timestamp, from int64
			want            string
		}{
			{v, 0, 0, "100 10 true"},
			{v, 11, 0, "101 30 true"},
			{v, 11, 102, "102 20 true"},
			{v, v.MaxTimestamp(), 0, "101 30 true"},
			{v, 31, 0, "0 0 false"},
			{v, 21, 102, "103 30 true"},
			{v, 0, 104, "0 0 false"},
			{lat, 11, 0, "100 50 true"},
			{lat, 50, 103, "103 50 true"},
			{lat, 51, 0, "0 0 false"},
		} {
			offset, found, ok, err := FirstAtOrAfter(c.v, c.timestamp, c.from)
			if got := fmt.Sprint(offset, found, ok); err != nil || got != c.want {
				t.Errorf("%v: time %d from %d: %s %v, want %s", codec, c.timestamp, c.from, got, err, c.want)
			}
		}
	}
}

// Next and All over batches back to back.
func TestNext(t *testing.T) {
	a, b := build(t, None, testNow), build(t, Zstd, testNow, testNow)
	empty := goldenBytes(t, "batch-empty-after-compaction")
	var sizes []int
	for v, err := range All(slices.Concat(a, b, empty)) {
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(v))
	}
	if want := []int{len(a), len(b), HeaderSize}; !slices.Equal(sizes, want) {
		t.Errorf("batches of %d bytes, want %d", sizes, want)
	}
	for _, c := range []struct {
		what string
		b    []byte
		want string
	}{
		{"partial", slices.Concat(a, b[:70]), "ok incomplete"},
		{"a few bytes", slices.Concat(a, b[:5]), "ok incomplete"},
		{"legacy", slices.Concat(a, put(b, posMagic, []byte{1}, false)), "ok corrupt"},
		{"length 0", slices.Concat(a, make([]byte, 100)), "ok corrupt"},
		{"negative count", put(a, posCount, be32(-1), true), "corrupt"},
		{"negative delta", put(a, posLastDelta, be32(-1), true), "corrupt"},
		{"more records than offsets", put(a, posCount, be32(2), true), "corrupt"},
		{"fewer records than offsets, as compaction leaves it", put(a, posLastDelta, be32(7), true), "ok"},
		{"nothing", nil, ""},
	} {
		var got []string
		for v, err := range All(c.b) {
			var e *Error
			switch {
			case err == nil && len(v) > 0:
				got = append(got, "ok")
			case errors.Is(err, ErrIncomplete):
				got = append(got, "incomplete")
			case errors.As(err, &e) && e.Kind == CorruptMessage:
				got = append(got, "corrupt")
			default:
				t.Errorf("%s: %v", c.what, err)
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.what, s, c.want)
		}
	}
	if _, err := Parse(slices.Concat(a, b)); err == nil {
		t.Error("Parse takes two batches")
	}
}

func TestSequences(t *testing.T) {
	for _, c := range []struct{ base, delta, want int32 }{{-1, 5, -1}, {0, 0, 0}, {0, 9, 9}, {2147483647, 0, 2147483647}, {2147483647, 1, 0}, {2147483640, 10, 2}} {
		v := put(build(t, None, testNow), posBaseSequence, slices.Concat(be32(c.base)), false)
		copy(v[posLastDelta:], be32(c.delta))
		if got := v.LastSequence(); got != c.want {
			t.Errorf("last sequence of %d + %d: %d, want %d", c.base, c.delta, got, c.want)
		}
	}
}

// The setters touch their own bytes, and the CRC only when it must change.
func TestSetters(t *testing.T) {
	v := build(t, None, testNow)
	crc := v.CRC()
	v.SetBaseOffset(1 << 40)
	v.SetLeaderEpoch(77)
	v.SetTimestamps(false, testNow)
	if v.BaseOffset() != 1<<40 || v.LeaderEpoch() != 77 || v.CRC() != crc || !v.CheckCRC() {
		t.Errorf("offset %d, epoch %d, CRC %#x, was %#x", v.BaseOffset(), v.LeaderEpoch(), v.CRC(), crc)
	}
	v.SetTimestamps(true, 9)
	if v.MaxTimestamp() != 9 || !v.Attributes().LogAppendTime() || v.CRC() == crc || !v.CheckCRC() {
		t.Errorf("after SetTimestamps: %d, attributes %b, CRC %#x", v.MaxTimestamp(), v.Attributes(), v.CRC())
	}
	v.SetTimestamps(false, testNow)
	if v.CRC() != crc {
		t.Errorf("there and back: CRC %#x, was %#x", v.CRC(), crc)
	}
}

// Breaking off an iteration leaves the scratch fit for the next.
func TestRecordsBreak(t *testing.T) {
	s := new(Scratch)
	for _, codec := range allCodecs {
		v := build(t, codec, 1, 2, 3)
		for range Records(v, s) {
			break
		}
		if got := recordLines(t, v, s); len(got) != 3 {
			t.Errorf("%v: %v", codec, got)
		}
	}
}

// Three readers of a record, the fast one, the streaming one and the decoder,
// agree on bytes that are nearly records.
func TestReadersAgree(t *testing.T) {
	r := random(t)
	good, bad := 0, 0
	header := build(t, None, testNow)
	for range 50_000 {
		var headers []Header
		for range r.IntN(3) {
			headers = append(headers, Header{Key: append([]byte{}, randomBytes(r, 4)...), Value: randomBytes(r, 70)})
		}
		b := appendRecord(nil, r.Int64N(1<<r.IntN(62))-5, r.Int32N(1<<r.IntN(30)), randomBytes(r, 70), randomBytes(r, 70), headers)
		for range r.IntN(3) {
			switch i := r.IntN(len(b)); r.IntN(4) {
			case 0:
				b = b[:i+1]
			case 1:
				b = append(b, byte(r.Uint32()))
			case 2:
				b[i] ^= 1 << r.IntN(8)
			default:
				b[i] = [...]byte{0, 1, 2, 0x7f, 0x80, 0x81, 0xff}[r.IntN(7)]
			}
		}
		agree(t, header, b)
		if _, n := scan(b); n > 0 {
			good++
		} else {
			bad++
		}
	}
	if good < 10_000 || bad < 10_000 {
		t.Errorf("%d good records and %d bad ones: not a fair sample", good, bad)
	}
}

func agree(t *testing.T, header View, b []byte) {
	t.Helper()
	fast, n := scan(b)
	var w window
	w.over(b)
	streamed := w.stream(0)
	if (n > 0) != (w.err == nil) || n > 0 && (n != w.pos || fast != streamed) {
		t.Fatalf("%x: scan %+v %d, stream %+v %d %v", b, fast, n, streamed, w.pos, w.err)
	}
	var d window
	d.over(b)
	var rec Record
	body := d.body()
	err := d.err
	if err == nil {
		err = decodeRecord(header, body, &rec)
	}
	if (err == nil) != (n > 0) {
		t.Fatalf("%x: scan %d, decode %v", b, n, err)
	}
	if err == nil && (rec.Timestamp != header.BaseTimestamp()+fast.timestampDelta || int32(rec.Offset) != fast.offsetDelta || (rec.Key == nil) != fast.nullKey) {
		t.Fatalf("%x: scan %+v, decode %s", b, fast, show(&rec))
	}
}

// A Builder is used again after Reset, and counts what it holds.
func TestBuilderReset(t *testing.T) {
	var b Builder
	b.AddAt(4, 90, []byte("a"), nil)
	b.Reset()
	if b.Len() != 0 || b.Size() != 0 {
		t.Errorf("after Reset: %d records, %d bytes", b.Len(), b.Size())
	}
	b.Add(10, []byte("k"), []byte("v"))
	b.Add(5, []byte("k"), []byte("v"))
	o := BuildOptions{BaseOffset: 7, LeaderEpoch: 3, ProducerID: 8, ProducerEpoch: 2, BaseSequence: 5, Transactional: true}
	prefix := []byte("kept")
	out, err := b.Build(prefix, o)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Parse(out[len(prefix):])
	if err != nil || string(out[:4]) != "kept" {
		t.Fatalf("%x %v", out[:4], err)
	}
	got := fmt.Sprint(v.BaseOffset(), v.LastOffset(), v.NextOffset(), v.LeaderEpoch(), v.ProducerID(), v.ProducerEpoch(), v.BaseSequence(), v.LastSequence(),
		v.Attributes().Transactional(), v.Attributes().Control(), v.Attributes().DeleteHorizon(), v.BaseTimestamp(), v.MaxTimestamp(), v.Count(), b.Len())
	if want := "7 8 9 3 8 2 5 6 true false false 10 10 2 2"; got != want {
		t.Errorf("header %s, want %s", got, want)
	}
	if _, err := b.Build(nil, BuildOptions{Codec: Gzip, Levels: Levels{Gzip: 99}}); err == nil || !strings.HasPrefix(err.Error(), "batch: invalid record: the records cannot be compressed") {
		t.Errorf("gzip level 99: %v", err)
	}
}

// Varints that fit, and those that are one bit too large.
func TestVarint(t *testing.T) {
	for _, c := range []struct {
		b        string
		bytesMax int
		v        int64
		n        int
	}{
		{"00", 5, 0, 1}, {"01", 5, -1, 1}, {"ac02", 5, 150, 2}, {"feffffff0f", 5, 2147483647, 5}, {"ffffffff0f", 5, -2147483648, 5},
		{"ffffffff10", 5, 0, -1}, {"ffffffff8f00", 5, 0, -1}, {"8080808000", 5, 0, 5}, {"", 5, 0, 0}, {"ffff", 5, 0, 0},
		{"feffffffffffffffff01", 10, 9223372036854775807, 10}, {"ffffffffffffffffff01", 10, -9223372036854775808, 10},
		{"ffffffffffffffffff02", 10, 0, -1}, {"ffffffffffffffffff8100", 10, 0, -1}, {"ffffffff10", 10, -2281701376, 5},
	} {
		b := unhex(t, c.b)
		v, n := varint(b, c.bytesMax)
		if v != c.v || n != c.n {
			t.Errorf("%s of at most %d bytes: %d in %d bytes, want %d in %d", c.b, c.bytesMax, v, n, c.v, c.n)
		}
		if again := appendVarint(nil, v); n == len(b) && n > 0 && c.b != "8080808000" && (string(again) != string(b) || varintSize(v) != n) {
			t.Errorf("%d is written as %x of %d bytes, want %s", v, again, varintSize(v), c.b)
		}
	}
}
