package wal

import (
	"errors"
	"fmt"
	"io/fs"

	"chronik/internal/vfs"
	"chronik/segment"
)

// SegmentSuffix ends the names of segment files.
const SegmentSuffix = ".seg"

// ManifestName is the name of the manifest in a log's directory.
const ManifestName = manifestName

// SegmentName is the file name of the segment with that id.
func SegmentName(id uint64) string { return fmt.Sprintf("%016x%s", id, SegmentSuffix) }

// Manifest is what a log's manifest says.
type Manifest struct {
	Generation uint64
	NextID     uint64
	Start      Offset
	Cut        Cut
	// Segments in order; the last is the active one, whose DataEnd is what
	// was known to be durable and whose MaxTimestamp is -1.
	Segments []segment.Meta
	Terms    []TermRun // those that begin before the active segment
}

// ReadManifest reads the manifest of the log in dir, for tools: it opens no
// log, takes no lock and writes nothing. ok is false when there is none.
// Damage is a *segment.CorruptError, a newer format a *segment.VersionError.
func ReadManifest(fsys vfs.FS, dir string) (m Manifest, ok bool, err error) {
	in, err := loadManifest(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, true, err
	}
	return Manifest{Generation: in.generation, NextID: in.nextID, Start: in.start, Cut: in.cut, Segments: in.segments, Terms: in.terms}, true, nil
}
