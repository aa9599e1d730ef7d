package segment

import (
	"fmt"

	"chronik/segment/frame"
)

// This file is for tools, which read a file that is not theirs with ReadAt and
// keep nothing of it: the same parsers that recovery and the readers use, each
// over bytes that the caller has read.

// Layout of a segment file, in bytes.
const (
	DataStart    = dataStart           // where frame 0 begins
	HeaderBytes  = fileHeaderLen       // of the file header
	FooterBytes  = footerLen           // of a trailer's footer
	RowBytes     = rowLen              // of a row of the table
	TermRunBytes = termLen             // of a term run
	FooterMagic  = uint32(footerMagic) // at MagicAt of a footer
	FrameMagic   = uint32(frame.Magic) // at the same place of a frame
	MagicAt      = 8                   // in headers, footers and frames
	lengthAt     = 16                  // in frames
)

// Frame is a verified frame as it lies in a file.
type Frame struct {
	Entry
	Length        int  // bytes of file, padding included
	SyncedThrough Pos  // every byte before it was durable when the frame was written
	Mark          bool // what a clean close leaves behind the last frame; it is no entry
}

// FrameBytes is the length of a frame whose first FrameHeaderLen bytes are h,
// as they claim it. ok is false when no frame begins there: another magic, or
// a payload beyond PayloadBytesMax. Nothing else is checked.
func FrameBytes(h []byte) (n int, ok bool) {
	if len(h) < FrameHeaderLen || le.Uint32(h[MagicAt:]) != frame.Magic || le.Uint32(h[lengthAt:]) > PayloadBytesMax {
		return 0, false
	}
	return FrameLen(int(le.Uint32(h[lengthAt:]))), true
}

// VerifyFrame verifies the frame at the front of b, which lies at pos of the
// file. The payload aliases b. A bad frame is a *CorruptError, a good one of a
// newer format a *VersionError.
func VerifyFrame(path string, pos Pos, b []byte, salt uint32) (Frame, error) {
	var h frame.Header
	if err := frame.Verify(b, salt, &h); err != nil {
		return Frame{}, frame.Explain(path, pos, b, salt, err)
	}
	return Frame{Entry: h.Entry, Length: h.Length, SyncedThrough: h.Synced, Mark: h.Kind == frame.KindMark}, nil
}

// ParseHeader checks the hash, the magic and then the version of a file header
// and returns what it says: ID, Salt, BaseIndex, PrevTerm and BaseOffset, and
// when the file was made, in ms.
func ParseHeader(path string, b []byte) (m Meta, created int64, err error) {
	return readFileHeader(path, b)
}

// Footer is what the footer of a trailer says.
type Footer struct {
	Meta
	Terms      uint32 // term runs
	Checkpoint uint32 // bytes
	BodyHash   uint64 // xxh64 of the BodyBytes before the footer
}

// BodyBytes is the size of rows, term runs and checkpoint, which stand right
// before the footer.
func (f *Footer) BodyBytes() Pos {
	return Pos(f.Frames)*rowLen + Pos(f.Terms)*termLen + (Pos(f.Checkpoint)+7)&^7
}

// ParseFooter checks the hash, the magic and then the version of the footer b,
// which lies at position at of the file. Whose it is, is not checked.
func ParseFooter(path string, b []byte, at Pos) (Footer, error) {
	if Pos(len(b)) < footerLen {
		return Footer{}, corrupt(path, at, "footer", fmt.Sprint(footerLen, " bytes"), len(b))
	}
	m, terms, checkpoint, sum, err := parseFooter(path, b, at)
	return Footer{Meta: m, Terms: terms, Checkpoint: checkpoint, BodyHash: sum}, err
}

// HeaderPage is the page that the file of such a segment begins with, for a file
// that has had no earlier life. created is in ms.
func HeaderPage(m *Meta, created int64) []byte {
	b := make([]byte, DataStart)
	putFileHeader(b, m, created, 0)
	return b
}

// Row is a row of a segment's table.
type Row struct {
	Pos          Pos    // where the frame begins
	Offset       Offset // its base offset
	MaxTimestamp int64  // ms, the greatest so far
}

// Trailer encodes the trailer that belongs right behind the last frame, at
// meta.DataEnd, of a segment with these rows, one a frame, and term runs. It
// sets meta.Frames and meta.Footer.
func Trailer(meta *Meta, rows []Row, terms []TermRun, checkpoint []byte) []byte {
	meta.Frames = uint32(len(rows))
	rowAt := func(i uint32) row {
		r := rows[i]
		return row{pos8: uint32(r.Pos / 8), delta: uint32(r.Offset - meta.BaseOffset), maxTimestamp: r.MaxTimestamp}
	}
	return putTrailer(meta.DataEnd, meta, rowAt, terms, checkpoint)
}
