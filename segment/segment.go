package segment

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"chronik/internal/vfs"
	"chronik/segment/frame"
	"chronik/segment/mapping"
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
// does no I/O before its first lookup, then holds a mapping and no descriptor,
// and no mapping when there are many and nobody reads it.
type Segment struct {
	fs     vfs.FS
	maps   *mapping.Set
	path   string
	meta   Meta // of a sealed segment; of an active one only what creation fixed
	sealed bool
	refs   mapping.Refs
	opened atomic.Pointer[mapped]
	users  *atomic.Int32 // how many Segments of the file are not closed

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
	*mapping.File
	table      []byte // of a sealed segment
	tableAt    int64
	terms      []byte
	checkpoint []byte
	verified   []atomic.Uint32 // a bit a frame; nil: this process wrote or verified them all
}

// OpenSealed returns a sealed segment with one reference, the caller's. It
// does no I/O; damage shows at the first lookup. Whoever looks into it, or at
// payloads, holds another reference: while there is only one, the mapping can
// be taken away. maps may be nil: the segment is mapped for as long as it lives.
func OpenSealed(fsys vfs.FS, maps *mapping.Set, path string, meta Meta) *Segment {
	return &Segment{fs: fsys, maps: maps, path: path, meta: meta, sealed: true, users: newUsers()}
}

// Acquire takes a reference. It is false when the last one is gone.
func (s *Segment) Acquire() bool { return s.refs.Acquire() }

// Release gives a reference back; with the last one the file is unmapped and
// closed.
func (s *Segment) Release() {
	if s.refs.Release() {
		s.close()
	}
}

// close gives back what the segment holds; no reference is left.
func (s *Segment) close() {
	s.users.Add(-1)
	s.unmap()
	if s.file != nil {
		s.file.Close()
	}
}

func (s *Segment) unmap() {
	if m := s.opened.Swap(nil); m != nil {
		m.Close()
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

// open maps a sealed segment and checks its trailer, unless it is mapped.
func (s *Segment) open() (m *mapped, err error) {
	if m = s.opened.Load(); m != nil {
		return m, nil
	}
	err = s.refs.Open(func() error {
		if m = s.opened.Load(); m != nil {
			return nil
		}
		f, err := s.fs.OpenReadOnly(s.path)
		if err != nil {
			return err
		}
		defer f.Close()
		if m, err = s.mapSealed(f); err == nil {
			s.opened.Store(m)
		}
		return err
	})
	return m, err
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
	out = &mapped{File: s.maps.Add(m, func() bool { return s.refs.Take(s.unmap) }), verified: make([]atomic.Uint32, (s.meta.Frames+31)/32)}
	defer func() {
		if err != nil {
			out.Close()
		}
	}()
	defer Caught(debug.SetPanicOnFault(true), s.path, &err)
	return out, s.readTrailer(out)
}

// limit is where the bytes end that are in the file for certain.
func (s *Segment) limit(m *mapped) int64 {
	if s.sealed {
		return int64(len(m.Bytes))
	}
	return s.end.Load()
}

// needTable has the table of a sealed segment in memory.
func (s *Segment) needTable(m *mapped) error {
	if m.table == nil {
		return nil
	}
	return m.Need(m.tableAt, m.tableAt+int64(len(m.table)), int64(len(m.Bytes)))
}

// needHeader has the frame header at pos in memory, as far as end allows.
func (s *Segment) needHeader(m *mapped, pos, end Pos) error {
	return m.Need(int64(pos), int64(min(pos+FrameHeaderLen, end)), s.limit(m))
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
	if err := s.needTable(m); err != nil {
		return 0, err
	}
	defer Caught(debug.SetPanicOnFault(true), s.path, &err)
	after := func(i int) bool { return s.meta.BaseOffset+Offset(s.rowAt(m, uint32(i)).delta) > off }
	lo, hi := 0, n // the first frame that begins after off
	// Frames of about as many records each are the rule: then two looks do.
	if rel, all := off-s.meta.BaseOffset, s.NextOffset()-s.meta.BaseOffset; n > 0 && rel > 0 && rel < all {
		guess := min(int(float64(rel)/float64(all)*float64(n)), n-1)
		if after(guess) {
			hi = guess
		} else if lo = guess + 1; lo < n && after(lo) {
			hi = lo
		}
	}
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); after(mid) {
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
	if err := s.needTable(m); err != nil {
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
	if m.table != nil && !m.Has(m.tableAt+int64(i)*rowLen) {
		if err := s.needTable(m); err != nil {
			return err
		}
	}
	pos := Pos(s.rowAt(m, uint32(i)).pos8) * 8
	end := s.End()
	if pos < dataStart || pos >= end {
		return corrupt(s.path, pos, "position in the table", fmt.Sprintf("in [%d, %d)", dataStart, end), pos)
	}
	if !m.Has(int64(pos)) || pos/mapping.Chunk != (pos+FrameHeaderLen-1)/mapping.Chunk {
		if err := s.needHeader(m, pos, end); err != nil {
			return err
		}
	}
	var h frame.Header
	b := m.Bytes[pos:end]
	if err := frame.ParseHeader(b, s.meta.Salt, &h); err != nil {
		return s.frameError(pos, b, err)
	}
	if last := pos + Pos(h.Length) - 1; last/mapping.Chunk != pos/mapping.Chunk {
		if err := m.Need(int64(pos), int64(last+1), s.limit(m)); err != nil {
			return err
		}
	}
	if m.verified != nil && m.verified[i/32].Load()&(1<<(i%32)) == 0 {
		if err := frame.Verify(b, s.meta.Salt, &h); err != nil {
			return s.frameError(pos, b, err)
		}
		m.verified[i/32].Or(1 << (i % 32))
	}
	if want := s.meta.BaseIndex + Index(i); h.Index != want {
		return corrupt(s.path, pos, "frame index", want, h.Index)
	}
	*e = h.Entry
	return nil
}

// frameError puts a verification failure in its place.
func (s *Segment) frameError(pos Pos, b []byte, err error) error {
	return frame.Explain(s.path, pos, b, s.meta.Salt, err)
}

// Terms appends the segment's term runs to dst. Only for a sealed segment.
func (s *Segment) Terms(dst []TermRun) (_ []TermRun, err error) {
	m, done, err := s.hold()
	if err != nil {
		return dst, err
	}
	defer done()
	defer Caught(debug.SetPanicOnFault(true), s.path, &err)
	for b := m.terms; len(b) > 0; b = b[termLen:] {
		dst = append(dst, TermRun{Term: Term(le.Uint64(b)), FirstIndex: Index(le.Uint64(b[8:])), FirstOffset: Offset(le.Uint64(b[16:]))})
	}
	return dst, nil
}

// Checkpoint returns a copy of the owner's checkpoint, nil when it left none.
// Only for a sealed segment.
func (s *Segment) Checkpoint() (_ []byte, err error) {
	m, done, err := s.hold()
	if err != nil {
		return nil, err
	}
	defer done()
	if len(m.checkpoint) == 0 {
		return nil, nil
	}
	defer Caught(debug.SetPanicOnFault(true), s.path, &err)
	return append([]byte(nil), m.checkpoint...), nil
}

// hold opens a sealed segment for one who has but the owner's reference, with
// all of its trailer in memory.
func (s *Segment) hold() (m *mapped, done func(), err error) {
	if !s.Acquire() {
		panic("BUG: segment: used after its last release: " + s.path)
	}
	if m, err = s.open(); err == nil {
		err = m.Need(m.tableAt, int64(len(m.Bytes)), int64(len(m.Bytes)))
	}
	if err != nil {
		s.Release()
		return nil, nil, err
	}
	return m, s.Release, nil
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
