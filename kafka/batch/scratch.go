package batch

import (
	"runtime"

	"chronik/kafka/batch/compress"
)

// Scratch is the memory and the (de)compressors that reading or rebuilding
// one batch needs. They are made when first needed and used again. The zero
// value is ready. One call, or one iteration, at a time.
type Scratch struct {
	// DecompressedBytesMax bounds the records of one batch; more is
	// MessageTooLarge. 0 means DefaultDecompressedBytesMax.
	DecompressedBytesMax int64
	// ZstdWindowBytesMax is compress.Reader's WindowBytesMax.
	ZstdWindowBytesMax int64

	win    window
	reader compress.Reader
	writer compress.Writer
	out    boundedBuffer
	record Record
}

// DefaultDecompressedBytesMax is a ratio of 128 for a batch of the default
// max.message.bytes.
const DefaultDecompressedBytesMax = 128 << 20

// retainedBytesMax is the largest scratch slice kept between uses.
const retainedBytesMax = 2 << 20

// release forgets the bytes of the batch last worked on, and storage that an
// unusual batch made grow.
func (s *Scratch) release() {
	s.reader.Release(retainedBytesMax)
	s.win.over(nil)
	clear(s.record.Headers)
	s.record = Record{Headers: s.record.Headers[:0]}
	for _, b := range []*[]byte{&s.win.own, &s.out.b} {
		if cap(*b) > retainedBytesMax {
			*b = nil
		}
	}
}

// shared holds the Scratches of calls that bring none. As every decompression
// takes one, their fixed number bounds the memory and the processors that
// compressed batches can occupy, whatever is sent. No call holds two.
var shared = newPool(max(2, runtime.GOMAXPROCS(0)))

type pool chan *Scratch

func newPool(n int) pool {
	p := make(pool, n)
	for range n {
		p <- new(Scratch)
	}
	return p
}

// get waits until one is free.
func (p pool) get() *Scratch { return <-p }

func (p pool) put(s *Scratch) {
	s.release()
	p <- s
}
