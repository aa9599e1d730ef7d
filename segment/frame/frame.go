package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
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
	HeaderLen = 64
	Magic     = 0x464b4843 // "CHKF"
	Version   = 1

	// PayloadBytesMax bounds a payload: far above what a broker accepts.
	PayloadBytesMax = 1 << 30
	PosMax          = Pos(math.MaxUint32) * 8
)

var le = binary.LittleEndian

// Len is the space of a frame with a payload of n bytes.
func Len(n int) int { return (HeaderLen + n + 7) &^ 7 }

// PutHeader writes all header fields but the hash.
func PutHeader(h []byte, e *Entry, salt uint32, synced Pos) {
	_ = h[HeaderLen-1]
	le.PutUint32(h[8:], Magic)
	h[12], h[13], h[14], h[15] = Version, byte(e.Kind), 0, 0
	le.PutUint32(h[16:], uint32(len(e.Payload)))
	le.PutUint32(h[20:], e.Count)
	le.PutUint64(h[24:], uint64(e.Index))
	le.PutUint64(h[32:], uint64(e.Term))
	le.PutUint64(h[40:], uint64(e.BaseOffset))
	le.PutUint64(h[48:], uint64(e.MaxTimestamp))
	le.PutUint32(h[56:], salt)
	le.PutUint32(h[60:], uint32(synced/8))
}

// Verification failures, before they are put in a place: see Explain.
var (
	ErrShort   = errors.New("frame does not fit")
	ErrMagic   = errors.New("frame magic")
	ErrSalt    = errors.New("frame salt")
	ErrHash    = errors.New("frame hash")
	ErrField   = errors.New("frame field")
	ErrVersion = errors.New("frame version")
)

// Header is a parsed frame header.
type Header struct {
	Entry
	Synced Pos // every byte before it was durable when the frame was written
	Length int // of the whole frame
}

// ParseHeader reads the fields of the frame at the front of b without trusting
// them: it bounds the length by b and checks magic and salt, not the hash.
func ParseHeader(b []byte, salt uint32, h *Header) error {
	if len(b) < HeaderLen {
		return ErrShort
	}
	if le.Uint32(b[8:]) != Magic {
		return ErrMagic
	}
	if le.Uint32(b[56:]) != salt {
		return ErrSalt
	}
	n := le.Uint32(b[16:])
	if n > PayloadBytesMax || Len(int(n)) > len(b) {
		return ErrShort
	}
	h.Length = Len(int(n))
	h.Kind = Kind(b[13])
	h.Count = le.Uint32(b[20:])
	h.Index = Index(le.Uint64(b[24:]))
	h.Term = Term(le.Uint64(b[32:]))
	h.BaseOffset = Offset(le.Uint64(b[40:]))
	h.MaxTimestamp = int64(le.Uint64(b[48:]))
	h.Synced = Pos(le.Uint32(b[60:])) * 8
	h.Payload = b[HeaderLen : HeaderLen+int(n) : HeaderLen+int(n)]
	return nil
}

// Verify parses the frame at the front of b and checks its hash, then its
// version, then its fields: a newer version is only believed under a good hash.
func Verify(b []byte, salt uint32, h *Header) error {
	if err := ParseHeader(b, salt, h); err != nil {
		return err
	}
	if xxhash.Sum64(b[8:h.Length]) != le.Uint64(b) {
		return ErrHash
	}
	if b[12] > Version {
		return ErrVersion
	}
	if b[12] == 0 || b[14] != 0 || b[15] != 0 || h.BaseOffset < 0 ||
		h.BaseOffset > math.MaxInt64-Offset(h.Count) {
		return ErrField
	}
	switch h.Kind {
	case KindData, KindConf, KindConfV2, KindMark:
		return nil
	}
	return ErrField
}

// Explain puts a failure of Verify in its place: the frame b at pos of a file.
func Explain(path string, pos Pos, b []byte, salt uint32, err error) error {
	switch {
	case errors.Is(err, ErrVersion):
		return &VersionError{Path: path, Offset: pos, Got: uint16(b[12]), Most: Version}
	case errors.Is(err, ErrHash):
		n := Len(int(le.Uint32(b[16:])))
		return Corrupt(path, pos, "frame hash", fmt.Sprintf("%#x", le.Uint64(b)), fmt.Sprintf("%#x", xxhash.Sum64(b[8:n])))
	case errors.Is(err, ErrMagic):
		return Corrupt(path, pos, "frame magic", fmt.Sprintf("%#x", Magic), fmt.Sprintf("%#x", le.Uint32(b[8:])))
	case errors.Is(err, ErrSalt):
		return Corrupt(path, pos, "frame salt", fmt.Sprintf("%#x", salt), fmt.Sprintf("%#x", le.Uint32(b[56:])))
	case errors.Is(err, ErrShort) && len(b) >= HeaderLen:
		return Corrupt(path, pos, "frame's payload length", fmt.Sprint("<= ", min(PayloadBytesMax, len(b)-HeaderLen)), le.Uint32(b[16:]))
	}
	return Corrupt(path, pos, err.Error(), "a frame", "none")
}
