package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"chronik/segment"
	"chronik/wal/manifest"
	"chronik/wal/spares"
)

// Recovery says how a log was found.
type Recovery struct {
	Created   bool        // there was none
	Scanned   int         // frames of the unsealed tail that were verified
	TornBytes int64       // cut from a torn tail; 0 when the end was clean
	TornAt    segment.Pos // where, in the active segment's file
	TornPath  string
	Removed   int // files that no manifest knows, left by a crash
}

// Open opens the log in a directory and makes one where there is none. It
// verifies the unsealed tail, frame by frame, and nothing else. Damage is a
// *segment.CorruptError, a format of the future a *segment.VersionError, a log
// whose removal was interrupted ErrRemoved; all three leave the files as they
// are.
func Open(o Options) (*Log, Recovery, error) {
	o.defaults()
	var rec Recovery
	l := &Log{o: o}
	l.initSpares(1)
	l.sync.log = l
	m, err := manifest.Load(o.FS, o.Dir)
	switch {
	case err == nil:
		err = l.load(m, &rec)
	case errors.Is(err, fs.ErrNotExist):
		err = l.create(&rec)
	}
	if err != nil {
		return nil, rec, err
	}
	if rec.TornBytes > 0 {
		o.Logger.Warn("torn tail cut", "path", rec.TornPath, "position", rec.TornAt, "bytes", rec.TornBytes)
	}
	l.sync.opened()
	return l, rec, nil
}

func (l *Log) initSpares(nextID uint64) {
	l.spares.Init(spares.Options{FS: l.o.FS, Dir: l.o.Dir, Name: SegmentName, Logger: l.o.Logger}, nextID)
}

// create begins an empty log at index 1, offset 0. Segments without a manifest
// are those of a creation that a crash interrupted, unless they hold frames.
func (l *Log) create(rec *Recovery) error {
	if err := l.o.FS.MkdirAll(l.o.Dir); err != nil {
		return err
	}
	names, err := l.o.FS.ReadDir(l.o.Dir)
	if err != nil {
		return err
	}
	if slices.Contains(names, RemovedName) {
		return fmt.Errorf("%s: %w", l.o.Dir, ErrRemoved)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".seg") {
			continue
		}
		p := path.Join(l.o.Dir, name)
		used, err := segment.HasFrames(l.o.FS, p)
		if err != nil {
			return err
		}
		if used {
			return &segment.CorruptError{Path: path.Join(l.o.Dir, manifest.Name), What: "manifest", Want: "present beside " + name, Got: "missing"}
		}
	}
	if err := l.sweep(nil, rec); err != nil {
		return err
	}
	a, err := l.beginSynced(1, 0, 0)
	if err != nil {
		return err
	}
	rec.Created = true
	v := &view{segs: []*segment.Segment{a.Segment}, active: a}
	if err := l.commit(l.manifestOf(v, a.SyncedThrough())); err != nil {
		l.abandon(a.Segment)
		return err
	}
	l.view.Store(v)
	return nil
}

// load takes the segments the manifest lists and recovers the active one.
func (l *Log) load(m *manifest.Manifest, rec *Recovery) error {
	l.generation, l.cut = m.Generation, m.Cut
	l.initSpares(m.NextID)
	v := &view{start: m.Start, terms: m.Terms}
	known := map[string]bool{}
	for i := range m.Segments {
		meta := &m.Segments[i]
		p := l.segmentPath(meta.ID)
		known[path.Base(p)] = true
		if _, err := l.o.FS.Stat(p); errors.Is(err, fs.ErrNotExist) {
			return &segment.CorruptError{Path: p, What: "segment of the manifest", Want: "present", Got: "missing"}
		} else if err != nil {
			return err
		}
		if i < len(m.Segments)-1 {
			v.segs = append(v.segs, segment.OpenSealed(l.o.FS, l.o.Maps, p, *meta))
		}
	}
	meta := m.Segments[len(m.Segments)-1]
	a, r, err := segment.Recover(segment.RecoverOptions{FS: l.o.FS, Maps: l.o.Maps, Path: l.segmentPath(meta.ID), Meta: meta,
		Capacity: l.o.SegmentBytes(), SyncedThrough: meta.DataEnd})
	if err != nil {
		return err
	}
	rec.Scanned, rec.TornAt, rec.TornBytes, rec.TornPath = r.Frames, r.TornAt, r.TornBytes, a.Path()
	if m.Start < 0 || m.Start > a.NextOffset() {
		a.Release()
		return &segment.CorruptError{Path: path.Join(l.o.Dir, manifest.Name), Offset: 48, What: "start offset",
			Want: fmt.Sprint("<= ", a.NextOffset()), Got: fmt.Sprint(m.Start)}
	}
	v.active, v.segs = a, append(v.segs, a.Segment)
	v.terms = joinTerms(v.terms, a.Terms())
	if !r.Marked || meta.DataEnd >= a.End() {
		// A process that was killed may have left the manifest's name, and
		// that of a segment, in memory only: what is acknowledged from here
		// on hangs on them, and what they no longer name is about to go. A
		// mark vouches for the manifest, unless that is younger and knows as
		// much itself.
		err = l.o.FS.SyncDir(l.o.Dir)
	}
	if err == nil {
		err = l.sweep(known, rec)
	}
	if err != nil {
		a.Release()
		return err
	}
	l.view.Store(v)
	return nil
}

// sweep removes what a crash left between two manifests.
func (l *Log) sweep(known map[string]bool, rec *Recovery) error {
	names, err := l.o.FS.ReadDir(l.o.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if known[name] || (name != manifest.Temp && !strings.HasSuffix(name, ".seg")) {
			continue
		}
		if err := l.o.FS.Remove(path.Join(l.o.Dir, name)); err != nil {
			return err
		}
		rec.Removed++
	}
	return nil
}

// joinTerms appends the runs of more that are not a continuation.
func joinTerms(terms, more []TermRun) []TermRun {
	out := append([]TermRun(nil), terms...)
	for _, t := range more {
		if n := len(out); n > 0 && out[n-1].FirstIndex >= t.FirstIndex && out[n-1].Term != t.Term {
			out = out[:n-1] // the run of a term that ended before the log begins
		}
		if len(out) == 0 || out[len(out)-1].Term != t.Term {
			out = append(out, t)
		}
	}
	return out
}
