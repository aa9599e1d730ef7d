package raftstore

import (
	"errors"
	"fmt"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal"
)

// DiskFull tells that err is a want of room and nothing more: what was asked
// for was not done, all that was done before stands, and the same may be asked
// for again. A sync that fails for want of room is a failed sync.
func DiskFull(err error) bool {
	return errors.Is(err, vfs.ErrNoSpace) && !errors.Is(err, wal.ErrPoisoned)
}

// corrupt is damage of a hard-state file that no crash explains.
func corrupt(path string, at int64, what string, want, got any) error {
	return &segment.CorruptError{Path: path, Offset: segment.Pos(at), What: what, Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
}

// poisoned makes err final, whatever it is.
func poisoned(err error) error {
	if errors.Is(err, wal.ErrPoisoned) {
		return err
	}
	return fmt.Errorf("%w: %w", wal.ErrPoisoned, err)
}
