package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A payload cut anywhere is an error, or it ends where one of its parts ended
// (a gzip member, a snappy-java block, a zstd frame): what came out is then a
// whole part, and the batch's record count finds what is missing.
func TestCut(t *testing.T) {
	raw := sample(rand.New(rand.NewPCG(1, 1)), 600)
	for _, c := range framings(t, raw) {
		if c.want != "" || c.codec == None {
			continue
		}
		var r Reader
		for n := range len(c.blob) {
			got, err := read(&r, c.codec, c.blob[:n:n], plenty)
			if err != nil {
				continue
			}
			// Only these have parts or bytes that may be missing.
			switch c.what {
			case "gzip, several members", "snappy, xerial", "zstd, several frames", "zstd, the windows of level 22 in three frames":
				if len(got) >= len(raw) || !bytes.HasPrefix(raw, got) {
					t.Fatalf("%s, cut at %d: %d bytes, which are not a part", c.what, n, len(got))
				}
			case "gzip, trailing garbage", "gzip, trailing garbage like a member", "zstd, a skippable frame last":
				if !bytes.Equal(got, raw) {
					t.Fatalf("%s, cut at %d: %d bytes of %d", c.what, n, len(got), len(raw))
				}
			case "zstd, a skippable frame first", "snappy, xerial of version 2, readable as 1":
				if len(got) != 0 {
					t.Fatalf("%s, cut at %d: %d bytes", c.what, n, len(got))
				}
			default:
				t.Fatalf("%s, cut at %d of %d: %d bytes and no error", c.what, n, len(c.blob), len(got))
			}
		}
	}
}

// With a checksum of what is compressed, no flipped bit gives other bytes.
func TestFlippedBits(t *testing.T) {
	raw := sample(rand.New(rand.NewPCG(1, 1)), 100)
	for what, c := range map[string]struct {
		codec Codec
		blob  []byte
	}{
		"gzip": {Gzip, gzipped(t, raw, gzip.Header{})},
		"lz4":  {LZ4, lz4Frame(t, raw, lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(true), lz4.BlockChecksumOption(true), lz4.SizeOption(uint64(len(raw))))},
		"zstd": {Zstd, zstdFrame(t, raw, zstd.WithEncoderCRC(true))},
	} {
		var r Reader
		refused := 0
		for bit := range 8 * len(c.blob) {
			bent := edited(c.blob, bit/8, c.blob[bit/8]^1<<(bit%8))
			got, err := read(&r, c.codec, bent, plenty)
			if err == nil && !bytes.Equal(got, raw) && len(got) != 0 { // nothing: a frame that became one to skip
				t.Fatalf("%s, bit %d: %d other bytes and no error", what, bit, len(got))
			}
			if err != nil {
				refused++
			}
		}
		if refused < 7*len(c.blob) {
			t.Errorf("%s: only %d of %d flipped bits are noticed", what, refused, 8*len(c.blob))
		}
	}
}

// bomb is a payload that would give size bytes.
type bomb struct {
	what   string
	codec  Codec
	blob   []byte
	window bool // decompressing needs a window as large as what comes out
}

func bombs(t *testing.T, size int) []bomb {
	zeros := make([]byte, size)
	part := zeros[:size/64]
	return []bomb{
		{"gzip", Gzip, write(t, Gzip, zeros), false},
		{"gzip, 64 members", Gzip, bytes.Repeat(write(t, Gzip, part), 64), false},
		{"snappy, as Java", Snappy, write(t, Snappy, zeros), false},
		{"snappy, one raw block", Snappy, snappy.Encode(nil, zeros), false},
		{"snappy, 64 large blocks", Snappy, xerial(slices.Repeat([][]byte{part}, 64)...), false},
		{"lz4, as Java", LZ4, write(t, LZ4, zeros), false},
		{"lz4, blocks of 4 MiB", LZ4, lz4Frame(t, zeros, lz4.BlockSizeOption(lz4.Block4Mb)), false},
		{"zstd", Zstd, write(t, Zstd, zeros), false},
		{"zstd, 64 frames", Zstd, bytes.Repeat(write(t, Zstd, part), 64), false},
		{"zstd, a window of 128 MiB", Zstd, zstdFrame(t, zeros, zstd.WithWindowSize(128<<20)), true},
		{"zstd, one segment", Zstd, must[*zstd.Encoder](t)(zstd.NewWriter(nil, zstd.WithSingleSegment(true))).EncodeAll(zeros, nil), true},
	}
}

// A bomb gives the limit, exactly, and then ErrTooLarge. That the decompressor
// ran no further shows in what it was asked for: time needs no clock.
func TestBombs(t *testing.T) {
	const size, limit = 4 << 20, 1 << 20
	sink := make([]byte, 64<<10)
	for _, c := range bombs(t, size) {
		if len(c.blob) > size/18 {
			t.Errorf("%s: %d bytes are no bomb", c.what, len(c.blob))
		}
		var r Reader
		var got int
		var err error
		once := func() {
			whole, stream, e := r.Open(c.codec, c.blob, limit)
			got, err = len(whole), e
			for stream != nil && err == nil {
				var n int
				n, err = stream.Read(sink)
				got += n
			}
		}
		// What is made once: LZ4's two buffers of 4 MiB, or a zstd decoder's
		// window, which is what the frame asks for if it can hold as much.
		grown, allowed := allocated(once), int64(9<<20)
		if c.window {
			allowed = 2*size + 4<<20
		}
		if !errors.Is(err, ErrTooLarge) || got > limit {
			t.Errorf("%s: %d bytes came out, %v", c.what, got, err)
		}
		if grown > allowed {
			t.Errorf("%s: %d bytes of memory", c.what, grown)
		}
		if _, err := read(&r, c.codec, c.blob, size-1); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: with a limit one too low: %v", c.what, err)
		}
		if p, err := read(&r, c.codec, c.blob, size); len(p) != size || err != nil {
			t.Errorf("%s: with the limit it needs: %d bytes, %v", c.what, len(p), err)
		}
		r.Release(64 << 10)
		if cap(r.xerial.block) > 64<<10 {
			t.Errorf("%s: Release keeps a block of %d bytes", c.what, cap(r.xerial.block))
		}
	}
}

// Windows over the bound, and an LZ4 frame of another size than it says.
func TestLargeWindows(t *testing.T) {
	zeros := make([]byte, 200<<10)
	for what, blob := range map[string][]byte{
		"a window":    zstdFrame(t, zeros, zstd.WithWindowSize(128<<20)),
		"one segment": must[*zstd.Encoder](t)(zstd.NewWriter(nil, zstd.WithSingleSegment(true))).EncodeAll(zeros, nil),
	} {
		for _, c := range []struct {
			max  int64
			want error
		}{{128 << 10, ErrTooLarge}, {256 << 10, nil}} {
			r := Reader{WindowBytesMax: c.max}
			if p, err := read(&r, Zstd, blob, plenty); !errors.Is(err, c.want) || err == nil && len(p) != len(zeros) {
				t.Errorf("%s, bound to %d bytes: %d bytes, %v", what, c.max, len(p), err)
			}
		}
	}
	sized := lz4Frame(t, zeros, lz4.SizeOption(uint64(len(zeros))))
	for checksum := range 256 { // one of them fits the header
		binary.LittleEndian.PutUint64(sized[6:], 1<<62)
		sized[14] = byte(checksum)
		var r Reader
		if p, err := read(&r, LZ4, sized, plenty); err == nil {
			t.Errorf("lz4 content of 2^62 bytes: %d bytes and no error", len(p))
		}
	}
}

// After the limit the source is not asked for more than one byte: a bomb costs
// what its limit costs.
func TestLimitStopsTheSource(t *testing.T) {
	for _, limit := range []int64{0, 1, 99, 100, 101} {
		src := &counted{left: 100}
		l := limited{src: src, left: limit}
		p, err := io.ReadAll(&l)
		if want := min(limit, 100); limit < 100 && !errors.Is(err, ErrTooLarge) || limit >= 100 && err != nil || int64(len(p)) > want || src.given > limit+1 {
			t.Errorf("limit %d: %d bytes, %d taken from the source, %v", limit, len(p), src.given, err)
		}
	}
	idle := limited{src: idleReader{}, left: 10}
	if _, err := idle.Read(make([]byte, 5)); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a source that gives nothing: %v", err)
	}
}

type counted struct{ left, given int64 }

func (c *counted) Read(p []byte) (int, error) {
	n := min(int64(len(p)), c.left)
	c.left, c.given = c.left-n, c.given+n
	if n == 0 {
		return 0, io.EOF
	}
	return int(n), nil
}

type idleReader struct{}

func (idleReader) Read([]byte) (int, error) { return 0, nil }

// Parts that give nothing, as many as a message has room for: the work and the
// memory are those of the payload's size.
func TestEndlessParts(t *testing.T) {
	const size = 1 << 20
	fill := func(part []byte) []byte { return bytes.Repeat(part, size/len(part)) }
	emptyBlocks := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50}, make([]byte, size-size%3)...) // raw blocks of 0 bytes, none the last
	for what, c := range map[string]struct {
		codec Codec
		blob  []byte
		whole bool
	}{
		"gzip, empty members":            {Gzip, fill(write(t, Gzip, nil)), true},
		"snappy, empty blocks":           {Snappy, append(xerial(), fill([]byte{0, 0, 0, 1, 0})...), true},
		"snappy, blocks without a byte":  {Snappy, append(xerial(), fill([]byte{0, 0, 0, 0})...), false},
		"lz4, empty frames":              {LZ4, fill(write(t, LZ4, nil)), false},
		"lz4, skippable frames":          {LZ4, fill([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}), false},
		"zstd, skippable frames":         {Zstd, fill([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}), true},
		"zstd, empty frames":             {Zstd, fill([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50, 1, 0, 0}), true},
		"zstd, empty frames of 128 MiB":  {Zstd, fill([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 1, 0, 0}), true},
		"zstd, empty blocks":             {Zstd, emptyBlocks, false},
		"zstd, a block of 2 MiB, of one": {Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50, 0x03, 0x00, 0x80, 'x'}, false},
	} {
		var r Reader
		var p []byte
		var err error
		grown := allocated(func() { p, err = read(&r, c.codec, c.blob, plenty) })
		if len(p) != 0 || (err == nil) != c.whole || errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %d bytes, %v", what, len(p), err)
		}
		if grown > 16*size {
			t.Errorf("%s: %d bytes of memory", what, grown)
		}
	}
}

// A few bytes that claim gigabytes cost nothing like it.
func TestClaims(t *testing.T) {
	head := []byte{0x28, 0xb5, 0x2f, 0xfd}
	lz := lz4Frame(t, []byte("records"), lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false))
	claim := func(b []byte, at int, v uint32) []byte {
		b = slices.Clone(b)
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	for what, c := range map[string]struct {
		codec Codec
		blob  []byte
	}{
		"snappy states 4 GiB":              {Snappy, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0}},
		"snappy states 2^63":               {Snappy, binary.AppendUvarint(nil, 1<<63)},
		"snappy states a number too large": {Snappy, bytes.Repeat([]byte{0xff}, 11)},
		"snappy states 8 MiB":              {Snappy, append(binary.AppendUvarint(nil, 8<<20), make([]byte, 100)...)},
		"xerial block of 2 GiB":            {Snappy, append(xerial(), 0x7f, 0xff, 0xff, 0xff, 1)},
		"xerial block of 4 GiB":            {Snappy, append(xerial(), 0xff, 0xff, 0xff, 0xff, 1)},
		"lz4 block of 2 GiB":               {LZ4, claim(lz, 7, 0x7fffffff)},
		"lz4 plain block of 2 GiB":         {LZ4, claim(lz, 7, 0xffffffff)},
		"lz4 block over the block size":    {LZ4, slices.Concat(claim(lz, 7, 0x80000000|100<<10)[:11], make([]byte, 100<<10), make([]byte, 4))},
		"zstd one segment of 2^62":         {Zstd, append(slices.Clone(head), 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0)},
		"zstd one segment of 2^64-1":       {Zstd, append(append(slices.Clone(head), 0xe0), append(bytes.Repeat([]byte{0xff}, 8), 1, 0, 0)...)},
		"zstd one segment of 16 MiB":       {Zstd, append(slices.Clone(head), 0xa0, 0, 0, 0, 1, 1, 0, 0)},
		"zstd content of 2^62":             {Zstd, append(slices.Clone(head), 0xc0, 0x50, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0)},
		"zstd window of 1 TiB":             {Zstd, append(slices.Clone(head), 0x00, 0xf0, 0x0c, 0, 0)},
		"zstd skippable frame of 4 GiB":    {Zstd, []byte{0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 1, 0, 0}},
		"zstd block of 2 MiB":              {Zstd, append(slices.Clone(head), 0x00, 0x50, 0xfd, 0xff, 0xff, 1)},
	} {
		var r Reader
		var p []byte
		var err error
		grown := allocated(func() { p, err = read(&r, c.codec, c.blob, plenty) })
		if err == nil || errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %d bytes, %v", what, len(p), err)
		}
		if grown > 2<<20 {
			t.Errorf("%s: %d bytes of memory", what, grown)
		}
	}
}

// A frame that asks for a larger window than readers allow is refused although it
// needs none: it is stored as it came, and would stop its consumers.
func TestDeclaredWindows(t *testing.T) {
	frame := func(window byte) []byte {
		return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, window, 5<<3 | 1, 0, 0}, "12345"...)
	}
	for window, good := range map[byte]bool{0: true, 17 << 3: true, 17<<3 | 1: false, 18 << 3: false, 21 << 3: false, 22 << 3: false, 31<<3 | 7: false} {
		var r Reader
		p, err := read(&r, Zstd, frame(window), plenty)
		if good && (err != nil || string(p) != "12345") || !good && (err == nil || errors.Is(err, ErrTooLarge)) {
			t.Errorf("window byte %#x: %q, %v", window, p, err)
		}
	}
}
