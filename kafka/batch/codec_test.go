package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// wrap makes a batch of an already compressed section.
func wrap(codec Codec, count int32, maxTimestamp int64, blob []byte) View {
	v := View(append(make([]byte, HeaderSize), blob...))
	be := binary.BigEndian
	be.PutUint32(v[posLength:], uint32(len(v)-logOverhead))
	be.PutUint32(v[posLeaderEpoch:], math.MaxUint32)
	v[posMagic] = magicV2
	be.PutUint16(v[posAttributes:], uint16(codec))
	be.PutUint32(v[posLastDelta:], uint32(count-1))
	be.PutUint64(v[posBaseTime:], testNow)
	be.PutUint64(v[posMaxTime:], uint64(maxTimestamp))
	copy(v[posProducerID:], bytes.Repeat([]byte{0xff}, 14))
	be.PutUint32(v[posCount:], uint32(count))
	v.sealCRC()
	return v
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// pipe compresses raw in one go through w, which writes to out.
func pipe(t testing.TB, raw []byte, out *bytes.Buffer, w io.WriteCloser) []byte {
	t.Helper()
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := slices.Clone(out.Bytes())
	out.Reset()
	return b
}

// Section 4: the framings that other producers write, and that Kafka reads.
func TestSection4Framings(t *testing.T) {
	var b Builder
	for i := range 2000 {
		b.Add(testNow, []byte("key"), bytes.Repeat([]byte{byte(i)}, 100), Header{Key: []byte("h"), Value: []byte{byte(i >> 3)}})
	}
	raw, half := b.raw, len(b.raw)/2
	plain := finish(t, &b, Plain(None))
	var out bytes.Buffer
	gz := func(p []byte, header gzip.Header) []byte {
		w := gzip.NewWriter(&out)
		w.Header = header
		return pipe(t, p, &out, w)
	}
	lz := func(p []byte, options ...lz4.Option) []byte {
		w := lz4.NewWriter(&out)
		if err := w.Apply(append(options, lz4.ConcurrencyOption(1))...); err != nil {
			t.Fatal(err)
		}
		return pipe(t, p, &out, w)
	}
	zs := func(p []byte, options ...zstd.EOption) []byte {
		return pipe(t, p, &out, must[*zstd.Encoder](t)(zstd.NewWriter(&out, append(options, zstd.WithEncoderConcurrency(1))...)))
	}
	xerial := func(blocks ...[]byte) []byte {
		x := append(slices.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
		for _, p := range blocks {
			enc := snappy.Encode(nil, p)
			x = append(append(x, be32(int32(len(enc)))...), enc...)
		}
		return x
	}
	for _, c := range []struct {
		what  string
		codec Codec
		blob  []byte
		kind  Kind
		msg   string
	}{
		{"gzip, one member", Gzip, gz(raw, gzip.Header{}), 0, ""},
		{"gzip, header fields", Gzip, gz(raw, gzip.Header{Name: "n", Comment: "c", Extra: []byte("extra")}), 0, ""},
		{"gzip, several members", Gzip, slices.Concat(gz(raw[:half], gzip.Header{}), gz(nil, gzip.Header{}), gz(raw[half:], gzip.Header{})), 0, ""},
		{"gzip, trailing garbage", Gzip, append(gz(raw, gzip.Header{}), "garbage"...), 0, ""},
		{"gzip, trailing garbage like a member", Gzip, append(gz(raw, gzip.Header{}), 0x1f, 0x8b), 0, ""},
		{"gzip, no trailer", Gzip, gz(raw, gzip.Header{})[:len(gz(raw, gzip.Header{}))-4], InvalidRecord, ""},
		{"gzip, nothing", Gzip, nil, InvalidRecord, ""},
		{"snappy, one raw block", Snappy, snappy.Encode(nil, raw), 0, ""},
		{"snappy, xerial", Snappy, xerial(raw[:10], raw[10:half], nil, raw[half:]), 0, ""},
		{"snappy, xerial without blocks", Snappy, xerial(), InvalidRecord, ""},
		{"snappy, xerial with half a length", Snappy, append(xerial(raw), 0, 0), InvalidRecord, ""},
		{"snappy, xerial with a block cut short", Snappy, xerial(raw)[:1000], InvalidRecord, ""},
		{"snappy, xerial magic alone", Snappy, xerialMagic, InvalidRecord, ""},
		{"snappy, nothing", Snappy, nil, InvalidRecord, ""},
		{"snappy, the stream format", Snappy, append([]byte("\xff\x06\x00\x00sNaPpY"), snappy.Encode(nil, raw)...), InvalidRecord, ""},
		{"s2, which snappy readers cannot read", Snappy, s2.Encode(nil, raw), InvalidRecord, ""},
		{"lz4, as Java", LZ4, lz(raw, lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false)), 0, ""},
		{"lz4, checksums and size", LZ4, lz(raw, lz4.BlockSizeOption(lz4.Block4Mb), lz4.ChecksumOption(true), lz4.BlockChecksumOption(true), lz4.SizeOption(uint64(len(raw)))), 0, ""},
		{"lz4, two frames", LZ4, slices.Concat(lz(raw[:half]), lz(raw[half:])), 0, ""},
		{"lz4, no end mark", LZ4, lz(raw, lz4.ChecksumOption(false))[:len(lz(raw, lz4.ChecksumOption(false)))-4], InvalidRecord, ""},
		{"lz4, linked blocks", LZ4, linked(lz(raw, lz4.ChecksumOption(false))), InvalidRecord, "depend on each other"},
		{"lz4, legacy frame", LZ4, lz(raw, lz4.LegacyOption(true)), InvalidRecord, ""},
		{"lz4, version 2", LZ4, append(append(slices.Clone(lz4Magic), 0xa0, 0x40, 0xd4), make([]byte, 20)...), InvalidRecord, "version 1"},
		{"lz4, nothing", LZ4, nil, InvalidRecord, ""},
		{"zstd, streamed", Zstd, zs(raw), 0, ""},
		{"zstd, content size and checksum", Zstd, must[*zstd.Encoder](t)(zstd.NewWriter(nil, zstd.WithEncoderCRC(true))).EncodeAll(raw, nil), 0, ""},
		{"zstd, several frames", Zstd, slices.Concat(zs(raw[:half]), zs(raw[half:])), 0, ""},
		{"zstd, the window of level 20", Zstd, zs(raw, zstd.WithWindowSize(32<<20)), 0, ""},
		{"zstd, the window of level 22", Zstd, zs(raw, zstd.WithWindowSize(128<<20)), 0, ""},
		{"zstd, the windows of level 22 in three frames", Zstd, slices.Concat(zs(raw[:9], zstd.WithWindowSize(128<<20)), zs(nil, zstd.WithZeroFrames(true)), zs(raw[9:], zstd.WithWindowSize(128<<20))), 0, ""},
		{"zstd, a skippable frame first", Zstd, append([]byte{0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}, zs(raw, zstd.WithWindowSize(128<<20))...), 0, ""},
		{"zstd, cut short", Zstd, zs(raw)[:200], InvalidRecord, ""},
		{"zstd, trailing garbage", Zstd, append(zs(raw), "garbage"...), InvalidRecord, ""},
		{"zstd, nothing", Zstd, nil, InvalidRecord, ""},
	} {
		v := wrap(c.codec, b.count, testNow, c.blob)
		s := new(Scratch)
		for range 2 { // the second time finds the scratch used
			o := options(testNow)
			o.Scratch = s
			info, err := Validate(v, o)
			if kindOf(err) != c.kind || err != nil && !strings.Contains(err.Msg, c.msg) {
				t.Errorf("%s: %v, want %v %s", c.what, err, c.kind, c.msg)
			}
			if err != nil {
				if n, err := drain(v); err == nil {
					t.Errorf("%s: refused, yet %d records are read", c.what, n)
				}
			} else if info.Rebuilt || !slices.Equal(recordLines(t, v, s), recordLines(t, plain, nil)) {
				t.Errorf("%s: other records are read", c.what)
			}
		}
	}
}

// linked clears the flag of independent blocks in an LZ4 frame.
func linked(frame []byte) []byte {
	frame = slices.Clone(frame)
	frame[4] &^= 0x20
	return frame
}

// A bomb of each codec is refused at the limit, in bounded memory. zeros gives
// nine records of one MiB of zeros from a few KiB.
func TestBombs(t *testing.T) {
	const records, mib, limit = 9, 1 << 20, 4 << 20
	var b Builder
	for range records {
		b.Add(testNow, []byte("k"), make([]byte, mib))
	}
	big := Builder{}
	big.Add(testNow, []byte("k"), make([]byte, records*mib))
	for _, codec := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		for what, bomb := range map[string]View{"many records": finish(t, &b, Plain(codec)), "one record": finish(t, &big, Plain(codec))} {
			s := &Scratch{DecompressedBytesMax: limit}
			o := options(testNow)
			o.BytesMax, o.Scratch = 64<<20, s
			var err *Error
			grown := allocated(func() { _, err = Validate(bomb, o) })
			if kindOf(err) != MessageTooLarge {
				t.Errorf("%v, %s: %v", codec, what, err)
			}
			if grown > 2<<20 {
				t.Errorf("%v, %s: took %d bytes of memory to refuse %d bytes", codec, what, grown, len(bomb))
			}
			o.Target = None
			if _, err := Validate(bomb, o); kindOf(err) != MessageTooLarge {
				t.Errorf("%v, %s, decompressed by the topic: %v", codec, what, err)
			}
			o.BytesMax, o.Scratch = len(bomb)+1000, new(Scratch)
			grown = allocated(func() { _, err = Validate(bomb, o) })
			if kindOf(err) != MessageTooLarge || grown > 2<<20 {
				t.Errorf("%v, %s, decompressed beyond max.message.bytes: %v, %d bytes allocated", codec, what, err, grown)
			}
			grown = allocated(func() {
				for _, e := range Records(bomb, s) {
					err, _ = e.(*Error)
				}
			})
			if kindOf(err) != MessageTooLarge || grown > 4*limit {
				t.Errorf("%v, %s: iterating gives %v and took %d bytes", codec, what, err, grown)
			}
			// Under the limit they are large, not bombs.
			o = options(testNow)
			o.BytesMax = 64 << 20
			if _, err := Validate(bomb, o); err != nil {
				t.Errorf("%v, %s, under the limit: %v", codec, what, err)
			}
		}
	}
}

// allocated is the bytes that f allocates.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// A few bytes that state gigabytes cost nothing like it.
func TestLyingLengths(t *testing.T) {
	for _, c := range []struct {
		what  string
		codec Codec
		blob  []byte
	}{
		{"snappy states 4 GiB", Snappy, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0}},
		{"snappy states 8 MiB", Snappy, append(binary.AppendUvarint(nil, 8<<20), make([]byte, 100)...)},
		{"xerial block of 4 GiB", Snappy, append(append(slices.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1), 0xff, 0xff, 0xff, 0xff, 1)},
		{"zstd single segment of 2^62", Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0}},
		{"zstd window of 1 TiB", Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf0, 1, 0, 0}},
		{"zstd window of 128 MiB", Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 1, 0, 0}},
		{"zstd window of 128 MiB, no block", Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 1, 0}},
		{"zstd single segment of 16 MiB", Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 1, 1, 0, 0}},
		{"zstd skippable frame of 4 GiB", Zstd, []byte{0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 1, 0, 0}},
		{"record of 2 GiB", Gzip, must[[]byte](t)(gzipped(appendVarint(nil, math.MaxInt32)))},
	} {
		s := new(Scratch)
		o := options(testNow)
		o.Scratch = s
		var err *Error
		if grown := allocated(func() { _, err = Validate(wrap(c.codec, 1, testNow, c.blob), o) }); grown > 2<<20 || kindOf(err) != InvalidRecord {
			t.Errorf("%s: %v, %d bytes allocated", c.what, err, grown)
		}
		if grown := allocated(func() { _, _ = drain(wrap(c.codec, 1, testNow, c.blob)) }); grown > 2<<20 {
			t.Errorf("%s, iterated: %d bytes allocated", c.what, grown)
		}
	}
}

func gzipped(p []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(p)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

// Our snappy decoding takes what the strict decoder of the library takes, and
// not S2's extension, on blocks that are nearly right.
func TestSnappyIsStrict(t *testing.T) {
	r := random(t)
	good, bad, extensions := 0, 0, 0
	for range 20_000 {
		raw := make([]byte, r.IntN(400))
		for i := range raw {
			raw[i] = byte(r.IntN(3))
		}
		encode := snappy.Encode
		if r.IntN(2) == 0 {
			encode = s2.EncodeBetter
		}
		b := encode(nil, raw)
		for range r.IntN(3) {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
		want, strictErr := snappy.DecodeStrict(nil, b)
		got, err := decodeSnappy(nil, b, 1<<20)
		stated, _ := binary.Uvarint(b)
		if implausible := stated > uint64(len(b))*snappyRatioMax; implausible && strictErr == nil {
			t.Fatalf("%x: %d bytes from %d", b, stated, len(b))
		} else if (err == nil) != (strictErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%x: %v, the strict decoder says %v", b, err, strictErr)
		}
		switch {
		case err == nil:
			good++
		case stated < 1000 && must[[]byte](t)(orNil(snappy.Decode(nil, b))) != nil:
			extensions++
		default:
			bad++
		}
	}
	if good < 1000 || bad < 1000 || extensions < 1000 {
		t.Errorf("%d good blocks, %d bad ones, %d extensions: not a fair sample", good, bad, extensions)
	}
}

func orNil(b []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, nil
	}
	return b, nil
}
