package scan

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"chronik/internal/vfs"
	"chronik/segment"
)

// Scan is a segment being read.
type Scan struct {
	*file
	Meta    segment.Meta // from the manifest; of a lone file from its header, and footer if it has one
	Created int64        // ms
	Stale   segment.Pos  // what belongs to nothing before this position may be of an earlier life of the file
	Sealed  bool
	// Visit is called with each frame that is in order and follows the one
	// before; its error ends the reading. The payload is valid until it returns.
	Visit func(pos segment.Pos, f *segment.Frame) error

	// What the next frame must continue.
	Pos          segment.Pos
	Index        segment.Index
	Term         segment.Term
	Next         segment.Offset
	MaxTimestamp int64
	Frames       uint32
	Runs         []segment.TermRun

	Footer segment.Footer
	Torn   segment.Pos // where a torn tail begins, 0: there is none
	Last   segment.Pos // in the unsealed segment: where the last byte ends that is not zero, nor of an earlier life of the file
	Bad    error       // why the frames of a torn tail do not go on
	Room   []Room
}

// Room is a range that the format does not cover: nothing in it belongs to the
// log, and whether it is what was written cannot be told.
type Room struct {
	Path     string `json:"path" yaml:"path"`
	Position int64  `json:"position" yaml:"position"`
	Bytes    int64  `json:"bytes" yaml:"bytes"`
	What     string `json:"what" yaml:"what"`
}

// Open opens a segment's file and checks its header. meta is what the
// manifest says, nil for a file that stands alone.
func Open(fsys vfs.FS, path string, meta *segment.Meta, sealed bool) (*Scan, error) {
	f, err := openFile(fsys, path)
	if err != nil {
		return nil, err
	}
	s := &Scan{file: f, Sealed: sealed, Visit: func(segment.Pos, *segment.Frame) error { return nil }}
	if err := s.begin(meta); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// OpenWithout is Open for a file whose header is damaged: what it is stands in
// meta.
func OpenWithout(fsys vfs.FS, path string, meta *segment.Meta, sealed bool) (*Scan, error) {
	f, err := openFile(fsys, path)
	if err != nil {
		return nil, err
	}
	s := &Scan{file: f, Sealed: sealed, Meta: *meta, Visit: func(segment.Pos, *segment.Frame) error { return nil }}
	s.Rewind()
	return s, nil
}

// Bytes reads n bytes, valid until the file is read again.
func (s *Scan) Bytes(pos segment.Pos, n int) ([]byte, error) {
	if pos < 0 || n < 0 || pos > s.size-segment.Pos(n) {
		return nil, fmt.Errorf("%s at %d: %w", s.path, pos, io.ErrUnexpectedEOF)
	}
	return s.at(pos, n)
}

// Path is the file's name.
func (s *Scan) Path() string { return s.path }

// FileBytes is the file's size when it was opened.
func (s *Scan) FileBytes() segment.Pos { return s.size }

func (s *Scan) begin(meta *segment.Meta) error {
	if s.size < segment.DataStart {
		return Damage(s.path, s.size, "file size", fmt.Sprint(">= ", segment.DataStart), s.size)
	}
	b, err := s.at(0, segment.HeaderBytes)
	if err != nil {
		return err
	}
	m, created, err := segment.ParseHeader(s.path, b)
	if err != nil {
		return err
	}
	s.Created, s.Meta, s.Stale = created, m, segment.StaleThrough(b)
	if meta != nil {
		s.Meta = *meta
		want := segment.Meta{ID: meta.ID, Salt: meta.Salt, BaseIndex: meta.BaseIndex, PrevTerm: meta.PrevTerm, BaseOffset: meta.BaseOffset}
		if m != want {
			return Damage(s.path, 16, "identity in the file header", fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", m))
		}
	}
	if m.BaseIndex == 0 || m.BaseOffset < 0 {
		return Damage(s.path, 24, "first index and offset", ">= 1 and >= 0", fmt.Sprint(m.BaseIndex, " and ", m.BaseOffset))
	}
	if end, err := s.end(segment.HeaderBytes, segment.DataStart); err != nil || end > segment.HeaderBytes {
		return errors.Join(err, Damage(s.path, end-1, "page of the file header", "zeroes", "another byte"))
	}
	s.Rewind()
	return nil
}

// Rewind goes back to the first frame.
func (s *Scan) Rewind() {
	s.Pos, s.Index, s.Term, s.Next = segment.DataStart, s.Meta.BaseIndex, s.Meta.PrevTerm, s.Meta.BaseOffset
	s.MaxTimestamp, s.Frames, s.Runs = -1, 0, nil
}

// Walk reads frames up to end, at most most of them. stop is why the frame at
// s.Pos is none, or a mark; err is damage whatever follows.
func (s *Scan) Walk(end segment.Pos, most uint32) (mark *segment.Frame, stop, err error) {
	for s.Frames < most {
		f, err := s.frame(s.Pos, end, s.Meta.Salt)
		if errors.Is(err, segment.ErrCorrupt) {
			return nil, err, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if f.Mark {
			return &f, nil, nil
		}
		if err := s.follow(&f); err != nil {
			return nil, nil, err
		}
		if err := s.Visit(s.Pos-segment.Pos(f.Length), &f); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// follow checks that f continues the frames before (states 9 and 15).
func (s *Scan) follow(f *segment.Frame) error {
	if f.Index != s.Index || f.Term < s.Term || f.BaseOffset < s.Next || f.BaseOffset-s.Meta.BaseOffset > math.MaxUint32 {
		return Damage(s.path, s.Pos, "order of frames",
			fmt.Sprintf("index %d, term >= %d, offset >= %d and within 2^32 of %d", s.Index, s.Term, s.Next, s.Meta.BaseOffset),
			fmt.Sprintf("index %d, term %d, offset %d", f.Index, f.Term, f.BaseOffset))
	}
	if f.SyncedThrough > s.Pos {
		return Damage(s.path, s.Pos, "frame's synced through", fmt.Sprint("<= ", s.Pos), f.SyncedThrough)
	}
	if len(s.Runs) == 0 || f.Term != s.Term {
		s.Runs = append(s.Runs, segment.TermRun{Term: f.Term, FirstIndex: f.Index, FirstOffset: f.BaseOffset})
	}
	s.Index, s.Term, s.Next = f.Index+1, f.Term, f.Next()
	s.MaxTimestamp = max(s.MaxTimestamp, f.MaxTimestamp)
	s.Pos += segment.Pos(f.Length)
	s.Frames++
	return nil
}

// ReadActive reads the unsealed segment as FORMAT.md's recovery does, without
// its actions. durable is what the manifest knows.
func (s *Scan) ReadActive(durable segment.Pos) error {
	visit := s.Visit
	s.Visit = func(pos segment.Pos, f *segment.Frame) error {
		durable = max(durable, f.SyncedThrough)
		return visit(pos, f)
	}
	mark, stop, err := s.Walk(s.size, segment.FramesMax)
	s.Visit = visit
	if err != nil {
		return err
	}
	tail := s.Pos
	if mark != nil {
		durable, tail = max(durable, mark.SyncedThrough), tail+segment.Pos(mark.Length)
	}
	from := max(tail, s.Stale)
	if s.Last, err = s.end(from, s.size); err != nil {
		return err
	}
	if s.Last == from {
		s.Last = tail // zeroes only
	}
	err = s.search(tail, func(at segment.Pos, magic uint32) (segment.Pos, error) {
		if magic != segment.FrameMagic {
			return at + 8, s.saltAt(at, footerSalt)
		}
		f, err := s.frame(at, s.size, s.Meta.Salt)
		if errors.Is(err, segment.ErrCorrupt) {
			return at + 8, s.saltAt(at, frameSalt)
		}
		if err != nil {
			return 0, err
		}
		durable, s.Last = max(durable, f.SyncedThrough), max(s.Last, at+segment.Pos(f.Length))
		return at + segment.Pos(f.Length), nil
	})
	if err != nil {
		return err
	}
	if s.Pos < durable {
		if stop == nil {
			stop = Damage(s.path, s.Pos, "frames", "a frame", "the end")
		}
		var c *segment.CorruptError
		if errors.As(stop, &c) {
			stop = Damage(s.path, s.Pos, fmt.Sprintf("%s, before position %d, which was durable", c.What, durable), c.Want, c.Got)
		}
		return stop
	}
	if s.Last == tail {
		return nil
	}
	// What stands there may have become frames since it was passed.
	if err := s.refresh(); err != nil {
		return err
	}
	if mark, stop, err = s.Walk(s.size, segment.FramesMax); err != nil {
		return err
	}
	if tail = s.Pos; mark != nil {
		tail += segment.Pos(mark.Length)
	}
	if tail < s.Last {
		s.Torn, s.Bad = tail, stop
	}
	return nil
}

// Beyond calls found for the frames of this segment at or behind a position
// that verify, whether or not they follow each other.
func (s *Scan) Beyond(pos segment.Pos, found func(at segment.Pos, f *segment.Frame)) error {
	return s.search(pos, func(at segment.Pos, magic uint32) (segment.Pos, error) {
		if magic != segment.FrameMagic {
			return 0, nil
		}
		f, err := s.frame(at, s.size, s.Meta.Salt)
		if errors.Is(err, segment.ErrCorrupt) {
			return at + 8, nil
		}
		if err != nil {
			return 0, err
		}
		found(at, &f)
		return at + segment.Pos(f.Length), nil
	})
}

// Where the salt stands in a frame and in a footer, and how long their heads are.
var frameSalt, footerSalt = [2]segment.Pos{56, segment.FrameHeaderLen}, [2]segment.Pos{80, segment.FooterBytes}

// saltAt counts what looks like a frame or a footer of this segment at that
// position as written in this life of the file.
func (s *Scan) saltAt(at segment.Pos, place [2]segment.Pos) error {
	if at+place[1] > s.size {
		return nil
	}
	b, err := s.at(at+place[0], 4)
	if err == nil && le.Uint32(b) == s.Meta.Salt {
		s.Last = max(s.Last, at+place[1])
	}
	return err
}

// ReadSealed reads a sealed segment: trailer, frames, and both against each
// other (states 11 to 15).
func (s *Scan) ReadSealed() error {
	rows, err := s.ReadTrailer()
	if err != nil {
		return err
	}
	visit := s.Visit
	s.Visit = func(pos segment.Pos, f *segment.Frame) error {
		if err := s.checkRow(rows, pos, f); err != nil {
			return err
		}
		return visit(pos, f)
	}
	mark, stop, err := s.Walk(s.Meta.DataEnd, s.Meta.Frames)
	s.Visit = visit
	switch {
	case err != nil:
		return err
	case stop != nil:
		return stop
	case mark != nil:
		return Damage(s.path, s.Pos, "frame kind", "an entry", "the mark of a clean close")
	}
	for _, c := range []struct {
		what      string
		want, got any
	}{
		{"end of the last frame", s.Meta.DataEnd, s.Pos},
		{"offset after the last frame", s.Meta.NextOffset, s.Next},
		{"greatest timestamp", s.Meta.MaxTimestamp, s.MaxTimestamp},
	} {
		if c.want != c.got {
			return Damage(s.path, s.Meta.Footer, c.what, c.want, c.got)
		}
	}
	return s.checkRuns(rows)
}

// ReadTrailer checks the footer and the hash of what stands before it, and
// returns a window of its own on the rows.
func (s *Scan) ReadTrailer() (rows *file, err error) {
	at := s.Meta.Footer
	if s.Meta.DataEnd < segment.DataStart || at < s.Meta.DataEnd {
		return nil, Damage(s.path, 0, "positions of data end and footer", fmt.Sprintf("from %d on, in order", segment.DataStart), fmt.Sprintf("%d and %d", s.Meta.DataEnd, at))
	}
	if at > s.size-segment.FooterBytes {
		return nil, Damage(s.path, s.size, "file size of a sealed segment", at+segment.FooterBytes, s.size)
	}
	b, err := s.at(at, int(segment.FooterBytes))
	if err != nil {
		return nil, err
	}
	if s.Footer, err = segment.ParseFooter(s.path, b, at); err != nil {
		return nil, err
	}
	if s.Footer.Meta != s.Meta {
		return nil, Damage(s.path, at, "footer", fmt.Sprintf("%+v", s.Meta), fmt.Sprintf("%+v", s.Footer.Meta))
	}
	body := s.Footer.BodyBytes()
	if body > at-s.Meta.DataEnd {
		return nil, Damage(s.path, at, "trailer length", fmt.Sprint("<= ", at-s.Meta.DataEnd), body)
	}
	sum, err := s.hash(at-body, at)
	if err != nil {
		return nil, err
	}
	if sum != s.Footer.BodyHash {
		return nil, Damage(s.path, at-body, "trailer hash", fmt.Sprintf("%#x", s.Footer.BodyHash), fmt.Sprintf("%#x", sum))
	}
	s.addRoom(s.Meta.DataEnd, at-body, "dropped by a cut")
	behind := at + segment.FooterBytes
	last, err := s.end(behind, min(s.size, max(behind, s.Stale)))
	if err != nil {
		return nil, err
	}
	s.addRoom(behind, last, "of an earlier life of the file")
	behind = max(behind, s.Stale)
	last, err = s.end(behind, s.size)
	s.addRoom(behind, last, "behind the trailer, where zeroes are expected")
	return &file{File: s.File, path: s.path, size: s.size}, err
}

func (s *Scan) addRoom(from, to segment.Pos, what string) {
	if to > from {
		s.Room = append(s.Room, Room{Path: s.path, Position: int64(from), Bytes: int64(to - from), What: what})
	}
}

func (s *Scan) checkRow(rows *file, pos segment.Pos, f *segment.Frame) error {
	at := s.Meta.Footer - s.Footer.BodyBytes() + segment.Pos(s.Frames-1)*segment.RowBytes
	b, err := rows.at(at, segment.RowBytes)
	if err != nil {
		return err
	}
	rowPos, rowOffset, rowTime := segment.Pos(le.Uint32(b))*8, s.Meta.BaseOffset+segment.Offset(le.Uint32(b[4:])), int64(le.Uint64(b[8:]))
	if rowPos != pos || rowOffset != f.BaseOffset || rowTime != s.MaxTimestamp {
		const form = "position %d, offset %d, greatest timestamp %d"
		return Damage(s.path, at, fmt.Sprintf("row of index %d", f.Index),
			fmt.Sprintf(form, pos, f.BaseOffset, s.MaxTimestamp), fmt.Sprintf(form, rowPos, rowOffset, rowTime))
	}
	return nil
}

func (s *Scan) checkRuns(rows *file) error {
	got, err := s.ReadRuns(rows)
	if err == nil && !slices.Equal(got, s.Runs) {
		at := s.Meta.Footer - s.Footer.BodyBytes() + segment.Pos(s.Footer.Frames)*segment.RowBytes
		return Damage(s.path, at, "term runs of the trailer", fmt.Sprint(s.Runs), fmt.Sprint(got))
	}
	return err
}

// ReadRuns reads the term runs of a trailer that readTrailer has checked.
func (s *Scan) ReadRuns(rows *file) (runs []segment.TermRun, err error) {
	at := s.Meta.Footer - s.Footer.BodyBytes() + segment.Pos(s.Footer.Frames)*segment.RowBytes
	for i := range segment.Pos(s.Footer.Terms) {
		b, err := rows.at(at+i*segment.TermRunBytes, segment.TermRunBytes)
		if err != nil {
			return nil, err
		}
		runs = append(runs, segment.TermRun{Term: segment.Term(le.Uint64(b)), FirstIndex: segment.Index(le.Uint64(b[8:])), FirstOffset: segment.Offset(le.Uint64(b[16:]))})
	}
	return runs, nil
}

// FindTrailer looks in a file that stands alone for the trailer written last,
// and takes the segment for sealed when there is one.
func (s *Scan) FindTrailer() error {
	if _, _, err := s.Walk(s.size, segment.FramesMax); err != nil {
		return err
	}
	err := s.search(s.Pos, func(at segment.Pos, magic uint32) (segment.Pos, error) {
		if magic != segment.FooterMagic || at+segment.FooterBytes > s.size {
			return 0, nil
		}
		b, err := s.at(at, int(segment.FooterBytes))
		if err != nil {
			return 0, err
		}
		f, err := segment.ParseFooter(s.path, b, at)
		if errors.Is(err, segment.ErrCorrupt) {
			return at + 8, nil
		}
		if err == nil && f.ID == s.Meta.ID && f.Salt == s.Meta.Salt && f.BaseIndex == s.Meta.BaseIndex {
			s.Meta, s.Sealed = f.Meta, true
		}
		return at + 8, err
	})
	s.Rewind()
	return err
}
