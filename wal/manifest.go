package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
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
	manifestName    = "MANIFEST"
	manifestTemp    = "MANIFEST.tmp"
	manifestMagic   = 0x4e414d43 // "CMAN"
	manifestVersion = 1
	manifestHead    = 80
	manifestSegment = 96
	manifestTerm    = 24
	manifestMax     = 1 << 28
	flagSealed      = 1
)

var le = binary.LittleEndian

type manifest struct {
	generation uint64
	nextID     uint64
	start      Offset
	cut        Cut
	segments   []segment.Meta // the last one is active
	terms      []TermRun
}

func (m *manifest) encode() []byte {
	n := manifestHead + len(m.segments)*manifestSegment + len(m.terms)*manifestTerm
	b := make([]byte, n)
	le.PutUint32(b[8:], manifestMagic)
	le.PutUint16(b[12:], manifestVersion)
	le.PutUint32(b[16:], uint32(n))
	le.PutUint32(b[20:], uint32(len(m.segments)))
	le.PutUint32(b[24:], uint32(len(m.terms)))
	le.PutUint64(b[32:], m.generation)
	le.PutUint64(b[40:], m.nextID)
	le.PutUint64(b[48:], uint64(m.start))
	le.PutUint64(b[56:], uint64(m.cut.From))
	le.PutUint64(b[64:], uint64(m.cut.Term))
	p := b[manifestHead:]
	for i := range m.segments {
		putSegment(p, &m.segments[i], i < len(m.segments)-1)
		p = p[manifestSegment:]
	}
	for _, t := range m.terms {
		le.PutUint64(p, uint64(t.Term))
		le.PutUint64(p[8:], uint64(t.FirstIndex))
		le.PutUint64(p[16:], uint64(t.FirstOffset))
		p = p[manifestTerm:]
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

// parseManifest checks the hash, then the version, then every rule that the
// rest of the package relies on.
func parseManifest(name string, b []byte) (*manifest, error) {
	bad := func(at int, what string, want, got any) error {
		return &segment.CorruptError{Path: name, Offset: segment.Pos(at), What: what, Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
	}
	if len(b) < manifestHead {
		return nil, bad(len(b), "manifest length", fmt.Sprint(">= ", manifestHead), len(b))
	}
	if n := le.Uint32(b[16:]); le.Uint32(b[8:]) != manifestMagic || uint64(n) != uint64(len(b)) {
		return nil, bad(8, "manifest magic and length", fmt.Sprintf("%#x, %d", manifestMagic, len(b)),
			fmt.Sprintf("%#x, %d", le.Uint32(b[8:]), n))
	}
	if got, sum := le.Uint64(b), xxhash.Sum64(b[8:]); got != sum {
		return nil, bad(0, "manifest hash", fmt.Sprintf("%#x", got), fmt.Sprintf("%#x", sum))
	}
	if v := le.Uint16(b[12:]); v != manifestVersion {
		return nil, &segment.VersionError{Path: name, Got: v, Most: manifestVersion}
	}
	segments, terms := uint64(le.Uint32(b[20:])), uint64(le.Uint32(b[24:]))
	if segments == 0 || manifestHead+segments*manifestSegment+terms*manifestTerm != uint64(len(b)) {
		return nil, bad(20, "manifest counts", len(b), fmt.Sprintf("%d segments, %d term runs", segments, terms))
	}
	m := &manifest{generation: le.Uint64(b[32:]), nextID: le.Uint64(b[40:]), start: Offset(le.Uint64(b[48:])),
		cut: Cut{Index(le.Uint64(b[56:])), Term(le.Uint64(b[64:]))}}
	p := b[manifestHead:]
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
		m.segments = append(m.segments, s)
		p = p[manifestSegment:]
	}
	for ; terms > 0; terms-- {
		m.terms = append(m.terms, TermRun{Term: Term(le.Uint64(p)), FirstIndex: Index(le.Uint64(p[8:])), FirstOffset: Offset(le.Uint64(p[16:]))})
		p = p[manifestTerm:]
	}
	return m, nil
}

func getSegment(p []byte) segment.Meta {
	return segment.Meta{
		ID: le.Uint64(p), BaseIndex: Index(le.Uint64(p[8:])), PrevTerm: Term(le.Uint64(p[16:])),
		BaseOffset: Offset(le.Uint64(p[24:])), NextOffset: Offset(le.Uint64(p[32:])),
		DataEnd: segment.Pos(le.Uint64(p[40:])), Footer: segment.Pos(le.Uint64(p[48:])),
		MaxTimestamp: int64(le.Uint64(p[56:])), FirstAppend: int64(le.Uint64(p[64:])),
		Salt: le.Uint32(p[72:]), Frames: le.Uint32(p[76:]),
	}
}

// follows checks that s continues the segments read so far.
func (m *manifest) follows(s *segment.Meta) error {
	if s.ID >= m.nextID || s.BaseIndex == 0 || s.BaseOffset < 0 || (s.Frames > 0 && s.NextOffset < s.BaseOffset) {
		return fmt.Errorf("id below %d, an index, offsets in order", m.nextID)
	}
	if len(m.segments) == 0 {
		return nil
	}
	prev := &m.segments[len(m.segments)-1]
	if s.ID <= prev.ID || s.BaseIndex != prev.BaseIndex+Index(prev.Frames) || s.BaseOffset < prev.NextOffset || prev.Frames == 0 ||
		prev.Frames > segment.FramesMax || prev.Footer < prev.DataEnd || s.PrevTerm < prev.PrevTerm {
		return fmt.Errorf("after %+v", *prev)
	}
	return nil
}

func loadManifest(fsys vfs.FS, dir string) (*manifest, error) {
	name := path.Join(dir, manifestName)
	b, err := vfs.ReadFile(fsys, name, manifestMax)
	if err != nil {
		return nil, err
	}
	return parseManifest(name, b)
}

// manifestOf describes the log with these segments, none of which is rolling.
// durable is how far the active one is known to be durable. The caller holds
// shape.
func (l *Log) manifestOf(v *view, durable segment.Pos) *manifest {
	l.mu.Lock()
	m := &manifest{generation: l.generation + 1, nextID: l.nextID, start: v.start, cut: l.cut}
	l.mu.Unlock()
	for _, s := range v.segs {
		m.segments = append(m.segments, s.Meta())
	}
	m.segments[len(m.segments)-1].DataEnd = durable
	for _, t := range v.terms {
		if t.FirstIndex < v.active.BaseIndex() {
			m.terms = append(m.terms, t)
		}
	}
	return m
}

// commit replaces the manifest, durably. When it fails and the disk may have
// the new one all the same, the log is poisoned: an entry appended to what the
// old one says could be lost. The caller holds shape.
func (l *Log) commit(m *manifest) error {
	if err := l.stage(m); err != nil {
		return err
	}
	return l.install(m)
}

// stage writes the manifest beside the one that counts, durably.
func (l *Log) stage(m *manifest) error {
	return vfs.WriteFile(l.o.FS, path.Join(l.o.Dir, manifestTemp), m.encode())
}

// install has the staged manifest take the other's place.
func (l *Log) install(m *manifest) error {
	err := l.o.FS.Rename(path.Join(l.o.Dir, manifestTemp), path.Join(l.o.Dir, manifestName))
	if err == nil {
		err = l.o.FS.SyncDir(l.o.Dir)
	}
	if err == nil {
		l.generation = m.generation
	} else if !l.manifestStands() {
		l.fail(fmt.Errorf("%w: manifest: %w", ErrPoisoned, err))
	}
	return err
}

// manifestStands tells whether the directory still has the manifest that was
// committed last.
func (l *Log) manifestStands() bool {
	m, err := loadManifest(l.o.FS, l.o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return l.generation == 0
	}
	return err == nil && m.generation == l.generation
}

// abandon drops a segment whose manifest was not committed. Its file stays when
// the disk may have that manifest; the next Open decides.
func (l *Log) abandon(s *segment.Segment) {
	if l.failed() != nil {
		s.Release()
		return
	}
	l.discard(s)
}
