package vfs

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// cold maps a file of n pages whose pages are not in memory, where the file
// system lets them go.
func cold(t *testing.T, n int) *Mapping {
	t.Helper()
	f, err := OS.Create(filepath.Join(t.TempDir(), "a"))
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt(make([]byte, n*PageSize), 0)
	must(t, err)
	must(t, f.Datasync())
	must(t, unix.Fadvise(f.(*osFile).fd, 0, 0, unix.FADV_DONTNEED))
	m, err := f.Map(int64(n) * PageSize)
	must(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

// What is cold is in memory after a Load of it, by either way.
func TestLoad(t *testing.T) {
	const pages = 600 // more than one peek asks for
	for name, load := range map[string]func(m *Mapping, from, to int64) error{
		"populate": func(m *Mapping, from, to int64) error { return m.Load(from, to, 0) },
		"peek":     func(m *Mapping, from, to int64) error { return peek(m.Bytes[from&^(PageSize-1) : to]) },
	} {
		t.Run(name, func(t *testing.T) {
			m := cold(t, pages)
			if resident(m.Bytes) > 0 {
				t.Log("this file system keeps pages in memory that it was told to drop")
			}
			must(t, load(m, 5*PageSize+7, 5*PageSize+8))
			if resident(m.Bytes[5*PageSize:][:PageSize]) != PageSize {
				t.Error("the page of the one byte asked for is not in memory")
			}
			must(t, load(m, 1, pages*PageSize))
			if resident(m.Bytes) != len(m.Bytes) {
				t.Error("not everything is in memory after all of it was loaded")
			}
			must(t, load(m, 0, pages*PageSize)) // of what is there already
		})
	}
}

// What is only asked for may come or not; what lies before it is there.
func TestLoadAhead(t *testing.T) {
	m := cold(t, 600)
	must(t, m.Load(3*PageSize, 5*PageSize, 600*PageSize))
	if resident(m.Bytes[3*PageSize:]) < 2*PageSize {
		t.Error("the pages asked for are not in memory")
	}
	must(t, m.Load(0, 600*PageSize, 0))
	must(t, m.Load(0, PageSize, 600*PageSize))
	if resident(m.Bytes) != len(m.Bytes) {
		t.Error("not everything is in memory after all of it was loaded")
	}
}

// What would have been a SIGBUS is an error.
func TestLoadBehindTheFile(t *testing.T) {
	f, err := OS.Create(filepath.Join(t.TempDir(), "a"))
	must(t, err)
	defer f.Close()
	must(t, f.Zero(0, PageSize))
	m, err := f.Map(4 * PageSize)
	must(t, err)
	defer m.Close()
	must(t, m.Load(0, PageSize, 0))
	if err := m.Load(0, 4*PageSize, 0); !errors.Is(err, unix.EIO) {
		t.Errorf("Load beyond the file: %v, want EIO", err)
	}
	if err := peek(m.Bytes); !errors.Is(err, unix.EIO) {
		t.Errorf("peek beyond the file: %v, want EIO", err)
	}
}

// A rule makes a Load fail, over a mapping of any file system.
func TestFaultyLoad(t *testing.T) {
	for _, base := range []FS{OS, NewMem()} {
		bad := errors.New("bad sector")
		var fail bool
		loads := 0
		fsys := NewFaulty(base, func(op Op, name string) error {
			if op != OpLoad {
				return nil
			}
			loads++
			if fail {
				return bad
			}
			return nil
		})
		dir := t.TempDir()
		must(t, base.MkdirAll(dir))
		f, err := fsys.Create(filepath.Join(dir, "a"))
		must(t, err)
		must(t, f.Zero(0, PageSize))
		m, err := f.Map(PageSize)
		must(t, err)
		must(t, m.Load(0, 10, 0))
		fail = true
		if err := m.Load(0, 10, 0); !errors.Is(err, bad) || loads != 2 {
			t.Errorf("%T: %v after %d loads, want the rule's error after 2", base, err, loads)
		}
		must(t, m.Load(10, 10, 0)) // nothing
		must(t, m.Close())
		must(t, f.Close())
	}
}

// Who has no descriptors left is told how many there may be.
func TestDescriptorsRunOut(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	f, err := OS.Create(name)
	must(t, err)
	must(t, f.Close())
	var limit unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}))
	_, err = OS.Open(name)
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	if !errors.Is(err, unix.EMFILE) || !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "may have 3 ") {
		t.Errorf("got %v, want EMFILE with the limit, 3", err)
	}
}
