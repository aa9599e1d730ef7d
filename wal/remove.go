package wal

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	"chronik/internal/vfs"
	"chronik/wal/manifest"
)

// RemovedName is what the manifest is called once Remove has begun: a
// directory with this and without a manifest holds no log any more.
const RemovedName = manifest.Name + ".removed"

// ErrRemoved is a log whose removal was begun and not finished. Remove
// finishes it.
var ErrRemoved = errors.New("wal: the log is being removed")

// Remove deletes a closed log and its directory, durably; a directory that is
// not there is no error. The manifest goes first, by another name that stays
// until every other file is durably gone: whoever looks in between, or after a
// crash, sees the whole log or one that is being removed, never a damaged one.
// What an interrupted Remove leaves, another finishes.
func Remove(fsys vfs.FS, dir string) error {
	names, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if slices.Contains(names, manifest.Name) {
		if err := fsys.Rename(path.Join(dir, manifest.Name), path.Join(dir, RemovedName)); err != nil {
			return err
		}
	}
	// Durable also when an earlier call has renamed it and then failed.
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	for _, name := range names {
		if name == manifest.Name || name == RemovedName {
			continue
		}
		if err := fsys.Remove(path.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := fsys.SyncDir(dir); err != nil {
		return err
	}
	if err := fsys.Remove(path.Join(dir, RemovedName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
