package batch

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// errOutTooLarge is boundedBuffer's: what is built outgrew its limit.
var errOutTooLarge = errors.New("over the limit")

// boundedBuffer is an append-only buffer that refuses to outgrow max bytes.
type boundedBuffer struct {
	b   []byte
	max int
}

func (o *boundedBuffer) Write(p []byte) (int, error) {
	if len(p) > o.max-len(o.b) {
		return 0, errOutTooLarge
	}
	o.b = append(o.b, p...)
	return len(p), nil
}

func compressError(err error) *Error {
	if errors.Is(err, errOutTooLarge) {
		return errorf(MessageTooLarge, "the rebuilt batch is over the limit")
	}
	return errorf(InvalidRecord, "the records cannot be compressed: %v", err)
}

// compressors keeps one compressor a codec, with the level it was made for.
type compressors struct {
	gzip      *gzip.Writer
	gzipLevel int
	lz4       *lz4.Writer
	zstd      *zstd.Encoder
	zstdLevel int
	snappy    xerialWriter
	plain     plainWriter
}

// writer starts a stream of codec to out. Close ends the stream.
func (c *compressors) writer(codec Codec, levels Levels, out io.Writer) (io.WriteCloser, error) {
	switch codec {
	case Gzip:
		return c.gzipWriter(levels.Gzip, out)
	case Snappy:
		c.snappy.out, c.snappy.raw, c.snappy.started = out, c.snappy.raw[:0], false
		return &c.snappy, nil
	case LZ4:
		return c.lz4Writer(levels.LZ4, out)
	case Zstd:
		return c.zstdWriter(levels.Zstd, out)
	}
	c.plain.Writer = out
	return &c.plain, nil
}

type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }

func (c *compressors) gzipWriter(level int, out io.Writer) (io.WriteCloser, error) {
	if c.gzip == nil || c.gzipLevel != level {
		w, err := gzip.NewWriterLevel(out, level)
		if err != nil {
			return nil, err
		}
		c.gzip, c.gzipLevel = w, level
		return w, nil
	}
	c.gzip.Reset(out)
	return c.gzip, nil
}

// lz4Writer writes what Java writes: blocks of 64 KiB that do not depend on
// each other, no checksums, no content size.
func (c *compressors) lz4Writer(level int, out io.Writer) (io.WriteCloser, error) {
	library := lz4.Fast // what Kafka's default level is as well
	if level != DefaultLevels().LZ4 {
		library = lz4.Level1 << (max(1, min(level, 9)) - 1)
	}
	if c.lz4 == nil {
		c.lz4 = lz4.NewWriter(out)
	}
	c.lz4.Reset(out)
	err := c.lz4.Apply(lz4.ConcurrencyOption(1), lz4.BlockSizeOption(lz4.Block64Kb),
		lz4.ChecksumOption(false), lz4.CompressionLevelOption(library))
	return c.lz4, err
}

// zstdWindowBytes is what a reader of our frames needs; a batch is seldom larger.
const zstdWindowBytes = 1 << 20

func (c *compressors) zstdWriter(level int, out io.Writer) (io.WriteCloser, error) {
	if c.zstd == nil || c.zstdLevel != level {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true),
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithWindowSize(zstdWindowBytes))
		if err != nil {
			return nil, err
		}
		c.zstd, c.zstdLevel = w, level
	}
	c.zstd.Reset(out)
	return c.zstd, nil
}

// xerialBlockBytes is the block size of snappy-java.
const xerialBlockBytes = 32 << 10

// xerialWriter writes snappy-java's framing, the form that every client reads
// because Java producers write it.
type xerialWriter struct {
	out     io.Writer
	raw     []byte // not yet compressed, less than a block
	enc     []byte
	started bool
}

func (x *xerialWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n := min(len(p), xerialBlockBytes-len(x.raw))
		x.raw = append(x.raw, p[:n]...)
		p = p[n:]
		if len(x.raw) == xerialBlockBytes {
			if err := x.block(); err != nil {
				return 0, err
			}
		}
	}
	return total, nil
}

func (x *xerialWriter) block() error {
	if !x.started {
		x.started = true
		var header [xerialHeaderSize]byte
		copy(header[:], xerialMagic)
		binary.BigEndian.PutUint32(header[8:], 1)  // version
		binary.BigEndian.PutUint32(header[12:], 1) // oldest version that reads this
		if _, err := x.out.Write(header[:]); err != nil {
			return err
		}
	}
	x.enc = snappy.Encode(x.enc[:cap(x.enc)], x.raw)
	x.raw = x.raw[:0]
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(x.enc)))
	if _, err := x.out.Write(length[:]); err != nil {
		return err
	}
	_, err := x.out.Write(x.enc)
	return err
}

// Close writes the last block; an empty one only when there is no other.
func (x *xerialWriter) Close() error {
	if len(x.raw) == 0 && x.started {
		return nil
	}
	return x.block()
}
