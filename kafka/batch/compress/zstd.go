package compress

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"

	"github.com/klauspost/compress/zstd"
)

func (r *Reader) openZstd(payload []byte) (io.Reader, error) {
	windowMax := cmp.Or(r.WindowBytesMax, DefaultWindowBytesMax)
	if r.zstd == nil {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(uint64(windowMax)), zstd.WithDecodeBuffersBelow(0))
		if err != nil {
			panic("BUG: zstd reader options: " + err.Error())
		}
		r.zstd = z
	}
	if len(payload) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	if err := r.zstdIn.reset(payload, uint64(windowMax)); err != nil {
		return nil, err
	}
	return r.zstd, r.zstd.Reset(&r.zstdIn)
}

// zstdSource feeds zstd frames to a decoder that allocates the window a frame
// asks for before it looks at any block. Encoders ask for what their level
// uses, up to 128 MiB, also when a batch is small, and so does an attacker.
// But the block headers bound what a frame can hold, and no frame needs a
// larger window than that. So each window byte (it is in no checksum) is
// lowered to the bound while it is read.
//
//	a frame of level 22 with one block:  window 128 MiB  ->  128 KiB
type zstdSource struct {
	b       []byte
	at      int
	patches []patch // by position
}

type patch struct {
	at int
	to byte
}

func (z *zstdSource) Read(p []byte) (int, error) {
	n := copy(p, z.b[z.at:])
	for len(z.patches) > 0 && z.patches[0].at < z.at+n {
		p[z.patches[0].at-z.at] = z.patches[0].to
		z.patches = z.patches[1:]
	}
	if z.at += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

const (
	zstdFrameMagic     = 0xfd2fb528
	zstdSkippableMagic = 0x184d2a50 // and the 15 after it
	zstdBlockBytesMax  = 128 << 10
)

// reset starts over with b, and bounds its windows. A frame that says its size,
// and thereby its window, and cannot have it is an error; one that can have a
// window over windowMax is ErrTooLarge, which a producer mends with smaller
// batches. What is malformed otherwise is left for the decoder to find.
func (z *zstdSource) reset(b []byte, windowMax uint64) error {
	*z = zstdSource{b: b, patches: z.patches[:0]}
	for at := 0; len(b)-at >= 8; {
		magic := binary.LittleEndian.Uint32(b[at:])
		if magic&^0xf == zstdSkippableMagic {
			skip := int64(binary.LittleEndian.Uint32(b[at+4:])) + 8
			if skip > int64(len(b)-at) {
				return nil
			}
			at += int(skip)
			continue
		}
		if magic != zstdFrameMagic {
			return nil
		}
		next, err := z.frame(at, windowMax)
		if err != nil {
			return err
		}
		at = next
	}
	return nil
}

// frame walks the block headers of the frame at a position (RFC 8878, 3.1.1)
// and returns the position of the next one.
func (z *zstdSource) frame(start int, windowMax uint64) (next int, err error) {
	b := z.b
	descriptor := b[start+4]
	single, checksum := descriptor&0x20 != 0, descriptor&0x04 != 0
	at := start + 5
	if !single {
		at++
	}
	at += [4]int{0, 1, 2, 4}[descriptor&3] // dictionary id
	sizeAt, sizeLen := at, [4]int{0, 2, 4, 8}[descriptor>>6]
	if single && sizeLen == 0 {
		sizeLen = 1
	}
	at += sizeLen
	if at > len(b) {
		return len(b), nil
	}
	bound := uint64(0)
	for last := false; !last && len(b)-at >= 3; {
		header := uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16
		last = header&1 != 0
		size := int(header >> 3)
		at += 3
		switch header >> 1 & 3 {
		case 0: // raw
			bound += uint64(size)
			at += size
		case 1: // one byte, repeated
			bound += uint64(size)
			at++
		default:
			bound += zstdBlockBytesMax
			at += size
		}
	}
	if checksum {
		at += 4
	}
	window := zstdWindow(b[start+5])
	if single {
		window = zstdContentSize(b[sizeAt : sizeAt+sizeLen])
		if window > bound {
			return 0, errors.New("a zstd frame is shorter than it says")
		}
	}
	if min(window, bound) > windowMax {
		return 0, ErrTooLarge
	}
	if single {
		return min(at, len(b)), nil
	}
	exponent := max(bits.Len64(max(bound, 1)-1)-10, 0) // of the smallest power of two, from 1 KiB on
	if lowered := byte(exponent << 3); exponent < 32 && lowered < b[start+5] {
		z.patches = append(z.patches, patch{start + 5, lowered})
	}
	return min(at, len(b)), nil
}

// zstdWindow is the window that a frame's window byte asks for.
func zstdWindow(descriptor byte) uint64 {
	base := uint64(1) << (10 + descriptor>>3)
	return base + base/8*uint64(descriptor&7)
}

func zstdContentSize(field []byte) uint64 {
	switch len(field) {
	case 1:
		return uint64(field[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(field)) + 256
	case 4:
		return uint64(binary.LittleEndian.Uint32(field))
	default:
		return binary.LittleEndian.Uint64(field)
	}
}
