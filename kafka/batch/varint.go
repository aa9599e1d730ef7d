package batch

const (
	varint32Max = 5  // bytes of the longest varint of 32 bits
	varint64Max = 10 // and of 64 bits
)

// varint decodes a zigzag varint of at most bytesMax (5 or 10) bytes from the
// front of b and returns the bytes it took: 0 when b ends too early, -1 when
// the number does not fit.
func varint(b []byte, bytesMax int) (int64, int) {
	var u uint64
	for i, c := range b {
		if i == bytesMax {
			return 0, -1
		}
		if i == varint32Max-1 && bytesMax == varint32Max && c > 0x0f || i == varint64Max-1 && c > 1 {
			return 0, -1
		}
		u |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return int64(u>>1) ^ -int64(u&1), i + 1
		}
	}
	return 0, 0
}

// scan is record for one that lies in b as a whole, and has nothing wrong: n
// is 0 for any other, for which stream knows what to do. It is several times
// as fast.
func scan(b []byte) (h head, n int) {
	length, at := zigzag32(b, 0)
	if at < 0 || length < 1 || length > len(b)-at {
		return h, 0
	}
	b = b[:at+length]
	h.timestampDelta, at = zigzag64(b, at+1) // after the attributes, which are unused
	delta, at := zigzag32(b, at)
	h.offsetDelta = int32(delta)
	key, at := zigzag32(b, at)
	h.nullKey = key < 0
	at = skip(b, at, key)
	value, at := zigzag32(b, at)
	at = skip(b, at, value)
	count, at := zigzag32(b, at)
	if count < 0 {
		return h, 0
	}
	for ; count > 0 && at >= 0; count-- {
		if key, at = zigzag32(b, at); key < 0 {
			return h, 0
		}
		at = skip(b, at, key)
		value, at = zigzag32(b, at)
		at = skip(b, at, value)
	}
	if at != len(b) {
		return h, 0
	}
	return h, at
}

// zigzag32 decodes the varint at b[at:] and returns the position after it, -1
// when there is none. An at of -1 gives -1.
func zigzag32(b []byte, at int) (v, next int) {
	if uint(at) < uint(len(b)) && b[at] < 0x80 {
		return int(b[at]>>1) ^ -int(b[at]&1), at + 1
	}
	return zigzag32Slow(b, at)
}

func zigzag32Slow(b []byte, at int) (v, next int) {
	if at < 0 || len(b)-at < 2 {
		return 0, -1
	}
	if hi := b[at+1]; hi < 0x80 { // b[at] has its high bit, or this would not be called
		u := int(b[at]&0x7f) | int(hi)<<7
		return u>>1 ^ -(u & 1), at + 2
	}
	n, size := varint(b[at:], varint32Max)
	if size <= 0 {
		return 0, -1
	}
	return int(n), at + size
}

// zigzag64 is zigzag32 for 64 bits, at a position that is not -1.
func zigzag64(b []byte, at int) (v int64, next int) {
	if at > len(b) {
		return 0, -1
	}
	v, n := varint(b[at:], varint64Max)
	if n <= 0 {
		return 0, -1
	}
	return v, at + n
}

// skip is the position after n bytes at b[at:], n being -1 for a null; -1 when
// there are not as many.
func skip(b []byte, at, n int) int {
	if n < 0 {
		if n == -1 {
			return at
		}
		return -1
	}
	if n > len(b)-at {
		return -1
	}
	return at + n
}

func appendVarint(b []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	for u >= 0x80 {
		b = append(b, byte(u)|0x80)
		u >>= 7
	}
	return append(b, byte(u))
}

func varintSize(v int64) int {
	u, n := uint64(v)<<1^uint64(v>>63), 1
	for ; u >= 0x80; u >>= 7 {
		n++
	}
	return n
}
