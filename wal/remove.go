package wal

import (
	"chronik/internal/vfs"
	"chronik/wal/removal"
)

// RemovedName is what the manifest is called once Remove has begun.
const RemovedName = removal.Name

// ErrRemoved is a log whose removal was begun and not finished. Remove
// finishes it.
var ErrRemoved = removal.Err

// Remove deletes a closed log and its directory, durably; a directory that is
// not there is no error. What an interrupted Remove leaves, another finishes.
func Remove(fsys vfs.FS, dir string) error { return removal.Run(fsys, dir) }
