package wal

import (
	"errors"
	"fmt"
	"io/fs"

	"chronik/internal/vfs"
	"chronik/wal/manifest"
)

// SegmentSuffix ends the names of segment files.
const SegmentSuffix = ".seg"

// ManifestName is the name of the manifest in a log's directory.
const ManifestName = manifest.Name

// SegmentName is the file name of the segment with that id.
func SegmentName(id uint64) string { return fmt.Sprintf("%016x%s", id, SegmentSuffix) }

// Manifest is what a log's manifest says.
type Manifest = manifest.Manifest

// ReadManifest reads the manifest of the log in dir, for tools: it opens no
// log, takes no lock and writes nothing. ok is false when there is none.
// Damage is a *segment.CorruptError, a newer format a *segment.VersionError.
func ReadManifest(fsys vfs.FS, dir string) (m Manifest, ok bool, err error) {
	in, err := manifest.Load(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, true, err
	}
	return *in, true, nil
}

// EncodeManifest is the content of a manifest that says this, for tools that
// make a log of segments. What Open would refuse is an error.
func EncodeManifest(m Manifest) ([]byte, error) {
	b := m.Encode()
	_, err := manifest.Parse(ManifestName, b)
	return b, err
}
