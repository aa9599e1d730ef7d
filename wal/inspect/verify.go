package inspect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"chronik/internal/clock"
	"chronik/internal/vfs"
	"chronik/kafka/batch"
	"chronik/segment"
	"chronik/segment/scan"
	"chronik/wal"
)

// Options say what is read and how.
type Options struct {
	FS    vfs.FS      // nil: the operating system
	Clock clock.Clock // for the pause between two looks; nil: the operating system's
	// FramesOnly leaves out what the frames hold: for a log whose frames with
	// offsets are not record batches.
	FramesOnly bool
	// From and To bound what Dump writes: frames and records at offsets in
	// [From, To). To 0 is no bound.
	From, To int64
	// Records makes Dump write batches and records too.
	Records bool
}

func (o *Options) defaults() {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Clock == nil {
		o.Clock = clock.Real
	}
}

// A look that finds anything but a clean log is repeated after a pause, until
// two in a row agree.
const (
	lookPause = 50 * time.Millisecond
	looksMax  = 40
)

// Damage is the first thing that is wrong.
type Damage struct {
	Path     string `json:"path" yaml:"path"`
	Position int64  `json:"position" yaml:"position"`
	What     string `json:"what" yaml:"what"`
	Want     string `json:"want" yaml:"want"`
	Got      string `json:"got" yaml:"got"`
}

// Counts are what was looked at and found in order.
type Counts struct {
	Segments int   `json:"segments" yaml:"segments"`
	Frames   int64 `json:"frames" yaml:"frames"`
	Batches  int64 `json:"batches" yaml:"batches"`
	Records  int64 `json:"records" yaml:"records"`
	Bytes    int64 `json:"bytes" yaml:"bytes"` // of frames
}

func (c *Counts) add(more Counts) {
	c.Segments += more.Segments
	c.Frames += more.Frames
	c.Batches += more.Batches
	c.Records += more.Records
	c.Bytes += more.Bytes
}

// Report is the answer about one log, or one file that stands alone.
type Report struct {
	Path   string `json:"path" yaml:"path"`
	State  State  `json:"state" yaml:"state"`
	Counts `yaml:",inline"`
	Damage *Damage `json:"damage,omitempty" yaml:"damage,omitempty"` // nil when clean
	// Room lists what no hash covers and yet is not zeroes: it belongs to
	// nothing. Zeroes ahead of an unsealed end are not listed.
	Room []Room `json:"room,omitempty" yaml:"room,omitempty"`
	// Unnamed are files that the manifest does not name, left by a crash; the
	// next start removes them.
	Unnamed []string `json:"unnamed,omitempty" yaml:"unnamed,omitempty"`
}

// Reports are the answers about several logs.
type Reports []Report

// Verify reads every log at or below name: a directory, or one segment file,
// which is read as its log's manifest describes it when there is one beside
// it. Each log has a report with the first damage in it; the first of those
// that is not a torn tail is the error too, a *Damage.
func Verify(ctx context.Context, name string, o Options) (Reports, error) {
	o.defaults()
	targets, err := find(o.FS, name)
	if err != nil {
		return nil, err
	}
	reports := Reports{}
	var first error
	for _, t := range targets {
		r, ok, err := verifyLog(ctx, &o, t)
		if err != nil {
			return reports, err
		}
		if ok {
			reports = append(reports, r)
		}
		if ok && first == nil && (r.State == Corrupt || r.State == NewerMade) {
			first = fmt.Errorf("%s: %w", r.State, r.Damage)
		}
	}
	return reports, first
}

// State is one of the four answers that a file can give.
type State string

// The states; the later one counts when there are several.
const (
	Clean     State = "clean"
	Torn      State = "torn tail"     // at the unsealed end, behind all that is known durable: the next start cuts it; or a write under way
	NewerMade State = "newer version" // a newer release wrote it, under a good hash
	Corrupt   State = "corrupt"
)

// Room is a range that the format does not cover.
type Room = scan.Room

// verifier reads one log, as often as it takes.
type verifier struct {
	o     *Options
	t     target
	whole map[segment.Meta]*sealedResult // sealed segments that are in order
}

type sealedResult struct {
	counts Counts
	runs   []segment.TermRun
	term   segment.Term
	room   []Room
}

// look is one reading of a log.
type look struct {
	report    Report
	end, last segment.Pos // of the unsealed segment: see scan
	segmentID uint64
	gone      bool
}

// verifyLog looks until two looks agree. ok is false when the log was removed
// meanwhile.
func verifyLog(ctx context.Context, o *Options, t target) (r Report, ok bool, err error) {
	v := &verifier{o: o, t: t, whole: map[segment.Meta]*sealedResult{}}
	var before look
	for n := 0; n < looksMax; {
		now, err := v.look()
		if errors.Is(err, errMoved) && ctx.Err() == nil {
			continue // what was in order is not read again
		}
		if err != nil {
			return r, false, err
		}
		if now.gone {
			return r, false, nil
		}
		if now.report.State == Clean || now.report.State == NewerMade {
			return now.report, true, nil
		}
		if now.goesOn(&before) {
			now.report.State, now.report.Damage = Clean, nil
			return now.report, true, nil
		}
		if now.same(&before) {
			return now.report, true, nil
		}
		before = now
		if n++; !clock.Sleep(ctx, o.Clock, lookPause) {
			return r, false, ctx.Err()
		}
	}
	if before.report.State == Torn {
		return before.report, true, nil
	}
	return r, false, fmt.Errorf("%s changes faster than it can be read", t.dir)
}

// goesOn tells that what looked torn was a write under way: all that stood
// there at the look before has become frames since, and what is behind those is
// of the future.
func (l *look) goesOn(before *look) bool {
	return l.report.State == Torn && before.report.State != "" && l.segmentID == before.segmentID && l.end > before.end && l.end >= before.last
}

// same tells whether two looks found the same thing wrong: more and more bytes
// behind an end are a write under way, and a position that was durable at the
// first look and is bad at the second is damage.
func (l *look) same(m *look) bool {
	a, b := l.report.Damage, m.report.Damage
	return l.report.State == m.report.State && a.Path == b.Path && a.Position == b.Position && (l.report.State == Corrupt || *a == *b)
}

// look reads the log once.
func (v *verifier) look() (look, error) {
	l := look{report: Report{Path: v.t.name(), State: Clean}}
	err := v.read(&l)
	var c *segment.CorruptError
	var newer *segment.VersionError
	switch {
	case err == nil:
	case errors.Is(err, errMoved):
		return l, err
	case errors.As(err, &c):
		l.report.State = Corrupt
		l.report.Damage = &Damage{c.Path, int64(c.Offset), c.What, c.Want, c.Got}
	case errors.As(err, &newer):
		l.report.State = NewerMade
		l.report.Damage = &Damage{newer.Path, int64(newer.Offset), "format version", fmt.Sprint("<= ", newer.Most), fmt.Sprint(newer.Got)}
	default:
		return l, err
	}
	return l, nil
}

func (v *verifier) read(l *look) error {
	if v.t.file != "" && !v.t.named {
		return v.alone(l)
	}
	m, ok, err := wal.ReadManifest(v.o.FS, v.t.dir)
	if err != nil {
		return err
	}
	if !ok {
		return v.noManifest(l)
	}
	if err := v.segments(l, &m); err != nil {
		return err
	}
	return v.unnamed(l, &m)
}

// segments reads the segments of the manifest and what it says of them all.
func (v *verifier) segments(l *look, m *wal.Manifest) error {
	var runs []segment.TermRun
	if v.t.file != "" && !slices.ContainsFunc(m.Segments, func(s segment.Meta) bool { return v.t.is(s.ID) }) {
		return v.alone(l) // it has been dropped meanwhile
	}
	manifest := path.Join(v.t.dir, wal.ManifestName)
	for i := range m.Segments {
		meta, sealed := &m.Segments[i], i < len(m.Segments)-1
		p := path.Join(v.t.dir, wal.SegmentName(meta.ID))
		if v.t.file != "" && !v.t.is(meta.ID) {
			continue
		}
		r, err := v.segment(l, p, meta, sealed)
		if err != nil {
			return explain(v.o.FS, v.t.dir, p, meta, sealed, err)
		}
		if v.t.file != "" {
			return nil
		}
		if sealed {
			if want := m.Segments[i+1].PrevTerm; want != r.term {
				return scan.Damage(manifest, 0, fmt.Sprintf("term before segment %d", m.Segments[i+1].ID), r.term, want)
			}
			runs = join(runs, r.runs)
		} else if end := r.next; m.Start < 0 || m.Start > end {
			return scan.Damage(manifest, 48, "start offset", fmt.Sprint("<= ", end), m.Start)
		}
	}
	// The offset of the first run is moved when the segment it began in goes.
	same := func(a, b segment.TermRun) bool { return a.Term == b.Term && a.FirstIndex == b.FirstIndex }
	if v.t.file == "" && !slices.EqualFunc(m.Terms, runs, same) {
		return scan.Damage(manifest, 0, "term runs of the manifest", fmt.Sprint(runs), fmt.Sprint(m.Terms))
	}
	return nil
}

// explain says why a segment of the manifest could not be read.
func explain(fsys vfs.FS, dir, p string, meta *segment.Meta, sealed bool, err error) error {
	if moved(fsys, dir, meta, sealed) {
		return fmt.Errorf("%s: %w: %w", p, errMoved, err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return scan.Damage(p, 0, "segment of the manifest", "present", "missing")
	}
	return err
}

// join appends the runs of more that are not a continuation.
func join(runs, more []segment.TermRun) []segment.TermRun {
	for _, r := range more {
		if len(runs) == 0 || runs[len(runs)-1].Term != r.Term {
			runs = append(runs, r)
		}
	}
	return runs
}

// outcome is what a segment leaves to be checked against its neighbours.
type outcome struct {
	runs []segment.TermRun
	term segment.Term
	next segment.Offset
}

// segment reads one segment and adds it to the report, also when an earlier
// look has done so already.
func (v *verifier) segment(l *look, p string, meta *segment.Meta, sealed bool) (outcome, error) {
	if meta != nil && sealed {
		if r := v.whole[*meta]; r != nil {
			if _, err := v.o.FS.Stat(p); err != nil {
				return outcome{}, err
			}
			l.report.add(r.counts)
			l.report.Room = append(l.report.Room, r.room...)
			return outcome{runs: r.runs, term: r.term}, nil
		}
	}
	s, err := scan.Open(v.o.FS, p, meta, sealed)
	if err != nil {
		return outcome{}, err
	}
	defer s.Close()
	if meta == nil {
		if err := s.FindTrailer(); err != nil {
			return outcome{}, err
		}
	}
	counts := Counts{Segments: 1}
	s.Visit = func(pos segment.Pos, f *segment.Frame) error {
		counts.Frames++
		counts.Bytes += int64(f.Length)
		if v.o.FramesOnly {
			return nil
		}
		return CheckBatches(p, pos, f, &counts)
	}
	if s.Sealed {
		err = s.ReadSealed()
	} else {
		err = s.ReadActive(s.Meta.DataEnd)
		l.end, l.last, l.segmentID = s.Pos, s.Last, s.Meta.ID
	}
	l.report.add(counts)
	l.report.Room = append(l.report.Room, s.Room...)
	if err != nil {
		return outcome{}, err
	}
	if s.Torn > 0 {
		l.report.State = Torn
		l.report.Damage = tear(s)
	}
	if s.Sealed && meta != nil {
		v.whole[*meta] = &sealedResult{counts, s.Runs, s.Term, s.Room}
	}
	return outcome{s.Runs, s.Term, s.Next}, nil
}

func tear(s *scan.Scan) *Damage {
	d := Damage{Path: s.Path(), Position: int64(s.Torn), What: "frame", Want: "a frame, or zeroes to the end of the file",
		Got: fmt.Sprintf("%d bytes, not known to have been durable", s.Last-s.Torn)}
	var c *segment.CorruptError
	if errors.As(s.Bad, &c) {
		d.What = c.What
		d.Got = fmt.Sprintf("%s; %s", c.Got, d.Got)
		d.Want = c.Want
	}
	return &d
}

// CheckBatches checks that a frame that takes offsets holds whole record
// batches, each with its CRC, that take exactly these offsets, and that the
// frame's timestamp is theirs.
func CheckBatches(p string, pos segment.Pos, f *segment.Frame, n *Counts) error {
	if f.Kind != segment.KindData || f.Count == 0 {
		return nil
	}
	next, maxTimestamp := int64(f.BaseOffset), int64(-1)
	for rest := f.Payload; len(rest) > 0; {
		at := pos + segment.Pos(segment.FrameHeaderLen+len(f.Payload)-len(rest))
		v, tail, err := batch.Next(rest)
		if err != nil {
			return scan.Damage(p, at, "record batch", "a whole batch of magic 2", err)
		}
		if v.BaseOffset() != next {
			return scan.Damage(p, at, "base offset of a record batch", next, v.BaseOffset())
		}
		if !v.CheckCRC() {
			return scan.Damage(p, at, "CRC-32C of a record batch", fmt.Sprintf("%#x", v.CRC()), fmt.Sprintf("%#x", v.ComputeCRC()))
		}
		n.Batches++
		n.Records += int64(v.Count())
		next, maxTimestamp, rest = v.NextOffset(), max(maxTimestamp, v.MaxTimestamp()), tail
	}
	if int64(f.Next()) != next {
		return scan.Damage(p, pos, "offset after the record batches of a frame", f.Next(), next)
	}
	if f.MaxTimestamp != maxTimestamp {
		return scan.Damage(p, pos, "greatest timestamp of a frame's record batches", f.MaxTimestamp, maxTimestamp)
	}
	return nil
}

// alone reads a file that no manifest names.
func (v *verifier) alone(l *look) error {
	_, err := v.segment(l, v.t.file, nil, false)
	if errors.Is(err, fs.ErrNotExist) {
		l.gone = true
		return nil
	}
	return err
}

// noManifest decides about a directory without a manifest (states 1 and 2).
func (v *verifier) noManifest(l *look) error {
	names, err := v.o.FS.ReadDir(v.t.dir)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && len(names) == 0) {
		l.gone = true
		return nil
	}
	if err != nil {
		return err
	}
	if beingRemoved(names) {
		l.gone = true
		return nil
	}
	for _, name := range names {
		p := path.Join(v.t.dir, name)
		if !isLogFile(name) {
			continue
		}
		l.report.Unnamed = append(l.report.Unnamed, p)
		if !strings.HasSuffix(name, wal.SegmentSuffix) {
			continue
		}
		if used, err := segment.HasFrames(v.o.FS, p); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		} else if _, err := v.o.FS.Stat(path.Join(v.t.dir, wal.RemovedName)); used && errors.Is(err, fs.ErrNotExist) {
			return scan.Damage(path.Join(v.t.dir, wal.ManifestName), 0, "manifest", "present beside "+name, "missing")
		}
	}
	return nil
}

// unnamed lists the files of the directory that the manifest does not know.
func (v *verifier) unnamed(l *look, m *wal.Manifest) error {
	if v.t.file != "" {
		return nil
	}
	names, err := v.o.FS.ReadDir(v.t.dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && beingRemoved(names) {
		l.gone = true
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		named := name == wal.ManifestName || slices.ContainsFunc(m.Segments, func(s segment.Meta) bool { return wal.SegmentName(s.ID) == name })
		if !named && isLogFile(name) {
			l.report.Unnamed = append(l.report.Unnamed, path.Join(v.t.dir, name))
		}
	}
	return nil
}
