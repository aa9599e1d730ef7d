package compress

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
)

// Our snappy decoding takes what the strict decoder of the library takes, and
// not S2's extension, on blocks that are nearly right.
func TestSnappyIsStrict(t *testing.T) {
	r := random(t)
	good, bad, extensions := 0, 0, 0
	for range 10_000 {
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
		case stated < 1000 && decodes(b):
			extensions++
		default:
			bad++
		}
	}
	if good < 500 || bad < 500 || extensions < 500 {
		t.Errorf("%d good blocks, %d bad ones, %d extensions: not a fair sample", good, bad, extensions)
	}
}

func decodes(b []byte) bool {
	_, err := snappy.Decode(nil, b)
	return err == nil
}

// What ends with a block has no empty one after it.
func TestXerialBlocks(t *testing.T) {
	for _, c := range []struct{ size, blocks int }{{0, 1}, {1, 1}, {xerialBlockBytes, 1}, {xerialBlockBytes + 1, 2}, {2 * xerialBlockBytes, 2}} {
		blocks := 0
		for rest := write(t, Snappy, make([]byte, c.size))[xerialHeaderSize:]; len(rest) > 0; blocks++ {
			rest = rest[4+binary.BigEndian.Uint32(rest):]
		}
		if blocks != c.blocks {
			t.Errorf("%d bytes: %d blocks, want %d", c.size, blocks, c.blocks)
		}
	}
}
