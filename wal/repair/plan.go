package repair

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"chronik/segment"
	"chronik/segment/scan"
	"chronik/wal"
	"chronik/wal/inspect"
)

// plan is the copy to be.
type plan struct {
	generation uint64 // of the source's manifest; 0: it has none that can be read
	manifest   wal.Manifest
	pieces     []piece
	next       segment.Offset // of the copy
	last       segment.Index
}

// piece is a segment of the copy.
type piece struct {
	meta    segment.Meta
	header  []byte      // nil: the source's page
	through segment.Pos // the source's bytes are copied up to here
	trailer []byte      // nil: it is among those, or there is none
}

// extent is how far the frames of a segment are in order.
type extent struct {
	end          segment.Pos
	index        segment.Index // the next frame's
	term         segment.Term
	next         segment.Offset
	maxTimestamp int64
	rows         []segment.Row
	runs         []segment.TermRun
}

func begin(meta *segment.Meta) extent {
	return extent{end: segment.DataStart, index: meta.BaseIndex, term: meta.PrevTerm, next: meta.BaseOffset, maxTimestamp: -1}
}

// plan decides what the copy is made of. What is different in it goes into the
// report, also what is in the way of making it.
func (r *repairer) plan(report *Report) (*plan, error) {
	p := &plan{}
	m, ok, err := wal.ReadManifest(r.o.FS, r.dir)
	if err == nil && ok {
		p.generation = m.Generation
	} else if err == nil || errors.Is(err, segment.ErrCorrupt) {
		m, err = r.rebuild(report)
	}
	if err != nil {
		return p, err
	}
	named := slices.IndexFunc(m.Segments, func(s segment.Meta) bool { return wal.SegmentName(s.ID) == r.file })
	given := r.o.CutFrom != 0 || r.o.DropThrough
	if given && named < 0 {
		return p, usage("%s: the manifest does not name it", path.Join(r.dir, r.file))
	}
	first := 0
	if r.o.DropThrough {
		if first = named + 1; first == len(m.Segments) {
			return p, usage("%s: there is no segment behind; want one to cut from", path.Join(r.dir, r.file))
		}
		report.Lost = lossThrough(&m, named)
		report.Done = append(report.Done, Step{r.path(&m.Segments[first]), 0, "the log begins here"})
	}
	p.manifest = m
	p.manifest.Generation++
	p.manifest.Segments, p.manifest.Terms = nil, nil
	var runs []segment.TermRun
	for i := first; i < len(m.Segments); i++ {
		cut := segment.Pos(0)
		if i == named {
			cut = segment.Pos(r.o.CutFrom)
		}
		c := &source{r: r, report: report, m: &m, i: i}
		x, err := c.read(p, cut)
		if err != nil {
			return p, err
		}
		p.next, p.last = x.next, x.index-1
		if cut != 0 {
			p.manifest.Cut = wal.Cut{From: x.index, Term: x.term}
			break
		}
		if i == len(m.Segments)-1 {
			break
		}
		runs = join(runs, x.runs)
		if next := &m.Segments[i+1]; next.PrevTerm != x.term {
			c := &source{r: r, report: report, m: &m, i: i + 1, x: begin(next)}
			report.Choices = c.choices()
			return p, refusal(scan.Damage(c.path(), 32, "term of the entry before", x.term, next.PrevTerm), report)
		}
	}
	p.manifest.Terms = runs
	return p, r.finish(p, &m, report)
}

// finish makes the rest of the manifest agree with the segments.
func (r *repairer) finish(p *plan, m *wal.Manifest, report *Report) error {
	manifest := path.Join(r.dir, wal.ManifestName)
	from := p.manifest.Segments[0].BaseOffset
	if r.o.DropThrough && from > p.manifest.Start {
		p.manifest.Start = from
	}
	if p.manifest.Start > p.next {
		p.manifest.Start = p.next
		report.Done = append(report.Done, Step{manifest, 48, fmt.Sprint("start offset set to the end, ", p.next)})
	}
	same := func(a, b segment.TermRun) bool { return a.Term == b.Term && a.FirstIndex == b.FirstIndex }
	if !r.o.DropThrough && r.o.CutFrom == 0 && p.generation != 0 && !slices.EqualFunc(m.Terms, p.manifest.Terms, same) {
		report.Done = append(report.Done, Step{manifest, 0, "term runs made anew"})
	}
	_, err := wal.EncodeManifest(p.manifest)
	return err
}

func join(runs, more []segment.TermRun) []segment.TermRun {
	for _, t := range more {
		if len(runs) == 0 || runs[len(runs)-1].Term != t.Term {
			runs = append(runs, t)
		}
	}
	return runs
}

func (r *repairer) path(meta *segment.Meta) string {
	return path.Join(r.dir, wal.SegmentName(meta.ID))
}

// source is a segment of the source.
type source struct {
	r      *repairer
	report *Report
	m      *wal.Manifest
	i      int
	s      *scan.Scan // nil: the file is missing
	x      extent
	header error // what is wrong with the header
}

func (c *source) meta() *segment.Meta { return &c.m.Segments[c.i] }
func (c *source) sealed() bool        { return c.i < len(c.m.Segments)-1 }
func (c *source) path() string        { return c.r.path(c.meta()) }

func (c *source) done(at segment.Pos, what string) {
	c.report.Done = append(c.report.Done, Step{c.path(), int64(at), what})
}

// errCut ends the reading of a segment where it is to be cut.
var errCut = errors.New("cut here")

// open opens the file, also with a damaged header or none.
func (c *source) open() error {
	var err error
	fsys := c.r.o.FS
	if c.s, err = scan.Open(fsys, c.path(), c.meta(), c.sealed()); err == nil || !errors.Is(err, segment.ErrCorrupt) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		c.s, c.header = nil, scan.Damage(c.path(), 0, "segment of the manifest", "present", "missing")
		return nil
	}
	c.header = err
	c.s, err = scan.OpenWithout(fsys, c.path(), c.meta(), c.sealed())
	return err
}

// watch keeps x at the end of the last frame that is in order, and stops at
// the frame that a cut falls on.
func (c *source) watch(cut segment.Pos) {
	c.s.Rewind()
	c.x = begin(c.meta())
	var n inspect.Counts
	c.s.Visit = func(pos segment.Pos, f *segment.Frame) error {
		if cut != 0 && pos+segment.Pos(f.Length) > cut {
			return errCut
		}
		if !c.r.o.FramesOnly {
			if err := inspect.CheckBatches(c.path(), pos, f, &n); err != nil {
				return err
			}
		}
		s := c.s
		c.x = extent{s.Pos, s.Index, s.Term, s.Next, s.MaxTimestamp,
			append(c.x.rows, segment.Row{Pos: pos, Offset: f.BaseOffset, MaxTimestamp: s.MaxTimestamp}), s.Runs}
		return nil
	}
}

// read makes a piece of the segment and adds it to the plan.
func (c *source) read(p *plan, cut segment.Pos) (extent, error) {
	if err := c.open(); err != nil {
		return c.x, err
	}
	out := piece{meta: *c.meta()}
	if c.header != nil {
		out.header = c.r.headerPage(c.meta())
		c.done(0, "file header made anew, of what the manifest says")
	}
	var err error
	if c.s == nil {
		c.x = begin(c.meta())
		if err = c.header; cut != 0 {
			err = nil
		}
	} else {
		defer c.s.Close()
		switch {
		case c.r.ctx.Err() != nil:
			err = c.r.ctx.Err()
		case cut != 0:
			err = c.cut(cut)
		case c.sealed():
			err = c.readSealed(&out)
		default:
			err = c.readActive()
		}
	}
	if errors.Is(err, segment.ErrCorrupt) {
		c.report.Choices = c.choices()
		return c.x, refusal(err, c.report)
	}
	if err != nil {
		return c.x, err
	}
	if cut != 0 {
		c.report.Lost = c.lossFrom()
		c.done(c.x.end, "cut from here to the end of the log")
	}
	if cut != 0 || !c.sealed() {
		old := &out.meta
		out.meta = segment.Meta{ID: old.ID, Salt: old.Salt, BaseIndex: old.BaseIndex, PrevTerm: old.PrevTerm, BaseOffset: old.BaseOffset,
			DataEnd: c.x.end, MaxTimestamp: -1}
		out.through = c.x.end
	}
	p.pieces = append(p.pieces, out)
	p.manifest.Segments = append(p.manifest.Segments, out.meta)
	return c.x, nil
}

// cut finds the frame to cut at; all before it must be in order.
func (c *source) cut(at segment.Pos) error {
	end := c.s.FileBytes()
	if c.sealed() {
		end = min(end, c.meta().DataEnd)
	}
	c.watch(at)
	_, stop, err := c.s.Walk(end, segment.FramesMax)
	if errors.Is(err, errCut) || c.x.end == segment.DataStart && at <= segment.DataStart {
		return nil
	}
	behind, berr := c.beyond()
	if berr != nil {
		return berr
	}
	// The frames end at x.end: at the damage, or where they should.
	damaged := err != nil || c.x.end < c.meta().DataEnd || max(behind.end, behind.mark) > c.x.end
	switch {
	case damaged && at == c.x.end:
		return nil
	case damaged:
		return cmp.Or(err, stop)
	}
	return usage("%s: there is no frame at or behind %d, they end at %d", c.path(), at, c.x.end)
}

// readSealed reads a sealed segment, and makes its trailer anew if it is only
// that which is damaged.
func (c *source) readSealed(out *piece) error {
	c.watch(0)
	damage := c.s.ReadSealed()
	out.through = c.meta().Footer + segment.FooterBytes
	if damage == nil || !errors.Is(damage, segment.ErrCorrupt) {
		return damage
	}
	c.watch(0)
	meta := c.meta()
	mark, stop, err := c.s.Walk(min(meta.DataEnd, c.s.FileBytes()), meta.Frames)
	switch {
	case err != nil:
		return err
	case stop != nil:
		return stop
	case mark != nil, uint32(len(c.x.rows)) != meta.Frames, c.x.end != meta.DataEnd, c.x.next != meta.NextOffset, c.x.maxTimestamp != meta.MaxTimestamp:
		return damage
	}
	checkpoint, kept := c.checkpoint()
	out.trailer = segment.Trailer(&out.meta, c.x.rows, c.x.runs, checkpoint)
	out.through = meta.DataEnd
	what := "trailer made anew, without the owner's checkpoint, which the owner makes again of the frames"
	if kept {
		what = "trailer made anew of the frames"
	}
	c.done(meta.DataEnd, what)
	return nil
}

// checkpoint is the owner's, if it can be shown to be whole: with rows and term
// runs made anew the trailer's hash is right again.
func (c *source) checkpoint() (b []byte, whole bool) {
	_, err := c.s.ReadTrailer()
	f, meta := c.s.Footer, *c.meta()
	rest := meta.Footer - meta.DataEnd - segment.Pos(len(c.x.rows))*segment.RowBytes - segment.Pos(len(c.x.runs))*segment.TermRunBytes
	if rest == 0 {
		return nil, true // there was none
	}
	if f.Meta != meta {
		return nil, false
	}
	if b, err = c.s.Bytes(f.Meta.Footer-(segment.Pos(f.Checkpoint)+7)&^7, int(f.Checkpoint)); err != nil {
		return nil, false
	}
	trailer := segment.Trailer(&meta, c.x.rows, c.x.runs, b)
	made, err := segment.ParseFooter("", trailer[len(trailer)-int(segment.FooterBytes):], 0)
	if err != nil || made.BodyHash != f.BodyHash {
		return nil, false
	}
	return b, true
}

// readActive reads the unsealed segment; a torn tail is left out.
func (c *source) readActive() error {
	c.watch(0)
	if err := c.s.ReadActive(c.meta().DataEnd); err != nil {
		return err
	}
	if c.s.Torn > 0 && c.report.State != inspect.Clean { // otherwise it is a write under way
		c.done(c.s.Torn, fmt.Sprintf("torn tail cut, %d bytes", c.s.Last-c.s.Torn))
		c.report.Lost = c.lossFrom()
		c.report.Lost.Bytes = int64(c.s.Last - c.s.Torn)
	}
	return nil
}
