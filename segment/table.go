package segment

import (
	"math/bits"
	"slices"
	"sync/atomic"
)

// FramesMax is the number of frames after which a segment is full whatever its
// size, so that its table stays below 4 MiB.
const FramesMax = 1 << 18

const rowLen = 16

// row is what the table knows of a frame. On disk and in memory 16 bytes:
//
//	0  position / 8            u32
//	4  base offset - segment's u32
//	8  running max timestamp   i64  greatest of this frame and all before it
type row struct {
	pos8, delta  uint32
	maxTimestamp int64
}

// The memory table grows in chunks of 8, 8, 16, 32, ... rows, so that an append
// never moves rows that readers look at, and an idle log pays 200 bytes.
const chunkBits = 3

// table is the rows of an active segment: one writer, and readers of rows that
// were published.
type table struct {
	chunks atomic.Pointer[[][]row] // replaced, never changed, when one is added
}

// chunkOf says where row i lives.
func chunkOf(i uint32) (chunk int, at uint32) {
	chunk = bits.Len32(i >> chunkBits)
	if chunk > 0 {
		i -= 1 << (chunkBits + chunk - 1)
	}
	return chunk, i
}

func (t *table) at(i uint32) row {
	c, k := chunkOf(i)
	return (*t.chunks.Load())[c][k]
}

// put sets row i, in order. Rows below the published count are never set again.
func (t *table) put(i uint32, r row) {
	var chunks [][]row
	if p := t.chunks.Load(); p != nil {
		chunks = *p
	}
	c, k := chunkOf(i)
	if c == len(chunks) {
		n := 1 << chunkBits
		if c > 1 {
			n <<= c - 1
		}
		more := append(slices.Clip(chunks), make([]row, n))
		t.chunks.Store(&more)
		chunks = more
	}
	chunks[c][k] = r
}
