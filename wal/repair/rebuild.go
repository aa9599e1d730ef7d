package repair

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"chronik/segment"
	"chronik/segment/scan"
	"chronik/wal"
)

// rebuild makes a manifest of the segments when there is none, or a damaged
// one. Which frames of a segment count is told by where the next one begins:
// ids ascend, and a segment that begins where an earlier one has entries took
// those away. What only the manifest knew is lost: the start offset within the
// first segment, and the last cut.
func (r *repairer) rebuild(report *Report) (m wal.Manifest, err error) {
	names, err := r.o.FS.ReadDir(r.dir)
	if err != nil {
		return m, err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, wal.SegmentSuffix) {
			continue
		}
		s, err := r.candidate(name)
		if err != nil {
			return m, refusal(err, report)
		}
		if s == nil {
			continue // a file made ready for a segment to come, or emptied by a crash
		}
		m.NextID = max(m.NextID, s.ID+1)
		for n := len(m.Segments); n > 0 && m.Segments[n-1].BaseIndex >= s.BaseIndex; n-- {
			m.Segments = m.Segments[:n-1]
		}
		m.Segments = append(m.Segments, *s)
	}
	if len(m.Segments) == 0 {
		return m, usage("%s: no segment with frames there", r.dir)
	}
	for i := range m.Segments[:len(m.Segments)-1] {
		if err := r.seal(&m, i, report); err != nil {
			return m, err
		}
	}
	m.Start = m.Segments[0].BaseOffset
	report.Done = append(report.Done, Step{path.Join(r.dir, wal.ManifestName), 0,
		fmt.Sprintf("manifest made anew of the segments; the start offset is not known and becomes %d, so that records deleted before may be back", m.Start)})
	return m, nil
}

// candidate reads what a file says it is; nil when it holds no frame.
func (r *repairer) candidate(name string) (*segment.Meta, error) {
	p := path.Join(r.dir, name)
	s, err := scan.Open(r.o.FS, p, nil, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		used, herr := segment.HasFrames(r.o.FS, p)
		if herr == nil && !used {
			return nil, nil
		}
		return nil, err
	}
	defer s.Close()
	if wal.SegmentName(s.Meta.ID) != name {
		return nil, nil // of an earlier life of the file
	}
	f, err := behind(s, segment.DataStart)
	if err != nil || f.end == 0 {
		return nil, err
	}
	s.Meta.FirstAppend = s.Created
	s.Meta.MaxTimestamp = -1
	return &s.Meta, nil
}

// seal describes a segment that another one follows.
func (r *repairer) seal(m *wal.Manifest, i int, report *Report) error {
	meta, next := &m.Segments[i], m.Segments[i+1]
	c := &source{r: r, report: report, m: m, i: i}
	if err := c.open(); err != nil || c.s == nil {
		return errors.Join(err, c.header)
	}
	defer c.s.Close()
	c.watch(0)
	meta.Frames = uint32(min(next.BaseIndex-meta.BaseIndex, segment.FramesMax))
	_, stop, err := c.s.Walk(c.s.FileBytes(), meta.Frames)
	if err == nil && stop != nil {
		var more found
		if more, err = c.beyond(); err == nil && more.end > 0 {
			err = stop
		}
	}
	if missing := next.BaseIndex - c.x.index; err == nil && (missing > 0 || c.x.term != next.PrevTerm) {
		err = scan.Damage(c.path(), c.x.end, "frames before segment "+wal.SegmentName(next.ID),
			fmt.Sprintf("index %d of term %d", next.BaseIndex-1, next.PrevTerm), fmt.Sprintf("index %d of term %d", c.x.index-1, c.x.term))
	}
	if errors.Is(err, segment.ErrCorrupt) {
		return refusal(err, report)
	}
	meta.DataEnd, meta.NextOffset, meta.MaxTimestamp = c.x.end, c.x.next, c.x.maxTimestamp
	if err == nil {
		c.s.Meta = segment.Meta{ID: meta.ID, Salt: meta.Salt, BaseIndex: meta.BaseIndex, PrevTerm: meta.PrevTerm, BaseOffset: meta.BaseOffset}
		err = c.s.FindTrailer()
	}
	if f := c.s.Meta; err == nil && c.s.Sealed && f.Frames == meta.Frames && f.DataEnd == meta.DataEnd {
		*meta = f
	}
	return err
}
