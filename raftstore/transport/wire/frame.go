package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/cespare/xxhash/v2"
)

// ErrBadFrame is what no correct peer sends: a damaged frame, one larger than
// allowed, or contents that do not follow FORMAT.md. It ends the connection.
var ErrBadFrame = errors.New("wire: malformed frame")

// FrameType says what the body of a frame is.
type FrameType uint8

const (
	FrameHello    FrameType = 1
	FramePing     FrameType = 2 // no body; answered by a pong
	FramePong     FrameType = 3 // no body
	FrameMessages FrameType = 4
	FrameCall     FrameType = 5
	FrameAnswer   FrameType = 6
)

const (
	headerLen = 16

	// HelloBytesMax bounds a hello, SmallBytesMax a frame on a small connection,
	// BulkBytesMax one on a bulk connection, BodyBytesMax what a call or its
	// answer carries.
	HelloBytesMax = 4 << 10
	SmallBytesMax = 1 << 20
	BulkBytesMax  = 128 << 20
	BodyBytesMax  = 1 << 20

	// trustBytesMax is allocated on the word of a length field; beyond it the
	// buffer grows as bytes arrive.
	trustBytesMax = 4 << 20
)

// putHeader writes the header of a frame into b:
//
//	0   u64  hash     xxh64 of everything behind it, body included: damage on the way
//	8   u32  length   of the body
//	12  u8   type
//	13  u24  0
func putHeader(b []byte, typ FrameType, length int, body [][]byte) {
	binary.LittleEndian.PutUint32(b[8:], uint32(length))
	b[12], b[13], b[14], b[15] = byte(typ), 0, 0, 0
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(b[8:headerLen])
	for _, seg := range body {
		_, _ = d.Write(seg)
	}
	binary.LittleEndian.PutUint64(b, d.Sum64())
}

// AppendFrame appends a whole frame to b.
func AppendFrame(b []byte, typ FrameType, body ...[]byte) []byte {
	at, n := len(b), 0
	b = append(b, make([]byte, headerLen)...)
	for _, seg := range body {
		b, n = append(b, seg...), n+len(seg)
	}
	putHeader(b[at:], typ, n, body)
	return b
}

// Limit is the greatest body of a type of frame on a connection, negative for
// one that must not come.
func Limit(c Class, typ FrameType) int {
	switch {
	case typ == FramePing || typ == FramePong:
		return 0
	case typ == FrameMessages && c == Bulk:
		return BulkBytesMax
	case typ == FrameMessages && c == Small:
		return SmallBytesMax
	case typ == FrameCall && c == Calls:
		return CallLen + BodyBytesMax
	case typ == FrameAnswer && c == Calls:
		return AnswerLen + BodyBytesMax
	}
	return -1
}

// ReadFrame reads a frame. limit gives the greatest body of a type, negative
// for a type that must not come. The body is the caller's.
func ReadFrame(r *bufio.Reader, limit func(FrameType) int) (FrameType, []byte, error) {
	return ReadFrameWithin(r, limit, func(int) error { return nil })
}

// ReadFrameWithin is ReadFrame, and has room called with the length of the body
// before any of it is read. An error of room's ends it.
func ReadFrameWithin(r *bufio.Reader, limit func(FrameType) int, room func(length int) error) (FrameType, []byte, error) {
	head, err := r.Peek(headerLen)
	if err != nil {
		if err == io.EOF && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	var header [headerLen]byte
	copy(header[:], head)
	_, _ = r.Discard(headerLen)
	hash := binary.LittleEndian.Uint64(header[:])
	length, typ := int(binary.LittleEndian.Uint32(header[8:])), FrameType(header[12])
	if header[13]|header[14]|header[15] != 0 {
		return 0, nil, fmt.Errorf("%w: header %x", ErrBadFrame, header)
	}
	if most := limit(typ); length > most {
		return 0, nil, fmt.Errorf("%w: type %d with %d bytes, at most %d", ErrBadFrame, typ, length, most)
	}
	if err := room(length); err != nil {
		return 0, nil, err
	}
	body, err := readBody(r, length)
	if err != nil {
		return 0, nil, err
	}
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(header[8:])
	_, _ = d.Write(body)
	if got := d.Sum64(); got != hash {
		return 0, nil, fmt.Errorf("%w: type %d with %d bytes: hash %x, want %x", ErrBadFrame, typ, length, got, hash)
	}
	return typ, body, nil
}

func readBody(r io.Reader, length int) ([]byte, error) {
	if length == 0 {
		return nil, nil
	}
	body := make([]byte, min(length, trustBytesMax))
	for at := 0; ; {
		if _, err := io.ReadFull(r, body[at:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if at = len(body); at == length {
			return body, nil
		}
		grown := make([]byte, min(length, 2*at))
		copy(grown, body)
		body = grown
	}
}

// spliceBytesMin is the length from which entry data is handed to the socket
// where it lies instead of being copied.
const spliceBytesMin = 8 << 10

// pieceBytes is how much of a frame is written at a time.
const pieceBytes = 1 << 20

// Writer gathers the body of a frame. It is used again and again.
type Writer struct {
	buf  []byte   // what is copied, behind room for the header
	from int      // of buf: not yet among segs
	segs [][]byte // pieces of the frame
	size int      // of segs
	out  net.Buffers
}

// Len is the length of the body so far.
func (w *Writer) Len() int { return max(0, w.size+len(w.buf)-w.from-headerLen) }

// begin leaves room for the header in front of the first byte.
func (w *Writer) begin() {
	if w.size == 0 && len(w.buf) == 0 {
		w.buf = append(w.buf, make([]byte, headerLen)...)
	}
}

func (w *Writer) reset() {
	clear(w.segs)
	clear(w.out)
	w.segs, w.size, w.from = w.segs[:0], 0, 0
	if w.buf = w.buf[:0]; cap(w.buf) > SmallBytesMax {
		w.buf = nil
	}
}

func (w *Writer) u8(v byte)     { w.buf = append(w.buf, v) }
func (w *Writer) uv(v uint64)   { w.buf = binary.AppendUvarint(w.buf, v) }
func (w *Writer) copy(b []byte) { w.buf = append(binary.AppendUvarint(w.buf, uint64(len(b))), b...) }

// data appends a length and b, without copying it if it is large.
func (w *Writer) data(b []byte) {
	if len(b) < spliceBytesMin {
		w.copy(b)
		return
	}
	w.uv(uint64(len(b)))
	w.cut()
	w.segs, w.size = append(w.segs, b), w.size+len(b)
}

func (w *Writer) cut() {
	if len(w.buf) > w.from {
		w.segs, w.size = append(w.segs, w.buf[w.from:]), w.size+len(w.buf)-w.from
		w.from = len(w.buf)
	}
}

// Flush writes the frame, a small one at once and others in pieces, and empties
// w. Progress is called between pieces: the other side takes what is written.
func (w *Writer) Flush(to io.Writer, typ FrameType, progress func()) error {
	w.begin()
	w.cut()
	defer w.reset()
	w.out = append(w.out[:0], w.segs...)
	header := w.segs[0]
	w.segs[0] = header[headerLen:]
	putHeader(header, typ, w.size-headerLen, w.segs)
	for rest := w.out; len(rest) > 0; {
		var piece net.Buffers
		piece, rest = cutPiece(rest)
		if _, err := piece.WriteTo(to); err != nil {
			return err
		}
		if len(rest) > 0 {
			progress()
		}
	}
	return nil
}

// cutPiece takes about pieceBytes from the front of out.
func cutPiece(out net.Buffers) (piece, rest net.Buffers) {
	if first := out[0]; len(first) > pieceBytes {
		out[0] = first[pieceBytes:]
		return net.Buffers{first[:pieceBytes]}, out
	}
	n, size := 0, 0
	for n < len(out) && size+len(out[n]) <= pieceBytes {
		size += len(out[n])
		n++
	}
	return out[:n], out[n:]
}
