package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"testing"

	"github.com/klauspost/compress/gzip"
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
		{"xerial block of 4 GiB", Snappy, []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff\x01")},
		{"zstd single segment of 2^62", Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0}},
		{"zstd window of 1 TiB", Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf0, 1, 0, 0}},
		{"zstd window of 128 MiB", Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 1, 0, 0}},
		{"zstd window of 128 MiB, no block", Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 1, 0}},
		{"zstd single segment of 16 MiB", Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 1, 1, 0, 0}},
		{"zstd skippable frame of 4 GiB", Zstd, []byte{0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 1, 0, 0}},
		{"record of 2 GiB", Gzip, gzipped(t, appendVarint(nil, math.MaxInt32))},
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

func gzipped(t *testing.T, p []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(p)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
