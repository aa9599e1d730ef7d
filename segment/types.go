package segment

import (
	"encoding/binary"

	"chronik/segment/frame"
)

// What segments are made of; see package frame.
type (
	Index        = frame.Index
	Term         = frame.Term
	Offset       = frame.Offset
	Pos          = frame.Pos
	Kind         = frame.Kind
	Entry        = frame.Entry
	TermRun      = frame.TermRun
	CorruptError = frame.CorruptError
	VersionError = frame.VersionError
)

// The kinds of entries and the bounds of frames; see package frame.
const (
	KindData        = frame.KindData
	KindConf        = frame.KindConf
	KindConfV2      = frame.KindConfV2
	FrameHeaderLen  = frame.HeaderLen
	PayloadBytesMax = frame.PayloadBytesMax
)

// Errors of this package; test with errors.Is.
var (
	ErrCorrupt      = frame.ErrCorrupt
	ErrNewerVersion = frame.ErrNewerVersion
	ErrPoisoned     = frame.ErrPoisoned
	ErrTooLarge     = frame.ErrTooLarge
)

var (
	le      = binary.LittleEndian
	corrupt = frame.Corrupt
)

// FrameLen is the space of a frame with a payload of n bytes.
func FrameLen(n int) int { return frame.Len(n) }

// ParseFrame verifies the frame at the front of b and returns its entry, whose
// payload aliases b, and its length. The mark of a clean close has kind 255.
// For fuzzing and for tools; it needs no segment.
func ParseFrame(b []byte, salt uint32) (Entry, int, error) {
	var h frame.Header
	if err := frame.Verify(b, salt, &h); err != nil {
		return Entry{}, 0, err
	}
	return h.Entry, h.Length, nil
}
