package batch

import (
	"bytes"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Limits bound what one compressed batch may cost.
type Limits struct {
	DecompressedBytesMax int64 // of one batch's records; more is MessageTooLarge
	ZstdWindowBytesMax   int64 // window a zstd frame may ask for; at least 1 KiB
}

// DefaultLimits are 128 MiB of records a batch, which is a ratio of 128 for
// the default max.message.bytes, and a zstd window of 32 MiB.
func DefaultLimits() Limits {
	return Limits{DecompressedBytesMax: 128 << 20, ZstdWindowBytesMax: 32 << 20}
}

// Buffers is the scratch memory and the (de)compressors that reading or
// rebuilding one batch needs. They are made when first needed and used again.
// One call at a time.
type Buffers struct {
	limits Limits
	win    window
	in     bytes.Reader
	gzip   gzipSource
	xerial xerialSource
	lz4    *lz4.Reader
	zstd   *zstd.Decoder
	comp   compressors
	out    boundedBuffer
	record Record
}

// NewBuffers makes a Buffers that is not in a Pool.
func NewBuffers(limits Limits) *Buffers { return &Buffers{limits: limits} }

// retainedBytesMax is the largest scratch slice kept between uses.
const retainedBytesMax = 2 << 20

// release forgets the bytes of the batch last worked on, and storage that an
// unusual batch made grow.
func (s *Buffers) release() {
	s.in.Reset(nil)
	s.win.over(nil)
	s.xerial.rest, s.xerial.unread = nil, nil
	clear(s.record.Headers)
	s.record = Record{Headers: s.record.Headers[:0]}
	for _, b := range []*[]byte{&s.win.own, &s.xerial.block, &s.out.b} {
		if cap(*b) > retainedBytesMax {
			*b = nil
		}
	}
}

// Pool holds a fixed number of Buffers. As every decompression takes one,
// their number bounds the memory and the processors that compressed batches
// can occupy, whatever is sent. Safe for concurrent use.
type Pool struct{ free chan *Buffers }

// NewPool makes a pool of n Buffers, n > 0.
func NewPool(n int, limits Limits) *Pool {
	p := &Pool{free: make(chan *Buffers, n)}
	for range n {
		p.free <- NewBuffers(limits)
	}
	return p
}

// Get waits until a Buffers is free and takes it.
func (p *Pool) Get() *Buffers { return <-p.free }

// Put gives back what Get took. Nothing read through it may be used after.
func (p *Pool) Put(s *Buffers) {
	s.release()
	p.free <- s
}
