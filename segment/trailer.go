package segment

import (
	"fmt"
	"math"
	"runtime/debug"

	"chronik/internal/vfs"

	"github.com/cespare/xxhash/v2"
)

// The file header, at position 0 of a page of its own that is never rewritten:
//
//	 0  hash         u64  xxh64 of [8, 64)
//	 8  magic        u32  "CSEG"
//	12  version      u16  1
//	14  reserved     u16  0
//	16  id           u64  the file's number
//	24  base index   u64
//	32  prev term    u64  term of base index - 1
//	40  base offset  i64
//	48  created      i64  ms
//	56  salt         u32  random
//	60  stale        u32  in units of 8: bytes before this position that are no frames may be of an earlier life
const (
	fileHeaderLen = 64
	dataStart     = Pos(vfs.PageSize)
	fileMagic     = 0x47455343 // "CSEG"
	fileVersion   = 1
)

// The trailer of a sealed segment stands behind the frames (for a cut one:
// behind whatever was written last), 8-aligned:
//
//	rows         16 bytes a frame (see table.go)
//	term runs    24 bytes each: term u64, first index u64, first offset i64
//	checkpoint   the owner's bytes, then zeroes to a multiple of 8
//	footer       128 bytes:
//	   0  hash           u64  xxh64 of [8, 128)
//	   8  magic          u32  "CSFT"
//	  12  version        u16  1
//	  14  reserved       u16  0
//	  16  id             u64
//	  24  base index     u64
//	  32  prev term      u64
//	  40  base offset    i64
//	  48  next offset    i64
//	  56  data end       u64  position after the last frame
//	  64  max timestamp  i64
//	  72  first append   i64  ms
//	  80  salt           u32
//	  84  frames         u32
//	  88  term runs      u32
//	  92  checkpoint     u32  bytes
//	  96  body hash      u64  xxh64 of rows, term runs, checkpoint, padding
//	 104  reserved       24   0
const (
	footerLen     = Pos(128)
	footerMagic   = 0x54465343 // "CSFT"
	footerVersion = 1
	termLen       = 24

	// CheckpointBytesMax bounds an owner's checkpoint.
	CheckpointBytesMax = 64 << 20
)

func putFileHeader(b []byte, m *Meta, created int64, stale Pos) {
	le.PutUint32(b[8:], fileMagic)
	le.PutUint16(b[12:], fileVersion)
	le.PutUint64(b[16:], m.ID)
	le.PutUint64(b[24:], uint64(m.BaseIndex))
	le.PutUint64(b[32:], uint64(m.PrevTerm))
	le.PutUint64(b[40:], uint64(m.BaseOffset))
	le.PutUint64(b[48:], uint64(created))
	le.PutUint32(b[56:], m.Salt)
	le.PutUint32(b[60:], uint32(stale/8))
	le.PutUint64(b, xxhash.Sum64(b[8:fileHeaderLen]))
}

// readFileHeader checks hash, then version, and returns what the header says.
func readFileHeader(path string, b []byte) (m Meta, created int64, err error) {
	if len(b) < fileHeaderLen {
		return m, 0, corrupt(path, 0, "file size", fmt.Sprint(">= ", fileHeaderLen), len(b))
	}
	if got, sum := le.Uint64(b), xxhash.Sum64(b[8:fileHeaderLen]); got != sum || le.Uint32(b[8:]) != fileMagic {
		return m, 0, corrupt(path, 0, "file header hash", fmt.Sprintf("%#x", got), fmt.Sprintf("%#x", sum))
	}
	if v := le.Uint16(b[12:]); v != fileVersion {
		return m, 0, &VersionError{Path: path, Got: v, Most: fileVersion}
	}
	m = Meta{ID: le.Uint64(b[16:]), BaseIndex: Index(le.Uint64(b[24:])), PrevTerm: Term(le.Uint64(b[32:])),
		BaseOffset: Offset(le.Uint64(b[40:])), Salt: le.Uint32(b[56:])}
	return m, int64(le.Uint64(b[48:])), nil
}

// StaleThrough is the position in a file, whose verified header is b, before
// which bytes that belong to nothing may be of an earlier life of the file; 0
// when it has had none.
func StaleThrough(b []byte) Pos { return Pos(le.Uint32(b[60:])) * 8 }

// parseFileHeader is readFileHeader, and checks that the file is the one that
// want describes.
func parseFileHeader(path string, b []byte, want *Meta) (created int64, err error) {
	got, created, err := readFileHeader(path, b)
	if err != nil {
		return 0, err
	}
	asked := Meta{ID: want.ID, BaseIndex: want.BaseIndex, PrevTerm: want.PrevTerm, BaseOffset: want.BaseOffset, Salt: want.Salt}
	if got != asked {
		return 0, corrupt(path, 16, "identity in the file header", fmt.Sprintf("%+v", asked), fmt.Sprintf("%+v", got))
	}
	return created, nil
}

// putTrailer encodes the trailer of a segment that keeps its first
// meta.Frames frames, and sets meta.Footer for a trailer at position at.
func putTrailer(at Pos, meta *Meta, rowAt func(uint32) row, terms []TermRun, checkpoint []byte) []byte {
	body := int(meta.Frames)*rowLen + len(terms)*termLen + (len(checkpoint)+7)&^7
	b := make([]byte, 0, body+int(footerLen))
	for i := range meta.Frames {
		r := rowAt(i)
		b = le.AppendUint32(b, r.pos8)
		b = le.AppendUint32(b, r.delta)
		b = le.AppendUint64(b, uint64(r.maxTimestamp))
	}
	for _, t := range terms {
		b = le.AppendUint64(b, uint64(t.Term))
		b = le.AppendUint64(b, uint64(t.FirstIndex))
		b = le.AppendUint64(b, uint64(t.FirstOffset))
	}
	b = append(b, checkpoint...)
	b = b[:body+int(footerLen)]
	meta.Footer = at + Pos(body)
	f := b[body:]
	le.PutUint32(f[8:], footerMagic)
	le.PutUint16(f[12:], footerVersion)
	le.PutUint64(f[16:], meta.ID)
	le.PutUint64(f[24:], uint64(meta.BaseIndex))
	le.PutUint64(f[32:], uint64(meta.PrevTerm))
	le.PutUint64(f[40:], uint64(meta.BaseOffset))
	le.PutUint64(f[48:], uint64(meta.NextOffset))
	le.PutUint64(f[56:], uint64(meta.DataEnd))
	le.PutUint64(f[64:], uint64(meta.MaxTimestamp))
	le.PutUint64(f[72:], uint64(meta.FirstAppend))
	le.PutUint32(f[80:], meta.Salt)
	le.PutUint32(f[84:], meta.Frames)
	le.PutUint32(f[88:], uint32(len(terms)))
	le.PutUint32(f[92:], uint32(len(checkpoint)))
	le.PutUint64(f[96:], xxhash.Sum64(b[:body]))
	le.PutUint64(f, xxhash.Sum64(f[8:]))
	return b
}

// parseFooter checks the footer at position at.
func parseFooter(path string, f []byte, at Pos) (m Meta, terms, checkpoint uint32, body uint64, err error) {
	if got, sum := le.Uint64(f), xxhash.Sum64(f[8:footerLen]); got != sum || le.Uint32(f[8:]) != footerMagic {
		return m, 0, 0, 0, corrupt(path, at, "footer hash", fmt.Sprintf("%#x", got), fmt.Sprintf("%#x", sum))
	}
	if v := le.Uint16(f[12:]); v != footerVersion {
		return m, 0, 0, 0, &VersionError{Path: path, Offset: at, Got: v, Most: footerVersion}
	}
	m = Meta{ID: le.Uint64(f[16:]), BaseIndex: Index(le.Uint64(f[24:])), PrevTerm: Term(le.Uint64(f[32:])),
		BaseOffset: Offset(le.Uint64(f[40:])), NextOffset: Offset(le.Uint64(f[48:])), DataEnd: Pos(le.Uint64(f[56:])),
		MaxTimestamp: int64(le.Uint64(f[64:])), FirstAppend: int64(le.Uint64(f[72:])), Salt: le.Uint32(f[80:]),
		Frames: le.Uint32(f[84:]), Footer: at}
	return m, le.Uint32(f[88:]), le.Uint32(f[92:]), le.Uint64(f[96:]), nil
}

// readTrailer checks footer and body of a mapped sealed segment against what
// the manifest says, and points out.table and its neighbours at them.
func (s *Segment) readTrailer(out *mapped) error {
	at, all := s.meta.Footer, int64(len(out.Bytes))
	if err := out.Need(int64(at), all, all); err != nil {
		return err
	}
	m, terms, checkpoint, sum, err := parseFooter(s.path, out.Bytes[at:], at)
	if err != nil {
		return err
	}
	if m != s.meta {
		return corrupt(s.path, at, "footer", fmt.Sprintf("%+v", s.meta), fmt.Sprintf("%+v", m))
	}
	rows, runs, blob := Pos(m.Frames)*rowLen, Pos(terms)*termLen, (Pos(checkpoint)+7)&^7
	body := rows + runs + blob
	if body > at-m.DataEnd {
		return corrupt(s.path, at, "trailer length", fmt.Sprint("<= ", at-m.DataEnd), body)
	}
	if err := out.Need(int64(at-body), all, all); err != nil {
		return err
	}
	b := out.Bytes[at-body : at]
	if got := xxhash.Sum64(b); got != sum {
		return corrupt(s.path, at-body, "trailer hash", fmt.Sprintf("%#x", sum), fmt.Sprintf("%#x", got))
	}
	out.tableAt = int64(at - body)
	out.table, out.terms, out.checkpoint = b[:rows], b[rows:rows+runs], b[rows+runs:rows+runs+Pos(checkpoint)]
	return nil
}

// writeTrailer writes a trailer at position at; the caller syncs.
func writeTrailer(f vfs.File, at Pos, meta *Meta, rowAt func(uint32) row, terms []TermRun, checkpoint []byte) error {
	if len(checkpoint) > CheckpointBytesMax {
		return ErrTooLarge
	}
	_, err := f.WriteAt(putTrailer(at, meta, rowAt, terms, checkpoint), int64(at))
	return err
}

// clip returns the runs that begin before index i.
func clip(terms []TermRun, i Index) []TermRun {
	n := len(terms)
	for n > 0 && terms[n-1].FirstIndex >= i {
		n--
	}
	return terms[:n]
}

// Cut gives a sealed segment a second trailer, behind the first, that keeps
// its first n frames (n > 0), and returns the description that belongs to it.
// The segment itself is unchanged, so readers go on; the cut counts once the
// returned Meta stands in the manifest. Durable on return.
func (s *Segment) Cut(n int) (meta Meta, err error) {
	m, done, err := s.hold()
	if err != nil {
		return meta, err
	}
	defer done()
	terms, err := s.Terms(nil)
	if err != nil {
		return meta, err
	}
	meta, err = s.keep(n)
	if err != nil {
		return meta, err
	}
	f, err := s.fs.Open(s.path)
	if err != nil {
		return meta, err
	}
	defer f.Close()
	defer Caught(debug.SetPanicOnFault(true), s.path, &err)
	at := s.meta.Footer + footerLen
	rowAt := func(i uint32) row { return s.rowAt(m, i) }
	if err := writeTrailer(f, at, &meta, rowAt, clip(terms, meta.BaseIndex+Index(n)), nil); err != nil {
		return meta, err
	}
	return meta, f.Datasync()
}

// keep describes the segment's first n frames, n > 0.
func (s *Segment) keep(n int) (meta Meta, err error) {
	meta = s.meta
	if n <= 0 || n > s.Frames() || n > math.MaxUint32 {
		panic("BUG: segment: keep out of range")
	}
	var last Entry
	if err := s.Frame(n-1, &last); err != nil {
		return meta, err
	}
	m, err := s.open()
	if err != nil {
		return meta, err
	}
	defer Caught(debug.SetPanicOnFault(true), s.path, &err)
	r := s.rowAt(m, uint32(n-1))
	meta.Frames = uint32(n)
	meta.NextOffset = last.Next()
	meta.MaxTimestamp = r.maxTimestamp
	meta.DataEnd = Pos(r.pos8)*8 + Pos(FrameLen(len(last.Payload)))
	if !s.sealed {
		meta.FirstAppend = s.firstAppend.Load()
	}
	return meta, nil
}
