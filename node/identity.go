package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"chronik/internal/vfs"
)

const (
	lockName     = "chronik.lock"
	identityName = "meta.json"
	// dirVersion is the version of the data directory's layout.
	dirVersion       = 1
	identityBytesMax = 4096
)

// identity is the file that says whose data a directory holds.
type identity struct {
	Version int `json:"version"`
	NodeID  int `json:"node_id"`
}

// ErrDataDir is a data directory that this node cannot use: the user can put
// that right.
var ErrDataDir = errors.New("the data directory cannot be used")

// checkIdentity writes the identity of a new data directory, and refuses one
// of another node or of a newer release.
func checkIdentity(fsys vfs.FS, dir string, nodeID int) error {
	path := filepath.Join(dir, identityName)
	b, err := vfs.ReadFile(fsys, path, identityBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = json.Marshal(identity{dirVersion, nodeID})
		if err != nil {
			return err
		}
		return vfs.ReplaceFile(fsys, dir, identityName+".tmp", identityName, append(b, '\n'))
	}
	if err != nil {
		return err
	}
	var id identity
	switch err := json.Unmarshal(b, &id); {
	case err != nil:
		return fmt.Errorf("%w: %s is damaged: %w", ErrDataDir, path, err)
	case id.Version > dirVersion:
		return fmt.Errorf("%w: %s: the data was written by a newer release (layout %d, this one knows %d)", ErrDataDir, path, id.Version, dirVersion)
	case id.NodeID != nodeID:
		return fmt.Errorf("%w: %s: the data is node %d's, and this is node %d: use --node-id %d or another --data-dir", ErrDataDir, path, id.NodeID, nodeID, id.NodeID)
	}
	return nil
}
