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
	r.zstdIn = zstdSource{b: payload, windowMax: uint64(windowMax)}
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
//
// Skippable frames, of which a batch has room for very many, stay out.
type zstdSource struct {
	b         []byte
	at        int
	end       int    // of the frame that at is in
	patchAt   int    // where its window byte is, -1 when that stays
	patch     byte   // what it is lowered to
	windowMax uint64 // in bytes
}

func (z *zstdSource) Read(p []byte) (int, error) {
	if z.at == z.end {
		if err := z.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, z.b[z.at:z.end])
	if z.at <= z.patchAt && z.patchAt < z.at+n {
		p[z.patchAt-z.at] = z.patch
	}
	z.at += n
	return n, nil
}

const (
	zstdFrameMagic     = 0xfd2fb528
	zstdSkippableMagic = 0x184d2a50 // and the 15 after it
	zstdBlockBytesMax  = 128 << 10
)

// next finds the end of the next frame that is to be decoded. What is malformed
// is left for the decoder to find.
func (z *zstdSource) next() error {
	z.patchAt = -1
	for len(z.b)-z.at >= 8 {
		magic := binary.LittleEndian.Uint32(z.b[z.at:])
		if magic == zstdFrameMagic {
			return z.frame()
		}
		size := int64(binary.LittleEndian.Uint32(z.b[z.at+4:])) + 8
		if magic&^0xf != zstdSkippableMagic || size > int64(len(z.b)-z.at) {
			break
		}
		z.at += int(size)
	}
	if z.end = len(z.b); z.at == z.end {
		return io.EOF
	}
	return nil
}

// frame walks the block headers of the frame at at (RFC 8878, 3.1.1), for its
// end and its window. One that says its size, and thereby its window, and cannot
// have it is an error; one that can have a window over windowMax is ErrTooLarge,
// which a producer mends with smaller batches.
func (z *zstdSource) frame() error {
	b, start := z.b, z.at
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
	if z.end = len(b); at > len(b) {
		return nil
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
	z.end = min(at, len(b))
	window := zstdWindow(b[start+5])
	if !single && window > DeclaredWindowBytesMax {
		return errors.New("a zstd frame asks for a window that readers refuse")
	}
	if single {
		window = zstdContentSize(b[sizeAt : sizeAt+sizeLen])
		if window > bound {
			return errors.New("a zstd frame is shorter than it says")
		}
	}
	if min(window, bound) > z.windowMax {
		return ErrTooLarge
	}
	if single {
		return nil
	}
	exponent := max(bits.Len64(max(bound, 1)-1)-10, 0) // of the smallest power of two, from 1 KiB on
	if lowered := byte(exponent << 3); exponent < 32 && lowered < b[start+5] {
		z.patchAt, z.patch = start+5, lowered
	}
	return nil
}

// DeclaredWindowBytesMax is the largest window that a frame may ask for, needed or
// not: that of level 22, and the most that zstd's own decoder, and Java's, allow
// unless told otherwise. Consumers judge the frame as it is stored.
const DeclaredWindowBytesMax = 1 << 27

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
