package inspect

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"

	"chronik/internal/clock"
	"chronik/segment"
	"chronik/segment/scan"
	"chronik/wal"
)

// Log is what a log's manifest and segments say. Of a file that stands alone
// only Path and its one segment are set.
type Log struct {
	Path       string    `json:"path" yaml:"path"`
	Generation uint64    `json:"generation" yaml:"generation"`
	NextID     uint64    `json:"next_id" yaml:"next_id"`
	Start      int64     `json:"start_offset" yaml:"start_offset"`
	CutIndex   uint64    `json:"cut_index" yaml:"cut_index"` // 0: nothing was ever cut off the end
	CutTerm    uint64    `json:"cut_term" yaml:"cut_term"`
	Segments   []Segment `json:"segments" yaml:"segments"`
	problem    error     // the first of its segments'
}

// Segment is what one segment's file says, or where it cannot be read, what
// the manifest does.
type Segment struct {
	Path            string    `json:"path" yaml:"path"`
	ID              uint64    `json:"id" yaml:"id"`
	Salt            uint32    `json:"salt" yaml:"salt"`
	Sealed          bool      `json:"sealed" yaml:"sealed"`
	Created         int64     `json:"created" yaml:"created"` // ms
	BaseIndex       uint64    `json:"base_index" yaml:"base_index"`
	LastIndex       uint64    `json:"last_index" yaml:"last_index"` // base index - 1 when empty
	PrevTerm        uint64    `json:"prev_term" yaml:"prev_term"`
	BaseOffset      int64     `json:"base_offset" yaml:"base_offset"`
	NextOffset      int64     `json:"next_offset" yaml:"next_offset"`
	Frames          uint32    `json:"frames" yaml:"frames"`
	Bytes           int64     `json:"bytes" yaml:"bytes"`         // of frames
	FileSize        int64     `json:"file_size" yaml:"file_size"` // zeroes ahead and trailer included
	MaxTimestamp    int64     `json:"max_timestamp" yaml:"max_timestamp"`
	FirstAppend     int64     `json:"first_append" yaml:"first_append"` // ms; 0 in an active segment
	DurableAt       int64     `json:"durable_position" yaml:"durable_position"`
	Terms           []TermRun `json:"terms" yaml:"terms"`
	CheckpointBytes uint32    `json:"checkpoint_bytes" yaml:"checkpoint_bytes"`
	// The table of frames in the trailer; 0 in an active segment, whose table
	// is in memory.
	IndexPosition  int64  `json:"index_position" yaml:"index_position"`
	IndexRows      uint32 `json:"index_rows" yaml:"index_rows"`
	FooterPosition int64  `json:"footer_position" yaml:"footer_position"`
	TornAt         int64  `json:"torn_at,omitempty" yaml:"torn_at,omitempty"`
	Problem        string `json:"problem,omitempty" yaml:"problem,omitempty"`
}

// TermRun is the start of a run of entries of one term.
type TermRun struct {
	Term        uint64 `json:"term" yaml:"term"`
	FirstIndex  uint64 `json:"first_index" yaml:"first_index"`
	FirstOffset int64  `json:"first_offset" yaml:"first_offset"`
}

// Logs are the descriptions of several logs.
type Logs []Log

// Inspect describes the logs at or below name (see Verify). The frames of
// sealed segments are not read: their trailers are. A segment that cannot be
// read has a Problem, and the first of those is the error too.
func Inspect(ctx context.Context, name string, o Options) (Logs, error) {
	o.defaults()
	targets, err := find(o.FS, name)
	if err != nil {
		return nil, err
	}
	logs := Logs{}
	var first error
	for _, t := range targets {
		log, err := inspectStill(ctx, &o, t)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile, or never finished
		}
		if err != nil {
			return logs, err
		}
		logs = append(logs, log)
		if first == nil {
			first = log.problem
		}
	}
	return logs, first
}

// inspectStill inspects until nothing has moved meanwhile and no problem can
// have been a change under way.
func inspectStill(ctx context.Context, o *Options, t target) (Log, error) {
	var before error
	for {
		log, err := inspectLog(ctx, o, t)
		if errors.Is(err, errMoved) && ctx.Err() == nil {
			continue
		}
		if err != nil || !errors.Is(log.problem, segment.ErrCorrupt) || sameDamage(log.problem, before) {
			return log, err
		}
		if before = log.problem; !clock.Sleep(ctx, o.Clock, lookPause) {
			return log, ctx.Err()
		}
	}
}

func inspectLog(ctx context.Context, o *Options, t target) (Log, error) {
	log := Log{Path: t.name()}
	if t.file != "" && !t.named {
		s, err := inspectSegment(o, t.file, nil, false)
		log.Segments = []Segment{s}
		if errors.Is(err, segment.ErrCorrupt) {
			log.problem, err = err, nil
		}
		return log, err
	}
	m, ok, err := wal.ReadManifest(o.FS, t.dir)
	if err == nil && !ok {
		err = cmp.Or(noLog(ctx, o, t), fs.ErrNotExist)
	}
	if err != nil {
		return log, err
	}
	log.Generation, log.NextID, log.Start, log.CutIndex, log.CutTerm = m.Generation, m.NextID, int64(m.Start), uint64(m.Cut.From), uint64(m.Cut.Term)
	for i := range m.Segments {
		meta := &m.Segments[i]
		if t.file != "" && !t.is(meta.ID) {
			continue
		}
		p, sealed := path.Join(t.dir, wal.SegmentName(meta.ID)), i < len(m.Segments)-1
		s, err := inspectSegment(o, p, meta, sealed)
		if err != nil {
			if err = explain(o.FS, t.dir, p, meta, sealed, err); errors.Is(err, errMoved) {
				return log, err
			}
			s.Problem = err.Error()
			log.problem = cmp.Or(log.problem, err)
		}
		log.Segments = append(log.Segments, s)
	}
	return log, nil
}

func inspectSegment(o *Options, p string, meta *segment.Meta, sealed bool) (Segment, error) {
	out := Segment{Path: p, Sealed: sealed}
	if meta != nil {
		out.describe(meta)
	}
	s, err := scan.Open(o.FS, p, meta, sealed)
	if err != nil {
		return out, err
	}
	defer s.Close()
	if meta == nil {
		if err := s.FindTrailer(); err != nil {
			return out, err
		}
	}
	out.Created, out.FileSize, out.Sealed = s.Created, int64(s.FileBytes()), s.Sealed
	out.describe(&s.Meta)
	if s.Sealed {
		return out, out.trailer(s)
	}
	err = s.ReadActive(s.Meta.DataEnd)
	out.DurableAt = int64(s.Meta.DataEnd)
	out.Frames, out.NextOffset, out.MaxTimestamp = s.Frames, int64(s.Next), s.MaxTimestamp
	out.LastIndex, out.Bytes = uint64(s.Index-1), int64(s.Pos-segment.DataStart)
	out.TornAt = int64(s.Torn)
	out.terms(s.Runs)
	return out, err
}

func (out *Segment) describe(m *segment.Meta) {
	out.ID, out.Salt, out.BaseIndex, out.PrevTerm = m.ID, m.Salt, uint64(m.BaseIndex), uint64(m.PrevTerm)
	out.LastIndex = uint64(m.BaseIndex) + uint64(m.Frames) - 1
	out.BaseOffset, out.NextOffset, out.Frames = int64(m.BaseOffset), int64(m.NextOffset), m.Frames
	out.MaxTimestamp, out.FirstAppend, out.FooterPosition, out.DurableAt = m.MaxTimestamp, m.FirstAppend, int64(m.Footer), int64(m.DataEnd)
	out.Bytes = max(0, int64(m.DataEnd-segment.DataStart))
}

func (out *Segment) trailer(s *scan.Scan) error {
	rows, err := s.ReadTrailer()
	if err != nil {
		return err
	}
	out.CheckpointBytes, out.IndexRows = s.Footer.Checkpoint, s.Footer.Frames
	out.IndexPosition = int64(s.Meta.Footer - s.Footer.BodyBytes())
	runs, err := s.ReadRuns(rows)
	out.terms(runs)
	return err
}

func (out *Segment) terms(runs []segment.TermRun) {
	for _, r := range runs {
		out.Terms = append(out.Terms, TermRun{uint64(r.Term), uint64(r.FirstIndex), int64(r.FirstOffset)})
	}
}
