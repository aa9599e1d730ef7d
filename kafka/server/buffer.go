package server

import (
	"math/bits"
	"sync"
)

// Buffers of frames come in powers of two from a pool; larger ones are made
// to measure and left to the garbage collector.
const (
	bufferBitsMin = 10 // 1 KiB
	bufferBitsMax = 22 // 4 MiB
)

// buffer is the memory of one frame.
type buffer struct{ b []byte }

var bufferPools [bufferBitsMax + 1]sync.Pool

// bufferCap is the capacity that getBuffer(n) has.
func bufferCap(n int) int {
	if n > 1<<bufferBitsMax {
		return n
	}
	return 1 << max(bufferBitsMin, bits.Len(uint(max(n, 1)-1)))
}

// getBuffer returns a buffer of length n. Its content is arbitrary.
func getBuffer(n int) *buffer {
	c := bufferCap(n)
	if c <= 1<<bufferBitsMax {
		if buf, ok := bufferPools[bits.Len(uint(c))-1].Get().(*buffer); ok {
			buf.b = buf.b[:n]
			return buf
		}
	}
	return &buffer{b: make([]byte, n, c)}
}

// put gives the memory back. Nothing may refer to it any more.
func (buf *buffer) put() {
	c := cap(buf.b)
	if c <= 1<<bufferBitsMax {
		bufferPools[bits.Len(uint(c))-1].Put(buf)
	}
}
