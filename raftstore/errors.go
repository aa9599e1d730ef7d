package raftstore

import (
	"fmt"

	"chronik/segment"
)

// corrupt is damage of a hard-state file that no crash explains.
func corrupt(path string, at int64, what string, want, got any) error {
	return &segment.CorruptError{Path: path, Offset: segment.Pos(at), What: what, Want: fmt.Sprint(want), Got: fmt.Sprint(got)}
}
