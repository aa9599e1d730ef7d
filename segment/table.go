package segment

import "math/bits"

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
// never moves rows that readers look at, and an idle log pays 128 bytes.
const (
	chunkBits = 3
	chunksMax = 18 - chunkBits + 1
)

type table struct {
	chunks [chunksMax][]row
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
	return t.chunks[c][k]
}

// put sets row i. Rows below the published count are never set again.
func (t *table) put(i uint32, r row) {
	c, k := chunkOf(i)
	if t.chunks[c] == nil {
		n := 1 << chunkBits
		if c > 1 {
			n <<= c - 1
		}
		t.chunks[c] = make([]row, n)
	}
	t.chunks[c][k] = r
}
