package inspect

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"chronik/internal/vfs"
	"chronik/segment"
)

// State is one of the four answers that a file can give.
type State string

// The states; the later one counts when there are several.
const (
	Clean     State = "clean"
	Torn      State = "torn tail"     // at the unsealed end, behind all that is known durable: the next start cuts it; or a write under way
	NewerMade State = "newer version" // a newer release wrote it, under a good hash
	Corrupt   State = "corrupt"
)

// scan is a segment being read.
type scan struct {
	*file
	meta    segment.Meta // from the manifest; of a lone file from its header, and footer if it has one
	created int64        // ms
	sealed  bool
	visit   func(pos segment.Pos, f *segment.Frame) error

	// what the next frame must continue
	pos          segment.Pos
	index        segment.Index
	term         segment.Term
	next         segment.Offset
	maxTimestamp int64
	frames       uint32
	runs         []segment.TermRun

	footer segment.Footer
	torn   segment.Pos // where a torn tail begins, 0: there is none
	last   segment.Pos // in the unsealed segment: where the last byte that is not zero ends
	bad    error       // why the frames of a torn tail do not go on
	room   []Room
}

// Room is a range that the format does not cover: nothing in it belongs to the
// log, and whether it is what was written cannot be told.
type Room struct {
	Path     string `json:"path" yaml:"path"`
	Position int64  `json:"position" yaml:"position"`
	Bytes    int64  `json:"bytes" yaml:"bytes"`
	What     string `json:"what" yaml:"what"`
}

// openScan opens a segment's file and checks its header. meta is what the
// manifest says, nil for a file that stands alone.
func openScan(fsys vfs.FS, path string, meta *segment.Meta, sealed bool) (*scan, error) {
	f, err := openFile(fsys, path)
	if err != nil {
		return nil, err
	}
	s := &scan{file: f, sealed: sealed, visit: func(segment.Pos, *segment.Frame) error { return nil }}
	if err := s.begin(meta); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

func (s *scan) begin(meta *segment.Meta) error {
	if s.size < segment.DataStart {
		return damage(s.path, s.size, "file size", fmt.Sprint(">= ", segment.DataStart), s.size)
	}
	b, err := s.at(0, segment.HeaderBytes)
	if err != nil {
		return err
	}
	m, created, err := segment.ParseHeader(s.path, b)
	if err != nil {
		return err
	}
	s.created, s.meta = created, m
	if meta != nil {
		s.meta = *meta
		want := segment.Meta{ID: meta.ID, Salt: meta.Salt, BaseIndex: meta.BaseIndex, PrevTerm: meta.PrevTerm, BaseOffset: meta.BaseOffset}
		if m != want {
			return damage(s.path, 16, "identity in the file header", fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", m))
		}
	}
	if m.BaseIndex == 0 || m.BaseOffset < 0 {
		return damage(s.path, 24, "first index and offset", ">= 1 and >= 0", fmt.Sprint(m.BaseIndex, " and ", m.BaseOffset))
	}
	if end, err := s.end(segment.HeaderBytes, segment.DataStart); err != nil || end > segment.HeaderBytes {
		return errors.Join(err, damage(s.path, end-1, "page of the file header", "zeroes", "another byte"))
	}
	s.rewind()
	return nil
}

func (s *scan) rewind() {
	s.pos, s.index, s.term, s.next = segment.DataStart, s.meta.BaseIndex, s.meta.PrevTerm, s.meta.BaseOffset
	s.maxTimestamp, s.frames, s.runs = -1, 0, nil
}

// walk reads frames up to end, at most most of them. stop is why the frame at
// s.pos is none, or a mark; err is damage whatever follows.
func (s *scan) walk(end segment.Pos, most uint32) (mark *segment.Frame, stop, err error) {
	for s.frames < most {
		f, err := s.frame(s.pos, end, s.meta.Salt)
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
		if err := s.visit(s.pos-segment.Pos(f.Length), &f); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

// follow checks that f continues the frames before (states 9 and 15).
func (s *scan) follow(f *segment.Frame) error {
	if f.Index != s.index || f.Term < s.term || f.BaseOffset < s.next || f.BaseOffset-s.meta.BaseOffset > math.MaxUint32 {
		return damage(s.path, s.pos, "order of frames",
			fmt.Sprintf("index %d, term >= %d, offset >= %d and within 2^32 of %d", s.index, s.term, s.next, s.meta.BaseOffset),
			fmt.Sprintf("index %d, term %d, offset %d", f.Index, f.Term, f.BaseOffset))
	}
	if f.SyncedThrough > s.pos {
		return damage(s.path, s.pos, "frame's synced through", fmt.Sprint("<= ", s.pos), f.SyncedThrough)
	}
	if len(s.runs) == 0 || f.Term != s.term {
		s.runs = append(s.runs, segment.TermRun{Term: f.Term, FirstIndex: f.Index, FirstOffset: f.BaseOffset})
	}
	s.index, s.term, s.next = f.Index+1, f.Term, f.Next()
	s.maxTimestamp = max(s.maxTimestamp, f.MaxTimestamp)
	s.pos += segment.Pos(f.Length)
	s.frames++
	return nil
}

// readActive reads the unsealed segment as FORMAT.md's recovery does, without
// its actions. durable is what the manifest knows.
func (s *scan) readActive(durable segment.Pos) error {
	visit := s.visit
	s.visit = func(pos segment.Pos, f *segment.Frame) error {
		durable = max(durable, f.SyncedThrough)
		return visit(pos, f)
	}
	mark, stop, err := s.walk(s.size, segment.FramesMax)
	s.visit = visit
	if err != nil {
		return err
	}
	tail := s.pos
	if mark != nil {
		durable, tail = max(durable, mark.SyncedThrough), tail+segment.Pos(mark.Length)
	}
	if s.last, err = s.end(tail, s.size); err != nil {
		return err
	}
	err = s.search(tail, func(at segment.Pos, magic uint32) (segment.Pos, error) {
		if magic != segment.FrameMagic {
			return 0, nil
		}
		f, err := s.frame(at, s.size, s.meta.Salt)
		if errors.Is(err, segment.ErrCorrupt) {
			return at + 8, nil
		}
		if err != nil {
			return 0, err
		}
		durable = max(durable, f.SyncedThrough)
		return at + segment.Pos(f.Length), nil
	})
	if err != nil {
		return err
	}
	if s.pos < durable {
		if stop == nil {
			stop = damage(s.path, s.pos, "frames", "a frame", "the end")
		}
		var c *segment.CorruptError
		if errors.As(stop, &c) {
			stop = damage(s.path, s.pos, fmt.Sprintf("%s, before position %d, which was durable", c.What, durable), c.Want, c.Got)
		}
		return stop
	}
	if s.last > tail {
		s.torn, s.bad = tail, stop
	}
	return nil
}

// readSealed reads a sealed segment: trailer, frames, and both against each
// other (states 11 to 15).
func (s *scan) readSealed() error {
	rows, err := s.readTrailer()
	if err != nil {
		return err
	}
	visit := s.visit
	s.visit = func(pos segment.Pos, f *segment.Frame) error {
		if err := s.checkRow(rows, pos, f); err != nil {
			return err
		}
		return visit(pos, f)
	}
	mark, stop, err := s.walk(s.meta.DataEnd, s.meta.Frames)
	s.visit = visit
	switch {
	case err != nil:
		return err
	case stop != nil:
		return stop
	case mark != nil:
		return damage(s.path, s.pos, "frame kind", "an entry", "the mark of a clean close")
	}
	for _, c := range []struct {
		what      string
		want, got any
	}{
		{"end of the last frame", s.meta.DataEnd, s.pos},
		{"offset after the last frame", s.meta.NextOffset, s.next},
		{"greatest timestamp", s.meta.MaxTimestamp, s.maxTimestamp},
	} {
		if c.want != c.got {
			return damage(s.path, s.meta.Footer, c.what, c.want, c.got)
		}
	}
	return s.checkRuns(rows)
}

// readTrailer checks the footer and the hash of what stands before it, and
// returns a window of its own on the rows.
func (s *scan) readTrailer() (rows *file, err error) {
	at := s.meta.Footer
	if s.meta.DataEnd < segment.DataStart || at < s.meta.DataEnd {
		return nil, damage(s.path, 0, "positions of data end and footer", fmt.Sprintf("from %d on, in order", segment.DataStart), fmt.Sprintf("%d and %d", s.meta.DataEnd, at))
	}
	if at > s.size-segment.FooterBytes {
		return nil, damage(s.path, s.size, "file size of a sealed segment", at+segment.FooterBytes, s.size)
	}
	b, err := s.at(at, int(segment.FooterBytes))
	if err != nil {
		return nil, err
	}
	if s.footer, err = segment.ParseFooter(s.path, b, at); err != nil {
		return nil, err
	}
	if s.footer.Meta != s.meta {
		return nil, damage(s.path, at, "footer", fmt.Sprintf("%+v", s.meta), fmt.Sprintf("%+v", s.footer.Meta))
	}
	body := s.footer.BodyBytes()
	if body > at-s.meta.DataEnd {
		return nil, damage(s.path, at, "trailer length", fmt.Sprint("<= ", at-s.meta.DataEnd), body)
	}
	sum, err := s.hash(at-body, at)
	if err != nil {
		return nil, err
	}
	if sum != s.footer.BodyHash {
		return nil, damage(s.path, at-body, "trailer hash", fmt.Sprintf("%#x", s.footer.BodyHash), fmt.Sprintf("%#x", sum))
	}
	s.addRoom(s.meta.DataEnd, at-body, "dropped by a cut")
	behind := at + segment.FooterBytes
	last, err := s.end(behind, s.size)
	s.addRoom(behind, last, "behind the trailer, where zeroes are expected")
	return &file{File: s.File, path: s.path, size: s.size}, err
}

func (s *scan) addRoom(from, to segment.Pos, what string) {
	if to > from {
		s.room = append(s.room, Room{Path: s.path, Position: int64(from), Bytes: int64(to - from), What: what})
	}
}

func (s *scan) checkRow(rows *file, pos segment.Pos, f *segment.Frame) error {
	at := s.meta.Footer - s.footer.BodyBytes() + segment.Pos(s.frames-1)*segment.RowBytes
	b, err := rows.at(at, segment.RowBytes)
	if err != nil {
		return err
	}
	rowPos, rowOffset, rowTime := segment.Pos(le.Uint32(b))*8, s.meta.BaseOffset+segment.Offset(le.Uint32(b[4:])), int64(le.Uint64(b[8:]))
	if rowPos != pos || rowOffset != f.BaseOffset || rowTime != s.maxTimestamp {
		const form = "position %d, offset %d, greatest timestamp %d"
		return damage(s.path, at, fmt.Sprintf("row of index %d", f.Index),
			fmt.Sprintf(form, pos, f.BaseOffset, s.maxTimestamp), fmt.Sprintf(form, rowPos, rowOffset, rowTime))
	}
	return nil
}

func (s *scan) checkRuns(rows *file) error {
	got, err := s.readRuns(rows)
	if err == nil && !slices.Equal(got, s.runs) {
		at := s.meta.Footer - s.footer.BodyBytes() + segment.Pos(s.footer.Frames)*segment.RowBytes
		return damage(s.path, at, "term runs of the trailer", fmt.Sprint(s.runs), fmt.Sprint(got))
	}
	return err
}

// readRuns reads the term runs of a trailer that readTrailer has checked.
func (s *scan) readRuns(rows *file) (runs []segment.TermRun, err error) {
	at := s.meta.Footer - s.footer.BodyBytes() + segment.Pos(s.footer.Frames)*segment.RowBytes
	for i := range segment.Pos(s.footer.Terms) {
		b, err := rows.at(at+i*segment.TermRunBytes, segment.TermRunBytes)
		if err != nil {
			return nil, err
		}
		runs = append(runs, segment.TermRun{Term: segment.Term(le.Uint64(b)), FirstIndex: segment.Index(le.Uint64(b[8:])), FirstOffset: segment.Offset(le.Uint64(b[16:]))})
	}
	return runs, nil
}

// findTrailer looks in a file that stands alone for the trailer written last,
// and takes the segment for sealed when there is one.
func (s *scan) findTrailer() error {
	if _, _, err := s.walk(s.size, segment.FramesMax); err != nil {
		return err
	}
	err := s.search(s.pos, func(at segment.Pos, magic uint32) (segment.Pos, error) {
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
		if err == nil && f.ID == s.meta.ID && f.Salt == s.meta.Salt && f.BaseIndex == s.meta.BaseIndex {
			s.meta, s.sealed = f.Meta, true
		}
		return at + 8, err
	})
	s.rewind()
	return err
}
