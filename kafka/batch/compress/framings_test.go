package compress

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// framing is a payload as some producer writes it, or as none should.
type framing struct {
	what  string
	codec Codec
	blob  []byte
	want  string // in the error; "" for a payload that gives all of raw
}

func noneFramings(_ *testing.T, raw []byte) []framing {
	return []framing{
		{"none", None, raw, ""},
		{"codec 5", 5, raw, "codec 5 does not exist"},
		{"codec 6", 6, raw, "codec 6 does not exist"},
		{"codec 7", 7, raw, "codec 7 does not exist"},
		{"codec -1", Keep, raw, "codec -1 does not exist"},
	}
}

func gzipFramings(t *testing.T, raw []byte) []framing {
	half, gz := len(raw)/2, gzipped(t, raw, gzip.Header{})
	return []framing{
		{"gzip, one member", Gzip, gz, ""},
		{"gzip, header fields", Gzip, gzipped(t, raw, gzip.Header{Name: "n", Comment: "c", Extra: []byte("extra")}), ""},
		{"gzip, several members", Gzip, slices.Concat(gzipped(t, raw[:half], gzip.Header{}), gzipped(t, nil, gzip.Header{}), gzipped(t, raw[half:], gzip.Header{})), ""},
		{"gzip, trailing garbage", Gzip, append(slices.Clone(gz), "garbage"...), ""},
		{"gzip, trailing garbage like a member", Gzip, append(slices.Clone(gz), 0x1f, 0x8b), ""},
		{"gzip, no trailer", Gzip, gz[:len(gz)-4], "unexpected EOF"},
		{"gzip, another checksum", Gzip, edited(gz, len(gz)-5, gz[len(gz)-5]^1), "checksum"},
		{"gzip, another size", Gzip, edited(gz, len(gz)-1, 9), "checksum"},
		{"gzip, a second member cut short", Gzip, slices.Concat(gz, gz[:len(gz)/2]), "unexpected EOF"},
		{"gzip, not deflate", Gzip, edited(gz, 2, 7), "invalid header"},
		{"gzip, nothing", Gzip, nil, "unexpected EOF"},
	}
}

func snappyFramings(t *testing.T, raw []byte) []framing {
	half := len(raw) / 2
	return []framing{
		{"snappy, one raw block", Snappy, snappy.Encode(nil, raw), ""},
		{"snappy, xerial", Snappy, xerial(raw[:10], raw[10:half], nil, raw[half:]), ""},
		{"snappy, xerial of version 2, readable as 1", Snappy, edited(xerial(raw), 11, 2), ""},
		{"snappy, xerial readable as version 0", Snappy, edited(xerial(raw), 15, 0), "compatible version 0"},
		{"snappy, xerial with half a length", Snappy, append(xerial(raw), 0, 0), "unexpected EOF"},
		{"snappy, xerial with a block cut short", Snappy, xerial(raw)[:100], "are left"},
		{"snappy, xerial with a negative length", Snappy, append(xerial(raw), 0xff, 0xff, 0xff, 0xff, 0), "are left"},
		{"snappy, xerial with an empty block", Snappy, append(xerial(raw), 0, 0, 0, 0), "states"},
		{"snappy, xerial magic alone", Snappy, xerialMagic, "states"},
		{"snappy, nothing", Snappy, nil, "states"},
		{"snappy, the stream format", Snappy, append([]byte("\xff\x06\x00\x00sNaPpY"), snappy.Encode(nil, raw)...), "corrupt"},
		{"s2, which snappy readers cannot read", Snappy, s2.Encode(nil, bytes.Repeat(raw[:500], 9)), "copy from offset 0"},
	}
}

func lz4Framings(t *testing.T, raw []byte) []framing {
	lz := lz4Frame(t, raw)
	java := lz4Frame(t, raw, lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false))
	return []framing{
		{"lz4, as Java", LZ4, java, ""},
		{"lz4, checksums and size", LZ4, lz4Frame(t, raw, lz4.BlockSizeOption(lz4.Block4Mb), lz4.ChecksumOption(true), lz4.BlockChecksumOption(true), lz4.SizeOption(uint64(len(raw)))), ""},
		{"lz4, two frames: Java reads the first only", LZ4, slices.Concat(lz, lz), "bytes follow"},
		{"lz4, trailing garbage", LZ4, append(slices.Clone(lz), 0), "bytes follow"},
		{"lz4, no end mark", LZ4, java[:len(java)-4], "unexpected EOF"},
		{"lz4, another content checksum", LZ4, edited(lz, len(lz)-1, lz[len(lz)-1]^1), "checksum"},
		{"lz4, another header checksum", LZ4, edited(lz, 6, lz[6]^1), "checksum"},
		{"lz4, linked blocks", LZ4, edited(lz, 4, lz[4]&^0x20), "depend on each other"},
		{"lz4, a dictionary", LZ4, edited(lz, 4, lz[4]|1), "dictionary"},
		{"lz4, a reserved flag", LZ4, edited(lz, 4, lz[4]|2), "reserved"},
		{"lz4, a reserved bit beside the block size", LZ4, edited(lz, 5, lz[5]|0x80), "reserved"},
		{"lz4, another reserved bit there", LZ4, edited(lz, 5, lz[5]|1), "reserved"},
		{"lz4, a block size that does not exist", LZ4, edited(lz, 5, 0x30), "checksum"},
		{"lz4, a skippable frame: Java knows none", LZ4, slices.Concat([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, lz), "not an LZ4 frame"},
		{"lz4, legacy frame", LZ4, lz4Frame(t, raw, lz4.LegacyOption(true)), "not an LZ4 frame"},
		{"lz4, version 2", LZ4, append(append(slices.Clone(lz4Magic), 0xa0, 0x40, 0xd4), make([]byte, 20)...), "version 1"},
		{"lz4, nothing", LZ4, nil, "not an LZ4 frame"},
	}
}

func zstdFramings(t *testing.T, raw []byte) []framing {
	half, zs := len(raw)/2, zstdFrame(t, raw)
	skippable := []byte{0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}
	return []framing{
		{"zstd, streamed", Zstd, zs, ""},
		{"zstd, content size and checksum", Zstd, must[*zstd.Encoder](t)(zstd.NewWriter(nil, zstd.WithEncoderCRC(true))).EncodeAll(raw, nil), ""},
		{"zstd, several frames", Zstd, slices.Concat(zstdFrame(t, raw[:half]), zstdFrame(t, raw[half:])), ""},
		{"zstd, the window of level 20", Zstd, zstdFrame(t, raw, zstd.WithWindowSize(32<<20)), ""},
		{"zstd, the window of level 22", Zstd, zstdFrame(t, raw, zstd.WithWindowSize(128<<20)), ""},
		{"zstd, the windows of level 22 in three frames", Zstd, slices.Concat(zstdFrame(t, raw[:9], zstd.WithWindowSize(128<<20)), zstdFrame(t, nil, zstd.WithZeroFrames(true)), zstdFrame(t, raw[9:], zstd.WithWindowSize(128<<20))), ""},
		{"zstd, a skippable frame first", Zstd, slices.Concat(skippable, zstdFrame(t, raw, zstd.WithWindowSize(128<<20))), ""},
		{"zstd, a skippable frame last", Zstd, slices.Concat(zs, skippable), ""},
		{"zstd, a skippable frame cut short", Zstd, slices.Concat(zs, skippable[:10]), "unexpected EOF"},
		{"zstd, cut short", Zstd, zs[:100], "unexpected EOF"},
		{"zstd, another checksum", Zstd, edited(zs, len(zs)-1, zs[len(zs)-1]^1), "CRC check failed"},
		{"zstd, a dictionary", Zstd, []byte{0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x50, 0x07, 0x01, 0x00, 0x00}, "dictionary"},
		{"zstd, a reserved bit", Zstd, edited(zs, 4, zs[4]|8), "reserved"},
		{"zstd, trailing garbage", Zstd, append(slices.Clone(zs), "garbage"...), "invalid"},
		{"zstd, nothing", Zstd, nil, "unexpected EOF"},
	}
}

func framings(t *testing.T, raw []byte) []framing {
	return slices.Concat(noneFramings(t, raw), gzipFramings(t, raw), snappyFramings(t, raw), lz4Framings(t, raw), zstdFramings(t, raw))
}

// Section 4: the framings that other producers write, and that Kafka reads;
// and what no consumer could read, refused with its reason.
func TestSection4Framings(t *testing.T) {
	raw := sample(rand.New(rand.NewPCG(1, 1)), 200_000)
	for _, c := range framings(t, raw) {
		var r Reader
		for range 2 { // the second time finds the Reader used
			got, err := read(&r, c.codec, c.blob, plenty)
			switch {
			case c.want == "":
				if err != nil || !bytes.Equal(got, raw) {
					t.Errorf("%s: %d bytes of %d, %v", c.what, len(got), len(raw), err)
				}
			case err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrTooLarge):
				t.Errorf("%s: %d bytes, %v, want %q", c.what, len(got), err, c.want)
			}
		}
	}
}
