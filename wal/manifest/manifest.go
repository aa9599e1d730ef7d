package manifest

import (
	"encoding/binary"
	"fmt"
	"path"

	"chronik/internal/vfs"
	"chronik/segment"

	"github.com/cespare/xxhash/v2"
)

// The manifest, little endian, replaced as a whole:
//
//	 0  hash           u64  xxh64 of [8, total length)
//	 8  magic          u32  "CMAN"
//	12  version        u16  1
//	14  reserved       u16  0
//	16  total length   u32  the file's, exactly
//	20  segments       u32  >= 1; the last one is active
//	24  term runs      u32  those that begin before the active segment
//	28  reserved       u32  0
//	32  generation     u64  one more with each replacement
//	40  next id        u64  greater than any segment's id, ever
//	48  start offset   i64  logical start of the log
//	56  cut index      u64  last truncation: entries from here were dropped, 0 never
//	64  cut term       u64  term of the entry before it
//	72  reserved        8   0
//	80  segments       96 bytes each:
//	     0  id             u64
//	     8  base index     u64
//	    16  prev term      u64
//	    24  base offset    i64
//	    32  next offset    i64  active: 0
//	    40  data end       u64  active: what is known to be durable
//	    48  footer         u64  active: 0
//	    56  max timestamp  i64  active: -1
//	    64  first append   i64  ms, active: 0
//	    72  salt           u32
//	    76  frames         u32  active: 0
//	    80  flags          u32  1 sealed
//	    84  reserved       12   0
//	 .  term runs      24 bytes each: term u64, first index u64, first offset i64
const (
	Name         = "MANIFEST"
	Temp         = "MANIFEST.tmp"
	magic        = 0x4e414d43 // "CMAN"
	Version      = 1
	HeadBytes    = 80
	SegmentBytes = 96
	termBytes    = 24
	bytesMax     = 1 << 28
	flagSealed   = 1
)

var le = binary.LittleEndian

// Manifest is what a manifest says.
type Manifest struct {
	Generation uint64
	NextID     uint64
	Start      segment.Offset
	Cut        Cut
	// Segments in order; the last is the active one, whose DataEnd is what
	// was known to be durable and whose MaxTimestamp is -1.
	Segments []segment.Meta
	Terms    []segment.TermRun // those that begin before the active segment
}

// Cut is a truncation of the log's end.
type Cut struct {
	From segment.Index // entries from here on were dropped; 0 when there never was one
	Term segment.Term  // of the entry before
}

// Encode returns the file's content.
func (m *Manifest) Encode() []byte {
	n := HeadBytes + len(m.Segments)*SegmentBytes + len(m.Terms)*termBytes
	b := make([]byte, n)
	le.PutUint32(b[8:], magic)
	le.PutUint16(b[12:], Version)
	le.PutUint32(b[16:], uint32(n))
	le.PutUint32(b[20:], uint32(len(m.Segments)))
	le.PutUint32(b[24:], uint32(len(m.Terms)))
	le.PutUint64(b[32:], m.Generation)
	le.PutUint64(b[40:], m.NextID)
	le.PutUint64(b[48:], uint64(m.Start))
	le.PutUint64(b[56:], uint64(m.Cut.From))
	le.PutUint64(b[64:], uint64(m.Cut.Term))
	p := b[HeadBytes:]
	for i := range m.Segments {
		putSegment(p, &m.Segments[i], i < len(m.Segments)-1)
		p = p[SegmentBytes:]
	}
	for _, t := range m.Terms {
		le.PutUint64(p, uint64(t.Term))
		le.PutUint64(p[8:], uint64(t.FirstIndex))
		le.PutUint64(p[16:], uint64(t.FirstOffset))
		p = p[termBytes:]
	}
	le.PutUint64(b, xxhash.Sum64(b[8:]))
	return b
}

func putSegment(p []byte, s *segment.Meta, sealed bool) {
	le.PutUint64(p, s.ID)
	le.PutUint64(p[8:], uint64(s.BaseIndex))
	le.PutUint64(p[16:], uint64(s.PrevTerm))
	le.PutUint64(p[24:], uint64(s.BaseOffset))
	le.PutUint64(p[32:], uint64(s.NextOffset))
	le.PutUint64(p[40:], uint64(s.DataEnd))
	le.PutUint64(p[48:], uint64(s.Footer))
	le.PutUint64(p[56:], uint64(s.MaxTimestamp))
	le.PutUint64(p[64:], uint64(s.FirstAppend))
	le.PutUint32(p[72:], s.Salt)
	le.PutUint32(p[76:], s.Frames)
	if sealed {
		le.PutUint32(p[80:], flagSealed)
	}
}

// Parse checks the hash, then the version, then every rule that the
// the log relies on.
func Parse(name string, b []byte) (*Manifest, error) {
	bad := func(at int, what string, want, got any) error {
		return &segment.CorruptError{Path: name, Offset: segment.Pos(at), What: what, Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
	}
	if len(b) < HeadBytes {
		return nil, bad(len(b), "manifest length", fmt.Sprint(">= ", HeadBytes), len(b))
	}
	if n := le.Uint32(b[16:]); le.Uint32(b[8:]) != magic || uint64(n) != uint64(len(b)) {
		return nil, bad(8, "manifest magic and length", fmt.Sprintf("%#x, %d", magic, len(b)),
			fmt.Sprintf("%#x, %d", le.Uint32(b[8:]), n))
	}
	if got, sum := le.Uint64(b), xxhash.Sum64(b[8:]); got != sum {
		return nil, bad(0, "manifest hash", fmt.Sprintf("%#x", got), fmt.Sprintf("%#x", sum))
	}
	if v := le.Uint16(b[12:]); v != Version {
		return nil, &segment.VersionError{Path: name, Got: v, Most: Version}
	}
	segments, terms := uint64(le.Uint32(b[20:])), uint64(le.Uint32(b[24:]))
	if segments == 0 || HeadBytes+segments*SegmentBytes+terms*termBytes != uint64(len(b)) {
		return nil, bad(20, "manifest counts", len(b), fmt.Sprintf("%d segments, %d term runs", segments, terms))
	}
	m := &Manifest{Generation: le.Uint64(b[32:]), NextID: le.Uint64(b[40:]), Start: segment.Offset(le.Uint64(b[48:])),
		Cut: Cut{segment.Index(le.Uint64(b[56:])), segment.Term(le.Uint64(b[64:]))}}
	p := b[HeadBytes:]
	for ; segments > 0; segments-- {
		s := getSegment(p)
		want := uint32(flagSealed)
		if segments == 1 {
			want = 0
		}
		if got := le.Uint32(p[80:]); got != want {
			return nil, bad(len(b)-len(p)+80, "segment flags", want, got)
		}
		if err := m.follows(&s); err != nil {
			return nil, bad(len(b)-len(p), "order of segments", err, fmt.Sprintf("%+v", s))
		}
		m.Segments = append(m.Segments, s)
		p = p[SegmentBytes:]
	}
	for ; terms > 0; terms-- {
		t := segment.TermRun{Term: segment.Term(le.Uint64(p)), FirstIndex: segment.Index(le.Uint64(p[8:])), FirstOffset: segment.Offset(le.Uint64(p[16:]))}
		if err := m.continues(t); err != nil {
			return nil, bad(len(b)-len(p), "order of term runs", err, fmt.Sprintf("%+v", t))
		}
		m.Terms = append(m.Terms, t)
		p = p[termBytes:]
	}
	last := segment.TermRun{Term: m.Segments[0].PrevTerm}
	if n := len(m.Terms); n > 0 {
		last = m.Terms[n-1]
	}
	if active := &m.Segments[len(m.Segments)-1]; last.Term != active.PrevTerm {
		return nil, bad(len(b), "last term before the active segment", active.PrevTerm, last.Term)
	}
	return m, nil
}

// continues checks that t follows the term runs read so far, that the first of
// them begins with the first segment, and that all begin before the active one.
func (m *Manifest) continues(t segment.TermRun) error {
	first, active := &m.Segments[0], &m.Segments[len(m.Segments)-1]
	if t.FirstIndex >= active.BaseIndex || t.FirstOffset > active.BaseOffset {
		return fmt.Errorf("before index %d, offset %d", active.BaseIndex, active.BaseOffset)
	}
	if len(m.Terms) == 0 {
		if t.FirstIndex != first.BaseIndex || t.FirstOffset < first.BaseOffset || t.Term < first.PrevTerm {
			return fmt.Errorf("at index %d, from offset %d and term %d on", first.BaseIndex, first.BaseOffset, first.PrevTerm)
		}
		return nil
	}
	prev := m.Terms[len(m.Terms)-1]
	if t.Term <= prev.Term || t.FirstIndex <= prev.FirstIndex || t.FirstOffset < prev.FirstOffset {
		return fmt.Errorf("after %+v", prev)
	}
	return nil
}

func getSegment(p []byte) segment.Meta {
	return segment.Meta{
		ID: le.Uint64(p), BaseIndex: segment.Index(le.Uint64(p[8:])), PrevTerm: segment.Term(le.Uint64(p[16:])),
		BaseOffset: segment.Offset(le.Uint64(p[24:])), NextOffset: segment.Offset(le.Uint64(p[32:])),
		DataEnd: segment.Pos(le.Uint64(p[40:])), Footer: segment.Pos(le.Uint64(p[48:])),
		MaxTimestamp: int64(le.Uint64(p[56:])), FirstAppend: int64(le.Uint64(p[64:])),
		Salt: le.Uint32(p[72:]), Frames: le.Uint32(p[76:]),
	}
}

// follows checks that s continues the segments read so far.
func (m *Manifest) follows(s *segment.Meta) error {
	if s.ID >= m.NextID || s.BaseIndex == 0 || s.BaseOffset < 0 || (s.Frames > 0 && s.NextOffset < s.BaseOffset) {
		return fmt.Errorf("id below %d, an index, offsets in order", m.NextID)
	}
	if len(m.Segments) == 0 {
		return nil
	}
	prev := &m.Segments[len(m.Segments)-1]
	if s.ID <= prev.ID || s.BaseIndex != prev.BaseIndex+segment.Index(prev.Frames) || s.BaseOffset < prev.NextOffset || prev.Frames == 0 ||
		prev.Frames > segment.FramesMax || prev.Footer < prev.DataEnd || s.PrevTerm < prev.PrevTerm {
		return fmt.Errorf("after %+v", *prev)
	}
	return nil
}

// Load reads the manifest in a log's directory; fs.ErrNotExist when there is
// none.
func Load(fsys vfs.FS, dir string) (*Manifest, error) {
	name := path.Join(dir, Name)
	b, err := vfs.ReadFile(fsys, name, bytesMax)
	if err != nil {
		return nil, err
	}
	return Parse(name, b)
}
