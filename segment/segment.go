package segment

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/vfs"

	"github.com/cespare/xxhash/v2"
)

// Meta describes a sealed segment completely enough to answer which lookups
// belong to it without opening the file. The log's manifest keeps it.
type Meta struct {
	ID           uint64 // names the file
	Salt         uint32
	Frames       uint32
	BaseIndex    Index // of frame 0
	PrevTerm     Term  // of BaseIndex-1
	BaseOffset   Offset
	NextOffset   Offset
	DataEnd      Pos // end of the last frame
	Footer       Pos // where the footer of the trailer is
	MaxTimestamp int64
	FirstAppend  int64 // ms
}

// Segment is the reading side of a segment, sealed or active. A sealed one
// does no I/O before its first lookup, then holds a mapping and no descriptor.
type Segment struct {
	fs     vfs.FS
	path   string
	meta   Meta // of a sealed segment; of an active one only what creation fixed
	sealed bool
	refs   atomic.Int64
	opened atomic.Pointer[mapped]
	openMu sync.Mutex

	// of an active segment
	tab         *table
	frames      atomic.Uint32 // published; stored last
	end         atomic.Int64
	next        atomic.Int64
	maxTime     atomic.Int64
	firstAppend atomic.Int64
	file        vfs.File
}

// mapped is an open segment's memory.
type mapped struct {
	m          *vfs.Mapping
	table      []byte // of a sealed segment
	terms      []byte
	checkpoint []byte
	verified   []atomic.Uint32 // a bit a frame; nil: this process wrote or verified them all
}

// OpenSealed returns a sealed segment with one reference, the caller's. It
// does no I/O; damage shows at the first lookup.
func OpenSealed(fsys vfs.FS, path string, meta Meta) *Segment {
	s := &Segment{fs: fsys, path: path, meta: meta, sealed: true}
	s.refs.Store(1)
	return s
}

// Acquire takes a reference. It is false when the last one is gone.
func (s *Segment) Acquire() bool {
	for {
		n := s.refs.Load()
		if n <= 0 {
			return false
		}
		if s.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release gives a reference back; with the last one the file is unmapped and
// closed.
func (s *Segment) Release() {
	n := s.refs.Add(-1)
	if n > 0 {
		return
	}
	if n < 0 {
		panic("BUG: segment: released more often than acquired: " + s.path)
	}
	if m := s.opened.Load(); m != nil {
		m.m.Close()
	}
	if s.file != nil {
		s.file.Close()
	}
}

// Path is the file's path.
func (s *Segment) Path() string { return s.path }

// Sealed tells whether the segment is complete.
func (s *Segment) Sealed() bool { return s.sealed }

// Frames is the number of frames published.
func (s *Segment) Frames() int {
	if s.sealed {
		return int(s.meta.Frames)
	}
	return int(s.frames.Load())
}

// ID is the number that names the file.
func (s *Segment) ID() uint64 { return s.meta.ID }

// BaseIndex is the index of frame 0, present or to come.
func (s *Segment) BaseIndex() Index { return s.meta.BaseIndex }

// BaseOffset is the log's next offset when the segment was begun.
func (s *Segment) BaseOffset() Offset { return s.meta.BaseOffset }

// PrevTerm is the term of the entry before the segment.
func (s *Segment) PrevTerm() Term { return s.meta.PrevTerm }

// NextIndex is the index after the last frame.
func (s *Segment) NextIndex() Index { return s.meta.BaseIndex + Index(s.Frames()) }

// NextOffset is the offset after the last frame.
func (s *Segment) NextOffset() Offset {
	if s.sealed {
		return s.meta.NextOffset
	}
	return Offset(s.next.Load())
}

// MaxTimestamp is the greatest timestamp of all frames in ms, -1 for none.
func (s *Segment) MaxTimestamp() int64 {
	if s.sealed {
		return s.meta.MaxTimestamp
	}
	return s.maxTime.Load()
}

// End is the position after the last frame.
func (s *Segment) End() Pos {
	if s.sealed {
		return s.meta.DataEnd
	}
	return Pos(s.end.Load())
}

// FirstAppend is when frame 0 was written; the zero time when there is none.
func (s *Segment) FirstAppend() time.Time {
	ms := s.meta.FirstAppend
	if !s.sealed {
		ms = s.firstAppend.Load()
	}
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// Meta returns the description of a sealed segment.
func (s *Segment) Meta() Meta { return s.meta }

// open maps a sealed segment and checks its trailer, once.
func (s *Segment) open() (*mapped, error) {
	if m := s.opened.Load(); m != nil {
		return m, nil
	}
	s.openMu.Lock()
	defer s.openMu.Unlock()
	if m := s.opened.Load(); m != nil {
		return m, nil
	}
	f, err := s.fs.OpenReadOnly(s.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := s.mapSealed(f)
	if err != nil {
		return nil, err
	}
	s.opened.Store(m)
	return m, nil
}

func (s *Segment) mapSealed(f vfs.File) (out *mapped, err error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	length := s.meta.Footer + footerLen
	if s.meta.Footer < s.meta.DataEnd || Pos(size) < length {
		return nil, corrupt(s.path, Pos(size), "file size of a sealed segment", length, size)
	}
	m, err := f.Map(int64(length))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	defer Caught(debug.SetPanicOnFault(true), s.path, &err)
	out = &mapped{m: m, verified: make([]atomic.Uint32, (s.meta.Frames+31)/32)}
	return out, s.readTrailer(out)
}

func (s *Segment) rowAt(m *mapped, i uint32) row {
	if m.table == nil {
		return s.tab.at(i)
	}
	b := m.table[i*rowLen : i*rowLen+rowLen]
	return row{pos8: le.Uint32(b), delta: le.Uint32(b[4:]), maxTimestamp: int64(le.Uint64(b[8:]))}
}

// FindOffset returns the number of the frame that holds offset, or of the next
// frame that takes offsets when none does; Frames() when there is none. The
// frame returned may hold no records only if it is the last.
func (s *Segment) FindOffset(off Offset) (frame int, err error) {
	n := s.Frames()
	m, err := s.open()
	if err != nil {
		return 0, err
	}
	defer Caught(debug.SetPanicOnFault(true), s.path, &err)
	lo, hi := 0, n // the first frame that begins after off
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if s.meta.BaseOffset+Offset(s.rowAt(m, uint32(mid)).delta) > off {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return max(0, lo-1), nil
}

// FindTimestamp returns the number of the first frame whose running maximum
// reaches ts, which is the first frame whose own maximum does; Frames() when
// there is none.
func (s *Segment) FindTimestamp(ts int64) (frame int, err error) {
	n := s.Frames()
	m, err := s.open()
	if err != nil {
		return 0, err
	}
	defer Caught(debug.SetPanicOnFault(true), s.path, &err)
	lo, hi := 0, n
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if s.rowAt(m, uint32(mid)).maxTimestamp >= ts {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo, nil
}

// Frame reads frame number i, which must be below Frames(), into e. The
// payload aliases the mapping. The frame is verified unless this process wrote
// it or has verified it already.
func (s *Segment) Frame(i int, e *Entry) (err error) {
	m, err := s.open()
	if err != nil {
		return err
	}
	defer Caught(debug.SetPanicOnFault(true), s.path, &err)
	pos := Pos(s.rowAt(m, uint32(i)).pos8) * 8
	end := s.End()
	if pos < dataStart || pos >= end {
		return corrupt(s.path, pos, "position in the table", fmt.Sprintf("in [%d, %d)", dataStart, end), pos)
	}
	var h header
	b := m.m.Bytes[pos:end]
	if m.verified != nil && m.verified[i/32].Load()&(1<<(i%32)) == 0 {
		if err := verifyFrame(b, s.meta.Salt, &h); err != nil {
			return s.frameError(pos, b, err)
		}
		m.verified[i/32].Or(1 << (i % 32))
	} else if err := parseHeader(b, s.meta.Salt, &h); err != nil {
		return s.frameError(pos, b, err)
	}
	if want := s.meta.BaseIndex + Index(i); h.Index != want {
		return corrupt(s.path, pos, "frame index", want, h.Index)
	}
	*e = h.Entry
	return nil
}

// frameError puts a verification failure in its place.
func (s *Segment) frameError(pos Pos, b []byte, err error) error {
	return frameErrorAt(s.path, pos, b, s.meta.Salt, err)
}

func frameErrorAt(path string, pos Pos, b []byte, salt uint32, err error) error {
	switch {
	case errors.Is(err, errFrameVersion):
		return &VersionError{Path: path, Offset: pos, Got: uint16(b[12]), Most: frameVersion}
	case errors.Is(err, errFrameHash):
		n := FrameLen(int(le.Uint32(b[16:])))
		return corrupt(path, pos, "frame hash", fmt.Sprintf("%#x", le.Uint64(b)), fmt.Sprintf("%#x", xxhash.Sum64(b[8:n])))
	case errors.Is(err, errFrameMagic):
		return corrupt(path, pos, "frame magic", fmt.Sprintf("%#x", frameMagic), fmt.Sprintf("%#x", le.Uint32(b[8:])))
	case errors.Is(err, errFrameSalt):
		return corrupt(path, pos, "frame salt", fmt.Sprintf("%#x", salt), fmt.Sprintf("%#x", le.Uint32(b[56:])))
	case errors.Is(err, errFrameShort) && len(b) >= FrameHeaderLen:
		return corrupt(path, pos, "frame's payload length", fmt.Sprint("<= ", min(PayloadBytesMax, len(b)-FrameHeaderLen)), le.Uint32(b[16:]))
	}
	return corrupt(path, pos, err.Error(), "a frame", "none")
}

// Terms appends the segment's term runs to dst. Only for a sealed segment.
func (s *Segment) Terms(dst []TermRun) (_ []TermRun, err error) {
	m, err := s.open()
	if err != nil {
		return dst, err
	}
	defer Caught(debug.SetPanicOnFault(true), s.path, &err)
	for b := m.terms; len(b) > 0; b = b[termLen:] {
		dst = append(dst, TermRun{Term(le.Uint64(b)), Index(le.Uint64(b[8:])), Offset(le.Uint64(b[16:]))})
	}
	return dst, nil
}

// Checkpoint returns a copy of the owner's checkpoint, nil when it left none.
// Only for a sealed segment.
func (s *Segment) Checkpoint() (_ []byte, err error) {
	m, err := s.open()
	if err != nil || len(m.checkpoint) == 0 {
		return nil, err
	}
	defer Caught(debug.SetPanicOnFault(true), s.path, &err)
	return append([]byte(nil), m.checkpoint...), nil
}

// Bytes is the size of all frames.
func (s *Segment) Bytes() int64 { return int64(s.End() - dataStart) }

// Detach replaces the payloads of entries, which alias mappings that the
// caller holds references on, by copies in one new allocation.
func Detach(entries []Entry) (err error) {
	defer Caught(debug.SetPanicOnFault(true), "payloads", &err)
	total := 0
	for i := range entries {
		total += len(entries[i].Payload)
	}
	slab := make([]byte, 0, total)
	for i := range entries {
		at := len(slab)
		slab = append(slab, entries[i].Payload...)
		entries[i].Payload = slab[at:len(slab):len(slab)]
	}
	return nil
}
