package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal"
)

// ErrUsage is a question that cannot be answered: a path that is no segment
// file and has no log below it, a form that there is not.
var ErrUsage = errors.New("want something else")

type usageError string

func (e usageError) Error() string { return string(e) }
func (usageError) Unwrap() error   { return ErrUsage }

func usage(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// target is a log, one file of it, or a file that stands alone.
type target struct {
	dir   string
	file  string // "": the whole log
	named bool   // the manifest in dir names the file
}

func (t *target) name() string {
	if t.file != "" {
		return t.file
	}
	return t.dir
}

// is tells whether the target's file is that segment's.
func (t *target) is(id uint64) bool { return path.Base(t.file) == wal.SegmentName(id) }

func isLogFile(name string) bool {
	return strings.HasSuffix(name, wal.SegmentSuffix) || strings.HasPrefix(name, wal.ManifestName)
}

// beingRemoved tells whether these are the files of a log that is being removed.
func beingRemoved(names []string) bool {
	return slices.Contains(names, wal.RemovedName) && !slices.Contains(names, wal.ManifestName)
}

// moved tells whether a segment that could not be read as the manifest says is
// the log's no longer, or no longer in that state, so that what was read of it
// says nothing. One that is named still was there all the time in between: the
// manifest is changed before any file that it names goes, or becomes another.
func moved(fsys vfs.FS, dir string, meta *segment.Meta, sealed bool) bool {
	m, ok, err := wal.ReadManifest(fsys, dir)
	if !ok || err != nil {
		return true // whoever starts over says so
	}
	i := slices.IndexFunc(m.Segments, func(s segment.Meta) bool { return s.ID == meta.ID })
	return i < 0 || sealed != (i < len(m.Segments)-1) || sealed && m.Segments[i] != *meta
}

// errMoved ends a reading that is to be started over.
var errMoved = errors.New("the log has changed")

// depthMax is how far below a directory logs are looked for: a data directory
// has them at depth 2 (topics/NAME).
const depthMax = 3

// find lists the logs at or below name.
func find(fsys vfs.FS, name string) ([]target, error) {
	info, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage("%s: there is nothing of that name; want a segment file, a log's directory or a data directory", name)
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir {
		return findFile(fsys, name)
	}
	var out []target
	if err := findBelow(fsys, name, depthMax, &out); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, usage("%s: no log there; want a segment file, a log's directory or a data directory", name)
	}
	return out, nil
}

func findBelow(fsys vfs.FS, dir string, depth int, out *[]target) error {
	names, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	if beingRemoved(names) {
		return nil
	}
	if slices.ContainsFunc(names, isLogFile) {
		*out = append(*out, target{dir: dir})
		return nil
	}
	for _, name := range names {
		p := path.Join(dir, name)
		info, err := fsys.Stat(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if info.IsDir && depth > 0 {
			if err := findBelow(fsys, p, depth-1, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// findFile tells how a single file is to be read.
func findFile(fsys vfs.FS, name string) ([]target, error) {
	t := target{dir: path.Dir(name), file: path.Clean(name)}
	if base := path.Base(name); base == wal.ManifestName {
		return nil, usage("%s: want the directory that it stands in", name)
	} else if !strings.HasSuffix(base, wal.SegmentSuffix) {
		return []target{t}, nil
	}
	m, ok, err := wal.ReadManifest(fsys, t.dir)
	if err == nil && ok {
		t.named = slices.ContainsFunc(m.Segments, func(s segment.Meta) bool { return t.is(s.ID) })
	}
	return []target{t}, nil // a damaged manifest does not keep the file from being read
}
