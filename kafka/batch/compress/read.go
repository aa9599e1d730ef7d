package compress

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// ErrTooLarge is that more than the limit would come out, or that a zstd frame
// needs a larger window than is allowed.
var ErrTooLarge = errors.New("compress: more comes out than the limit")

func noSuchCodec(c Codec) error { return fmt.Errorf("codec %d does not exist", int8(c)) }

// DefaultWindowBytesMax is the window of zstd level 20.
const DefaultWindowBytesMax = 32 << 20

// Reader decompresses one payload after another. What that needs is made when
// first needed and used again. The zero value is ready.
type Reader struct {
	// WindowBytesMax bounds the window that a zstd frame may need: the one it
	// asks for or all it holds, whichever is less. 0 means
	// DefaultWindowBytesMax. Set before the first use.
	WindowBytesMax int64

	stream limited
	in     bytes.Reader
	gzip   gzipSource
	xerial xerialSource
	lz4    *lz4.Reader
	zstd   *zstd.Decoder
	zstdIn zstdSource
}

// Open starts on a payload from which at most limit bytes may come. What is
// there in one piece (not compressed, one raw snappy block) is returned as
// whole, with a nil stream; else the stream gives it, and no more than limit
// bytes before ErrTooLarge. Any other error is a payload that does not
// decompress. The limit does not apply to None, whose payload is what it is.
func (r *Reader) Open(codec Codec, payload []byte, limit int64) (whole []byte, stream io.Reader, err error) {
	r.in.Reset(payload)
	var src io.Reader
	switch codec {
	case None:
		return payload, nil, nil
	case Gzip:
		r.gzip.in, r.gzip.started = &r.in, false
		src = &r.gzip
	case Snappy:
		if !isXerial(payload) {
			r.xerial.block, err = decodeSnappy(r.xerial.block, payload, limit)
			return r.xerial.block, nil, err
		}
		src, err = r.xerial.open(payload, limit)
	case LZ4:
		src, err = r.openLZ4(payload)
	case Zstd:
		src, err = r.openZstd(payload)
	default:
		err = noSuchCodec(codec)
	}
	if err != nil {
		return nil, nil, err
	}
	r.stream = limited{src: src, left: limit}
	return nil, &r.stream, nil
}

// Release forgets the last payload, and storage above bytesMax that it took.
func (r *Reader) Release(bytesMax int) {
	r.in.Reset(nil)
	r.xerial.rest, r.xerial.unread = nil, nil
	r.zstdIn.b = nil
	if cap(r.xerial.block) > bytesMax {
		r.xerial.block = nil
	}
}

// limited is a stream that gives at most left bytes more.
type limited struct {
	src  io.Reader
	left int64
}

// idleReadsMax is how often in a row a decompressor may give nothing.
const idleReadsMax = 100

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		p = p[:l.left+1] // one more tells that the limit is not the end
	}
	for range idleReadsMax {
		n, err := l.src.Read(p)
		if int64(n) > l.left {
			return 0, ErrTooLarge
		}
		l.left -= int64(n)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
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
		if err := g.r.Reset(g.in); err == io.EOF {
			return 0, io.ErrUnexpectedEOF // not one member
		} else if err != nil {
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
