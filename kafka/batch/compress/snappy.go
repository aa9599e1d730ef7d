package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/snappy"
)

var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const (
	xerialHeaderSize = 16 // magic, version, compatible version
	// snappyRatioMax bounds what a snappy block can decode to per byte: its
	// densest element gives 64 bytes for 3.
	snappyRatioMax = 22
)

// isXerial tells snappy-java's blocks ("xerial") from one raw block, the two
// forms that producers write.
func isXerial(payload []byte) bool {
	return len(payload) >= xerialHeaderSize && bytes.HasPrefix(payload, xerialMagic)
}

// xerialSource reads snappy-java's framing: int32 length and a raw snappy
// block, repeated.
type xerialSource struct {
	rest   []byte // frames not yet decoded
	block  []byte // storage of the decoded block
	unread []byte // what is left of it
	limit  int64
}

func (x *xerialSource) open(payload []byte, limit int64) (io.Reader, error) {
	if v := int32(binary.BigEndian.Uint32(payload[12:])); v < 1 {
		return nil, fmt.Errorf("snappy blocks of compatible version %d", v)
	}
	x.rest, x.unread, x.limit = payload[xerialHeaderSize:], nil, limit
	return x, nil
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
			return 0, fmt.Errorf("a snappy block of %d bytes where %d are left", n, len(x.rest))
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
func decodeSnappy(dst, src []byte, limit int64) ([]byte, error) {
	stated, n := binary.Uvarint(src)
	switch {
	case n <= 0 || stated > uint64(len(src))*snappyRatioMax:
		return nil, fmt.Errorf("a snappy block of %d bytes states %d", len(src), stated)
	case stated > uint64(limit):
		return nil, ErrTooLarge
	case extended(src[n:]):
		return nil, errors.New("a snappy copy from offset 0")
	}
	return snappy.Decode(dst[:cap(dst)], src)
}

// extended reports whether the elements of a snappy block have one that only
// S2 knows: a copy with offset 0, "the same offset as before". Our decoder would
// take it, those of consumers would not. (A look at the tags costs less than
// half of what the library's strict decoder does.)
func extended(b []byte) bool {
	for at := 0; at < len(b); {
		tag := b[at]
		switch tag & 3 {
		case 0: // literal: its length in the tag, or in the one to four bytes after it
			n := int64(tag >> 2)
			at++
			if n >= 60 {
				bytes := int(n - 59)
				if bytes > len(b)-at {
					return false
				}
				n = 0
				for i := range bytes {
					n |= int64(b[at+i]) << (8 * i)
				}
				at += bytes
			}
			if n >= int64(len(b)-at) {
				return false
			}
			at += int(n) + 1
		case 1:
			if at+2 <= len(b) && tag>>5 == 0 && b[at+1] == 0 {
				return true
			}
			at += 2
		case 2:
			if at+3 <= len(b) && b[at+1]|b[at+2] == 0 {
				return true
			}
			at += 3
		default:
			if at+5 <= len(b) && b[at+1]|b[at+2]|b[at+3]|b[at+4] == 0 {
				return true
			}
			at += 5
		}
	}
	return false
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
