package batch

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// open starts reading v's records through s.win.
func (s *Scratch) open(v View) {
	payload := v.Payload()
	s.in.Reset(payload)
	limit := cmp.Or(s.DecompressedBytesMax, DefaultDecompressedBytesMax)
	switch v.Codec() {
	case None:
		s.win.over(payload)
	case Gzip:
		s.gzip.in, s.gzip.started = &s.in, false
		s.win.from(&s.gzip, limit)
	case Snappy:
		s.openSnappy(payload, limit)
	case LZ4:
		s.openLZ4(payload, limit)
	case Zstd:
		s.openZstd(payload, limit)
	default:
		s.refuse(errorf(InvalidRecord, "codec %d does not exist", v.Codec()))
	}
}

// refuse makes the records what cannot be read.
func (s *Scratch) refuse(err *Error) {
	s.win.over(nil)
	s.win.fail(err)
}

// gzipSource reads one or several concatenated gzip members. Bytes after a
// member that do not start another are ignored, as Java does.
type gzipSource struct {
	r       gzip.Reader
	in      *bytes.Reader
	started bool
}

func (g *gzipSource) Read(p []byte) (int, error) {
	if !g.started {
		if err := g.r.Reset(g.in); err != nil {
			return 0, err
		}
		g.started = true
		g.r.Multistream(false)
	}
	for {
		n, err := g.r.Read(p)
		if err != io.EOF {
			return n, err
		}
		if g.in.Len() == 0 || g.r.Reset(g.in) != nil {
			return n, io.EOF
		}
		g.r.Multistream(false)
		if n > 0 {
			return n, nil
		}
	}
}

var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const (
	xerialHeaderSize = 16 // magic, version, compatible version
	// snappyRatioMax bounds what a snappy block can decode to per byte: its
	// densest element gives 64 bytes for 3.
	snappyRatioMax = 22
)

// openSnappy handles both forms that producers write: snappy-java's blocks
// ("xerial") and one raw block.
func (s *Scratch) openSnappy(payload []byte, limit int64) {
	if len(payload) >= xerialHeaderSize && bytes.Equal(payload[:len(xerialMagic)], xerialMagic) {
		s.xerial.rest, s.xerial.limit, s.xerial.unread = payload[xerialHeaderSize:], limit, nil
		s.win.from(&s.xerial, limit)
		return
	}
	block, err := decodeSnappy(s.xerial.block, payload, limit)
	if err != nil {
		s.refuse(err)
		return
	}
	s.xerial.block = block
	s.win.over(block)
}

// xerialSource reads snappy-java's framing: int32 length and a raw snappy
// block, repeated.
type xerialSource struct {
	rest   []byte // frames not yet decoded
	block  []byte // storage of the decoded block
	unread []byte // what is left of it
	limit  int64
}

func (x *xerialSource) Read(p []byte) (int, error) {
	for len(x.unread) == 0 {
		if len(x.rest) == 0 {
			return 0, io.EOF
		}
		if len(x.rest) < 4 {
			return 0, io.ErrUnexpectedEOF
		}
		n := int64(binary.BigEndian.Uint32(x.rest))
		x.rest = x.rest[4:]
		if n > int64(len(x.rest)) {
			return 0, errorf(InvalidRecord, "a snappy block of %d bytes where %d are left", n, len(x.rest))
		}
		block, err := decodeSnappy(x.block, x.rest[:n], x.limit)
		if err != nil {
			return 0, err
		}
		x.rest, x.block, x.unread = x.rest[n:], block, block
	}
	n := copy(p, x.unread)
	x.unread = x.unread[n:]
	return n, nil
}

// decodeSnappy decodes one raw block into dst's storage. The stated length is
// believed only when src could produce it.
func decodeSnappy(dst, src []byte, limit int64) ([]byte, *Error) {
	stated, n := binary.Uvarint(src)
	switch {
	case n <= 0 || stated > uint64(len(src))*snappyRatioMax:
		return nil, errorf(InvalidRecord, "the records do not decompress: snappy block of %d bytes states %d", len(src), stated)
	case stated > uint64(limit):
		return nil, errorf(MessageTooLarge, "the records decompress to more than %d bytes", limit)
	}
	if extended(src[n:]) {
		return nil, errorf(InvalidRecord, "the records do not decompress: a snappy copy from offset 0")
	}
	block, err := snappy.Decode(dst[:cap(dst)], src)
	if err != nil {
		return nil, decompressError(err)
	}
	return block, nil
}

// extended reports whether the elements of a snappy block have one that only
// S2 knows: a copy with offset 0, "the same offset as before". Our decoder would
// take it, those of consumers would not. (A look at the tags costs less than
// half of what the library's strict decoder does.)
func extended(b []byte) bool {
	for at := 0; at < len(b); {
		tag := b[at]
		switch tag & 3 {
		case 0: // literal: its length in the tag, or in the one to four bytes after it
			n := int64(tag >> 2)
			at++
			if n >= 60 {
				bytes := int(n - 59)
				if bytes > len(b)-at {
					return false
				}
				n = 0
				for i := range bytes {
					n |= int64(b[at+i]) << (8 * i)
				}
				at += bytes
			}
			if n >= int64(len(b)-at) {
				return false
			}
			at += int(n) + 1
		case 1:
			if at+2 <= len(b) && tag>>5 == 0 && b[at+1] == 0 {
				return true
			}
			at += 2
		case 2:
			if at+3 <= len(b) && b[at+1]|b[at+2] == 0 {
				return true
			}
			at += 3
		default:
			if at+5 <= len(b) && b[at+1]|b[at+2]|b[at+3]|b[at+4] == 0 {
				return true
			}
			at += 5
		}
	}
	return false
}

var lz4Magic = []byte{0x04, 0x22, 0x4d, 0x18}

// openLZ4 takes LZ4 frames with independent blocks. Frames with linked blocks
// are refused: Java consumers cannot read them.
func (s *Scratch) openLZ4(payload []byte, limit int64) {
	const versionMask, version1, independent = 0xc0, 0x40, 0x20
	switch {
	case len(payload) < 7 || !bytes.Equal(payload[:4], lz4Magic) || payload[4]&versionMask != version1:
		s.refuse(errorf(InvalidRecord, "the records do not decompress: not an LZ4 frame of version 1"))
		return
	case payload[4]&independent == 0:
		s.refuse(errorf(InvalidRecord, "the records do not decompress: LZ4 blocks depend on each other"))
		return
	}
	if s.lz4 == nil {
		s.lz4 = lz4.NewReader(nil)
		if err := s.lz4.Apply(lz4.ConcurrencyOption(1)); err != nil {
			panic("BUG: lz4 reader options: " + err.Error())
		}
	}
	s.lz4.Reset(&s.in)
	s.win.from(s.lz4, limit)
}

func (s *Scratch) openZstd(payload []byte, limit int64) {
	if s.zstd == nil {
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(uint64(cmp.Or(s.ZstdWindowBytesMax, DefaultZstdWindowBytesMax))), zstd.WithDecodeBuffersBelow(0))
		if err != nil {
			panic("BUG: zstd reader options: " + err.Error())
		}
		s.zstd = r
	}
	if !s.zstdIn.reset(payload) {
		s.refuse(errorf(InvalidRecord, "the records do not decompress: a zstd frame is shorter than it says"))
	} else if err := s.zstd.Reset(&s.zstdIn); err != nil {
		s.refuse(decompressError(err))
	} else {
		s.win.from(s.zstd, limit)
	}
}
