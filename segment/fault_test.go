package segment

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"chronik/internal/vfs"
)

// A page that the file does not have faults as one that the disk cannot give.
func TestCaughtTurnsAFaultIntoAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := vfs.OS.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := f.Map(3 * 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	touch := func(at int) (b byte, err error) {
		defer Caught(debug.SetPanicOnFault(true), "f", &err)
		return m.Bytes[at], nil
	}
	if _, err := touch(100); err != nil {
		t.Errorf("a page that is there: %v", err)
	}
	if _, err := touch(2 * 4096); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a page that is not: %v", err)
	}
	defer func() {
		if recover() != "other" {
			t.Error("another panic was swallowed")
		}
	}()
	func() (err error) {
		defer Caught(debug.SetPanicOnFault(true), "f", &err)
		panic("other")
	}()
}
