package removal

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	"chronik/internal/vfs"
	"chronik/wal/manifest"
)

// Name is what the manifest is called once the removal has begun: a directory
// with this and without a manifest holds no log any more.
const Name = manifest.Name + ".removed"

// Err is a log whose removal was begun and not finished.
var Err = errors.New("wal: the log is being removed")

// Run deletes a closed log and its directory, durably; a directory that is
// not there is no error. The manifest goes first, by another name that stays
// until every other file is durably gone: whoever looks in between, or after a
// crash, sees the whole log or one that is being removed, never a damaged one.
// What an interrupted one leaves, another finishes.
func Run(fsys vfs.FS, dir string) error {
	names, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if slices.Contains(names, manifest.Name) {
		if err := fsys.Rename(path.Join(dir, manifest.Name), path.Join(dir, Name)); err != nil {
			return err
		}
	}
	// Durable also when an earlier call has renamed it and then failed.
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	for _, name := range names {
		if name == manifest.Name || name == Name {
			continue
		}
		if err := fsys.Remove(path.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	if err := fsys.Remove(path.Join(dir, Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	if err := fsys.Remove(dir); err != nil {
		return err
	}
	return fsys.SyncDir(path.Dir(dir))
}
