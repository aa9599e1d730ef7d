package node

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"chronik/internal/vfs"
)

// A directory gets its id once and keeps it, also one of a release that had none.
func TestADirectoryHasAnIDForGood(t *testing.T) {
	for _, before := range []string{"", `{"version":1,"node_id":1}`} {
		dir := t.TempDir()
		if before != "" {
			if err := os.WriteFile(filepath.Join(dir, identityName), []byte(before), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		first, err := openIdentity(vfs.OS, dir, 1)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := first.directory(); err != nil || id == [16]byte{} {
			t.Errorf("directory id %x, %v", id, err)
		}
		first.ClusterID, first.Voters, first.Member = "c", []uint64{2}, true
		if err := first.write(vfs.OS, dir); err != nil {
			t.Fatal(err)
		}
		again, err := openIdentity(vfs.OS, dir, 1)
		if err != nil || !reflect.DeepEqual(first, again) {
			t.Errorf("wrote %+v, read %+v, %v", first, again, err)
		}
	}
	a, _ := openIdentity(vfs.OS, t.TempDir(), 1)
	b, _ := openIdentity(vfs.OS, t.TempDir(), 1)
	if a.DirectoryID == b.DirectoryID {
		t.Error("two directories have the same id")
	}
}

func TestADamagedDirectoryIDIsRefused(t *testing.T) {
	for _, bad := range []string{"1", "0123456789abcdef0123456789abcdeg", "0123456789abcdef0123456789abcdef0"} {
		dir := t.TempDir()
		content, err := json.Marshal(identity{Version: 1, NodeID: 1, DirectoryID: bad})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, identityName), content, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := openIdentity(vfs.OS, dir, 1); !errors.Is(err, ErrDataDir) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
