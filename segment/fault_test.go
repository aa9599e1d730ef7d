package segment

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
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

// TestFaultUnderEveryRead takes the pages of mapped segments away, as a disk does
// that cannot give them any more: every way to read is an error then, and the
// process lives.
func TestFaultUnderEveryRead(t *testing.T) {
	dir := t.TempDir()
	fill := func(name string) *Active {
		a, err := Create(CreateOptions{FS: vfs.OS, Path: filepath.Join(dir, name), ID: 1, Salt: 5, BaseIndex: 1, Now: 1, Capacity: 256 << 10})
		must(t, err)
		for i := range 40 {
			add(t, a, entry(i+1, bytesOf(3000, byte(i))))
		}
		must(t, a.Sync())
		return a
	}
	open := fill("active")
	defer open.Release()
	full := fill("sealed")
	meta, err := full.Seal(40, bytesOf(5000, 1))
	must(t, err)
	full.Release()
	sealed := OpenSealed(vfs.OS, nil, filepath.Join(dir, "sealed"), meta)
	defer sealed.Release()
	var held Entry // a payload that aliases the mapping
	must(t, sealed.Frame(39, &held))

	for _, name := range []string{"active", "sealed"} {
		must(t, os.Truncate(filepath.Join(dir, name), 4096))
	}
	var e Entry
	for what, err := range map[string]error{
		"frame of an active segment": open.Frame(39, &e),
		"frame":                      sealed.Frame(30, &e),
		"offset":                     second(sealed.FindOffset(20)),
		"timestamp":                  second(sealed.FindTimestamp(20)),
		"terms":                      second(sealed.Terms(nil)),
		"checkpoint":                 second(sealed.Checkpoint()),
		"cut":                        second(sealed.Cut(3)),
		"detach":                     Detach([]Entry{held}),
		"seal":                       second(open.Seal(40, nil)),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		} else if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.EIO) && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
