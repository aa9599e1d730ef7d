package compress

import (
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Writer compresses one stream after another. It keeps one compressor a codec,
// with the level it was made for. The zero value is ready.
type Writer struct {
	gzip      *gzip.Writer
	gzipLevel int
	lz4       *lz4.Writer
	zstd      *zstd.Encoder
	zstdLevel int
	snappy    xerialWriter
	plain     plainWriter
}

// Open starts a stream of codec to out; Close ends it, which every stream needs.
// It fails on a codec or level that does not exist; the stream fails when out
// does.
func (w *Writer) Open(codec Codec, levels Levels, out io.Writer) (io.WriteCloser, error) {
	switch codec {
	case None:
		w.plain.Writer = out
		return &w.plain, nil
	case Gzip:
		return w.gzipWriter(levels.Gzip, out)
	case Snappy:
		w.snappy.out, w.snappy.raw, w.snappy.started = out, w.snappy.raw[:0], false
		return &w.snappy, nil
	case LZ4:
		return w.lz4Writer(levels.LZ4, out)
	case Zstd:
		return w.zstdWriter(levels.Zstd, out)
	}
	return nil, noSuchCodec(codec)
}

type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }

func (w *Writer) gzipWriter(level int, out io.Writer) (io.WriteCloser, error) {
	if w.gzip == nil || w.gzipLevel != level {
		z, err := gzip.NewWriterLevel(out, level)
		if err != nil {
			return nil, err
		}
		w.gzip, w.gzipLevel = z, level
		return z, nil
	}
	w.gzip.Reset(out)
	return w.gzip, nil
}

// lz4Writer writes what Java writes: blocks of 64 KiB that do not depend on
// each other, no checksums, no content size.
func (w *Writer) lz4Writer(level int, out io.Writer) (io.WriteCloser, error) {
	library := lz4.Fast // what Kafka's default level is as well
	if level != DefaultLevels().LZ4 {
		library = lz4.Level1 << (max(1, min(level, 9)) - 1)
	}
	if w.lz4 == nil {
		w.lz4 = lz4.NewWriter(out)
	}
	w.lz4.Reset(out)
	err := w.lz4.Apply(lz4.ConcurrencyOption(1), lz4.BlockSizeOption(lz4.Block64Kb),
		lz4.ChecksumOption(false), lz4.CompressionLevelOption(library))
	return w.lz4, err
}

// zstdWindowBytes is what a reader of our frames needs; a batch is seldom larger.
const zstdWindowBytes = 1 << 20

func (w *Writer) zstdWriter(level int, out io.Writer) (io.WriteCloser, error) {
	if w.zstd == nil || w.zstdLevel != level {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true),
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithWindowSize(zstdWindowBytes))
		if err != nil {
			return nil, err
		}
		w.zstd, w.zstdLevel = z, level
	}
	w.zstd.Reset(out)
	return w.zstd, nil
}
