package node

import (
	crand "crypto/rand"
	"encoding/hex"
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
	// DirectoryID is made once, 16 random bytes in hex: the cluster tells by it
	// a node that comes back from another one of the same id. Directories of
	// releases without clusters are given theirs when they are opened.
	DirectoryID string `json:"directory_id"`
	// ClusterID is the cluster's, "" as long as it is not known.
	ClusterID string `json:"cluster_id,omitempty"`
	// Voters are the metadata group's first: those of its log's beginning. None:
	// this node has neither begun a cluster nor been let into one.
	Voters []uint64 `json:"voters,omitempty"`
	// Member says that the node has run with others: it does not run alone
	// any more, since what it acknowledged then nobody else would have.
	Member bool `json:"member,omitempty"`
}

// ErrDataDir is a data directory that this node cannot use: the user can put
// that right.
var ErrDataDir = errors.New("the data directory cannot be used")

// openIdentity reads the identity of a data directory, and writes that of a new
// one. It refuses one of another node or of a newer release.
func openIdentity(fsys vfs.FS, dir string, nodeID int) (*identity, error) {
	path := filepath.Join(dir, identityName)
	id := &identity{Version: dirVersion, NodeID: nodeID}
	b, err := vfs.ReadFile(fsys, path, identityBytesMax)
	if err == nil {
		err = id.parse(b, path, nodeID)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if id.DirectoryID == "" {
		var random [16]byte
		crand.Read(random[:])
		id.DirectoryID = hex.EncodeToString(random[:])
		if err := id.write(fsys, dir); err != nil {
			return nil, err
		}
	}
	return id, nil
}

func (id *identity) parse(b []byte, path string, nodeID int) error {
	err := json.Unmarshal(b, id)
	if err == nil && id.DirectoryID != "" {
		_, err = id.directory()
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s is damaged: %w", ErrDataDir, path, err)
	case id.Version > dirVersion:
		return fmt.Errorf("%w: %s: the data was written by a newer release (layout %d, this one knows %d)", ErrDataDir, path, id.Version, dirVersion)
	case id.NodeID != nodeID:
		return fmt.Errorf("%w: %s: the data is node %d's, and this is node %d: use --node-id %d or another --data-dir", ErrDataDir, path, id.NodeID, nodeID, id.NodeID)
	}
	return nil
}

// directory is the directory id as bytes.
func (id *identity) directory() (dir [16]byte, err error) {
	if hex.DecodedLen(len(id.DirectoryID)) != len(dir) {
		return dir, fmt.Errorf("directory_id %q: want 32 hexadecimal digits", id.DirectoryID)
	}
	_, err = hex.Decode(dir[:], []byte(id.DirectoryID))
	return dir, err
}

// write replaces the file; it is durable on return.
func (id *identity) write(fsys vfs.FS, dir string) error {
	b, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return vfs.ReplaceFile(fsys, dir, identityName+".tmp", identityName, append(b, '\n'))
}
