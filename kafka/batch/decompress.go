package batch

import (
	"bytes"
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
	limit := orDefault(s.DecompressedBytesMax, DefaultDecompressedBytesMax)
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
		s.openZstd(limit)
	default:
		s.win.over(nil)
		s.win.fail(errorf(InvalidRecord, "codec %d does not exist", v.Codec()))
	}
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
			return 0, noEOF(err)
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

// noEOF is for places where the stream may not end.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
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
		s.win.over(nil)
		s.win.fail(err)
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
	block, err := snappy.DecodeStrict(dst[:cap(dst)], src)
	if err != nil {
		return nil, decompressError(err)
	}
	return block, nil
}

var lz4Magic = []byte{0x04, 0x22, 0x4d, 0x18}

// openLZ4 takes LZ4 frames with independent blocks. Frames with linked blocks
// are refused: Java consumers cannot read them.
func (s *Scratch) openLZ4(payload []byte, limit int64) {
	const versionMask, version1, independent = 0xc0, 0x40, 0x20
	if len(payload) < 7 || !bytes.Equal(payload[:4], lz4Magic) || payload[4]&versionMask != version1 {
		s.win.over(nil)
		s.win.fail(errorf(InvalidRecord, "the records do not decompress: not an LZ4 frame of version 1"))
		return
	}
	if payload[4]&independent == 0 {
		s.win.over(nil)
		s.win.fail(errorf(InvalidRecord, "the records do not decompress: LZ4 blocks depend on each other"))
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

func (s *Scratch) openZstd(limit int64) {
	if s.zstd == nil {
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(uint64(orDefault(s.ZstdWindowBytesMax, DefaultZstdWindowBytesMax))), zstd.WithDecodeBuffersBelow(0))
		if err != nil {
			panic("BUG: zstd reader options: " + err.Error())
		}
		s.zstd = r
	}
	if err := s.zstd.Reset(&s.in); err != nil {
		s.win.over(nil)
		s.win.fail(decompressError(err))
		return
	}
	s.win.from(s.zstd, limit)
}
