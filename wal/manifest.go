package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal/manifest"
)

// manifestOf describes the log with these segments, none of which is rolling.
// durable is how far the active one is known to be durable. The caller holds
// shape.
func (l *Log) manifestOf(v *view, durable segment.Pos) *manifest.Manifest {
	l.mu.Lock()
	m := &manifest.Manifest{Generation: l.generation + 1, NextID: l.spares.NextID(), Start: v.start, Cut: l.cut}
	l.mu.Unlock()
	for _, s := range v.segs {
		m.Segments = append(m.Segments, s.Meta())
	}
	m.Segments[len(m.Segments)-1].DataEnd = durable
	for _, t := range v.terms {
		if t.FirstIndex < v.active.BaseIndex() {
			m.Terms = append(m.Terms, t)
		}
	}
	return m
}

// commit replaces the manifest, durably. When it fails and the disk may have
// the new one all the same, the log is poisoned: an entry appended to what the
// old one says could be lost. The caller holds shape.
func (l *Log) commit(m *manifest.Manifest) error {
	if err := l.stage(m); err != nil {
		return err
	}
	return l.install(m)
}

// stage writes the manifest beside the one that counts, durably.
func (l *Log) stage(m *manifest.Manifest) error {
	return vfs.WriteFile(l.o.FS, path.Join(l.o.Dir, manifest.Temp), m.Encode())
}

// install has the staged manifest take the other's place.
func (l *Log) install(m *manifest.Manifest) error {
	err := l.o.FS.Rename(path.Join(l.o.Dir, manifest.Temp), path.Join(l.o.Dir, manifest.Name))
	if err == nil {
		err = l.o.FS.SyncDir(l.o.Dir)
	}
	if err == nil {
		l.generation = m.Generation
	} else if !l.manifestStands() {
		l.fail(fmt.Errorf("%w: manifest: %w", ErrPoisoned, err))
	}
	return err
}

// manifestStands tells whether the directory still has the manifest that was
// committed last.
func (l *Log) manifestStands() bool {
	m, err := manifest.Load(l.o.FS, l.o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return l.generation == 0
	}
	return err == nil && m.Generation == l.generation
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
