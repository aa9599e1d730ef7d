package segment

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/cespare/xxhash/v2"
)

// A frame, little endian, at a position that is a multiple of 8:
//
//	 0  hash            u64  xxh64 of bytes [8, frame end): header, payload, padding
//	 8  magic           u32  "CHKF"
//	12  version         u8   1
//	13  kind            u8   1 data, 2 conf change, 3 conf change v2, 255 mark
//	14  reserved        u16  0
//	16  payload length  u32  bytes
//	20  count           u32  offsets taken
//	24  index           u64
//	32  term            u64
//	40  base offset     i64
//	48  max timestamp   i64  ms, -1 none
//	56  salt            u32  the segment's
//	60  synced through  u32  in units of 8: every byte before this position was durable when the frame was written
//	64  payload, then zeroes to a multiple of 8
//
// The hash comes first so that verifying is one pass over adjacent bytes.
const (
	FrameHeaderLen = 64
	frameMagic     = 0x464b4843 // "CHKF"
	frameVersion   = 1

	// PayloadBytesMax bounds a payload: far above what a broker accepts.
	PayloadBytesMax = 1 << 30
	posMax          = Pos(math.MaxUint32) * 8
)

var le = binary.LittleEndian

// FrameLen is the space of a frame with a payload of n bytes.
func FrameLen(n int) int { return (FrameHeaderLen + n + 7) &^ 7 }

// putHeader writes all header fields but the hash.
func putHeader(h []byte, e *Entry, salt uint32, synced Pos) {
	_ = h[FrameHeaderLen-1]
	le.PutUint32(h[8:], frameMagic)
	h[12], h[13], h[14], h[15] = frameVersion, byte(e.Kind), 0, 0
	le.PutUint32(h[16:], uint32(len(e.Payload)))
	le.PutUint32(h[20:], e.Count)
	le.PutUint64(h[24:], uint64(e.Index))
	le.PutUint64(h[32:], uint64(e.Term))
	le.PutUint64(h[40:], uint64(e.BaseOffset))
	le.PutUint64(h[48:], uint64(e.MaxTimestamp))
	le.PutUint32(h[56:], salt)
	le.PutUint32(h[60:], uint32(synced/8))
}

// Frame verification failures, before they are put in a place.
var (
	errFrameShort   = errors.New("frame does not fit")
	errFrameMagic   = errors.New("frame magic")
	errFrameSalt    = errors.New("frame salt")
	errFrameHash    = errors.New("frame hash")
	errFrameField   = errors.New("frame field")
	errFrameVersion = errors.New("frame version")
)

// header is a parsed frame header.
type header struct {
	Entry
	synced Pos
	length int // of the whole frame
}

// parseHeader reads the fields of the frame at the front of b without trusting
// them: it bounds the length by b and checks magic and salt, not the hash.
func parseHeader(b []byte, salt uint32, h *header) error {
	if len(b) < FrameHeaderLen {
		return errFrameShort
	}
	if le.Uint32(b[8:]) != frameMagic {
		return errFrameMagic
	}
	if le.Uint32(b[56:]) != salt {
		return errFrameSalt
	}
	n := le.Uint32(b[16:])
	if n > PayloadBytesMax || FrameLen(int(n)) > len(b) {
		return errFrameShort
	}
	h.length = FrameLen(int(n))
	h.Kind = Kind(b[13])
	h.Count = le.Uint32(b[20:])
	h.Index = Index(le.Uint64(b[24:]))
	h.Term = Term(le.Uint64(b[32:]))
	h.BaseOffset = Offset(le.Uint64(b[40:]))
	h.MaxTimestamp = int64(le.Uint64(b[48:]))
	h.synced = Pos(le.Uint32(b[60:])) * 8
	h.Payload = b[FrameHeaderLen : FrameHeaderLen+int(n) : FrameHeaderLen+int(n)]
	return nil
}

// verifyFrame parses the frame at the front of b and checks its hash, then its
// version, then its fields: a newer version is only believed under a good hash.
func verifyFrame(b []byte, salt uint32, h *header) error {
	if err := parseHeader(b, salt, h); err != nil {
		return err
	}
	if xxhash.Sum64(b[8:h.length]) != le.Uint64(b) {
		return errFrameHash
	}
	if b[12] > frameVersion {
		return errFrameVersion
	}
	if b[12] == 0 || b[14] != 0 || b[15] != 0 || h.BaseOffset < 0 ||
		h.BaseOffset > math.MaxInt64-Offset(h.Count) {
		return errFrameField
	}
	switch h.Kind {
	case KindData, KindConf, KindConfV2, kindMark:
		return nil
	}
	return errFrameField
}

// ParseFrame verifies the frame at the front of b and returns its entry, whose
// payload aliases b, and its length. The mark of a clean close has kind 255.
// For fuzzing and for tools; it needs no segment.
func ParseFrame(b []byte, salt uint32) (Entry, int, error) {
	var h header
	if err := verifyFrame(b, salt, &h); err != nil {
		return Entry{}, 0, err
	}
	return h.Entry, h.length, nil
}
