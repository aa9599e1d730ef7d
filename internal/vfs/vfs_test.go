package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"reflect"
	"testing"
)

// each runs a test over every file system.
func each(t *testing.T, f func(t *testing.T, fsys FS, dir string)) {
	t.Run("os", func(t *testing.T) { f(t, OS, t.TempDir()) })
	t.Run("mem", func(t *testing.T) {
		m := NewMem()
		m.MkdirAll("/d")
		f(t, m, "/d")
	})
	t.Run("faulty", func(t *testing.T) {
		f(t, NewFaulty(OS, func(Op, string) error { return nil }), t.TempDir())
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "a")
		f, err := fsys.Create(name)
		must(t, err)
		if _, err := fsys.Create(name); !errors.Is(err, fs.ErrExist) {
			t.Fatalf("second create: %v", err)
		}
		m, err := f.Map(3 * PageSize)
		must(t, err)
		must(t, f.Zero(0, 2*PageSize))
		must(t, f.Datasync())
		must(t, f.Writev([][]byte{[]byte("one"), nil, []byte("two")}, PageSize-2))
		if got := string(m.Bytes[PageSize-2 : PageSize+4]); got != "onetwo" {
			t.Fatalf("mapping shows %q", got)
		}
		if n, err := f.Size(); n != 2*PageSize || err != nil {
			t.Fatalf("size %d, %v", n, err)
		}
		must(t, f.Zero(2*PageSize, PageSize))
		_, err = f.WriteAt([]byte("end"), 3*PageSize-3)
		must(t, err)
		if got := string(m.Bytes[3*PageSize-3:]); got != "end" {
			t.Fatalf("mapping shows %q where the file grew", got)
		}
		must(t, f.Release(2*PageSize, PageSize))
		if m.Bytes[3*PageSize-1] != 0 {
			t.Fatal("released bytes are not zero")
		}
		if n, _ := f.Size(); n != 3*PageSize {
			t.Fatalf("size %d after release", n)
		}
		must(t, f.Close())
		if got := string(m.Bytes[PageSize-2 : PageSize+1]); got != "one" {
			t.Fatalf("mapping shows %q after the file was closed", got)
		}
		must(t, m.Close())

		r, err := fsys.OpenReadOnly(name)
		must(t, err)
		b := make([]byte, 6)
		if n, err := r.ReadAt(b, PageSize-2); n != 6 || err != nil || string(b) != "onetwo" {
			t.Fatalf("read %q, %d, %v", b, n, err)
		}
		if n, err := r.ReadAt(b, 3*PageSize-2); n != 2 || err != io.EOF {
			t.Fatalf("read over the end: %d, %v", n, err)
		}
		if _, err := r.WriteAt(b, 0); err == nil {
			t.Fatal("wrote to a file that was opened for reading")
		}
		must(t, r.Close())
	})
}

// TestWritevLong writes more buffers than one system call takes.
func TestWritevLong(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		f, err := fsys.Create(filepath.Join(dir, "a"))
		must(t, err)
		var bufs [][]byte
		var want []byte
		for i := range 2500 {
			b := []byte(fmt.Sprint(i, ","))
			bufs, want = append(bufs, b), append(want, b...)
		}
		must(t, f.Writev(bufs, 5))
		got := make([]byte, len(want))
		_, err = f.ReadAt(got, 5)
		must(t, err)
		if !bytes.Equal(got, want) {
			t.Fatal("bytes differ")
		}
		must(t, f.Close())
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		sub := filepath.Join(dir, "x", "y")
		must(t, fsys.MkdirAll(sub))
		must(t, fsys.MkdirAll(sub))
		must(t, ReplaceFile(fsys, sub, "tmp", "f", []byte("one")))
		must(t, ReplaceFile(fsys, sub, "tmp", "f", []byte("two")))
		b, err := ReadFile(fsys, filepath.Join(sub, "f"), 10)
		if err != nil || string(b) != "two" {
			t.Fatalf("%q, %v", b, err)
		}
		if _, err := ReadFile(fsys, filepath.Join(sub, "f"), 2); err == nil {
			t.Fatal("read a file above the limit")
		}
		f, err := fsys.Create(filepath.Join(sub, "tmp")) // as a crash leaves it
		must(t, err)
		must(t, f.Close())
		must(t, ReplaceFile(fsys, sub, "tmp", "f", []byte("three")))
		names, err := fsys.ReadDir(sub)
		if err != nil || !reflect.DeepEqual(names, []string{"f"}) {
			t.Fatalf("%v, %v", names, err)
		}
		names, err = fsys.ReadDir(dir)
		if err != nil || !reflect.DeepEqual(names, []string{"x"}) {
			t.Fatalf("%v, %v", names, err)
		}
		if i, err := fsys.Stat(filepath.Join(sub, "f")); err != nil || i.Size != 5 || i.IsDir {
			t.Fatalf("%+v, %v", i, err)
		}
		if i, err := fsys.Stat(sub); err != nil || !i.IsDir {
			t.Fatalf("%+v, %v", i, err)
		}
		must(t, fsys.Remove(filepath.Join(sub, "f")))
		for _, err := range []error{fsys.Remove(filepath.Join(sub, "f")), second(fsys.Open(filepath.Join(sub, "f"))),
			second(fsys.Stat(filepath.Join(sub, "f"))), second(fsys.ReadDir(filepath.Join(dir, "none")))} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("missing file: %v", err)
			}
		}
		must(t, fsys.SyncDir(sub))
		must(t, fsys.Remove(sub))
		if u, err := fsys.Usage(dir); err != nil || u.Free <= 0 || u.Total < u.Free {
			t.Fatalf("%+v, %v", u, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestLock(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "lock")
		l, err := fsys.Lock(name)
		must(t, err)
		if _, err := fsys.Lock(name); !errors.Is(err, ErrLocked) {
			t.Fatalf("second lock: %v", err)
		}
		must(t, l.Close())
		l, err = fsys.Lock(name)
		must(t, err)
		must(t, l.Close())
	})
}

func TestFaulty(t *testing.T) {
	broken := errors.New("broken")
	var fail Op
	fsys := NewFaulty(NewMem(), func(op Op, name string) error {
		if op == fail {
			return broken
		}
		return nil
	})
	must(t, fsys.MkdirAll("/d"))
	f, err := fsys.Create("/d/f")
	must(t, err)
	calls := map[Op]func() error{
		OpCreate:   func() error { return second(fsys.Create("/d/g")) },
		OpOpen:     func() error { return second(fsys.Open("/d/f")) },
		OpRename:   func() error { return fsys.Rename("/d/f", "/d/h") },
		OpRemove:   func() error { return fsys.Remove("/d/f") },
		OpMkdir:    func() error { return fsys.MkdirAll("/e") },
		OpReadDir:  func() error { return second(fsys.ReadDir("/d")) },
		OpSyncDir:  func() error { return fsys.SyncDir("/d") },
		OpLock:     func() error { return second(fsys.Lock("/d/l")) },
		OpStat:     func() error { return second(fsys.Stat("/d/f")) },
		OpRead:     func() error { return second(f.ReadAt(nil, 0)) },
		OpWrite:    func() error { return f.Writev([][]byte{{1}}, 0) },
		OpDatasync: func() error { return f.Datasync() },
		OpWaitOut:  func() error { return f.WaitOut(0, 1) },
		OpZero:     func() error { return f.Zero(0, 1) },
		OpRelease:  func() error { return f.Release(0, 1) },
		OpMap:      func() error { return second(f.Map(1)) },
	}
	for op, call := range calls {
		fail = op
		if err := call(); !errors.Is(err, broken) {
			t.Errorf("%s: %v", op, err)
		}
	}
	fail = ""
	if n, _ := f.Size(); n != 0 {
		t.Fatalf("a call that failed did something: size %d", n)
	}
}

// TestMemCrash states what a power cut keeps: all that was synced, and any
// subset of the rest.
func TestMemCrash(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("/d"))
	f, err := m.Create("/d/kept")
	must(t, err)
	durable := bytes.Repeat([]byte{1}, 8*PageSize)
	must(t, f.Writev([][]byte{durable}, 0))
	must(t, f.Datasync())
	must(t, m.SyncDir("/d"))
	must(t, f.Writev([][]byte{bytes.Repeat([]byte{2}, 8*PageSize)}, 4*PageSize))
	_, err = m.Create("/d/new")
	must(t, err)

	old, fresh, torn, named, grown := 0, 0, 0, 0, 0
	for seed := range uint64(200) {
		c := m.Crash(seed)
		b, err := ReadFile(c, "/d/kept", 1<<20)
		must(t, err)
		if !bytes.Equal(b[:4*PageSize], durable[:4*PageSize]) || len(b) < 8*PageSize {
			t.Fatalf("seed %d: synced bytes were lost", seed)
		}
		for p := 4; p < len(b)/PageSize; p++ {
			page := b[p*PageSize : (p+1)*PageSize]
			was := byte(1) // the room of the file's growth reads as zeroes
			if p >= 8 {
				was = 0
			}
			for i := 0; i < PageSize; i += 8 {
				if n := bytes.Count(page[i:i+8], page[i:i+1]); n != 8 || (page[i] != 2 && page[i] != was) {
					t.Fatalf("seed %d: page %d has % x at %d", seed, p, page[i:i+8], i)
				}
			}
			switch bytes.Count(page, []byte{2}) {
			case 0:
				old++
			case PageSize:
				fresh++
			default:
				torn++
			}
		}
		if len(b) == 12*PageSize && bytes.Count(b[8*PageSize:], []byte{2}) == 0 {
			grown++
		}
		if _, err := c.Stat("/d/new"); err == nil {
			named++
		}
		again, err := ReadFile(m.Crash(seed), "/d/kept", 1<<20)
		if err != nil || !bytes.Equal(b, again) {
			t.Fatalf("seed %d gives two images", seed)
		}
	}
	if old == 0 || fresh == 0 || torn == 0 || named == 0 || named == 200 || grown == 0 {
		t.Fatalf("no variety: %d old pages, %d fresh, %d torn, %d names, %d grown without bytes", old, fresh, torn, named, grown)
	}
}

// TestMemCrashOfDirectories: a directory that was removed may come back until
// its parent is synced.
func TestMemCrashOfDirectories(t *testing.T) {
	m := NewMem()
	must(t, m.MkdirAll("/d/sub"))
	must(t, m.Remove("/d/sub"))
	back := func() (n int) {
		for seed := range uint64(50) {
			if _, err := m.Crash(seed).ReadDir("/d/sub"); err == nil {
				n++
			}
		}
		return n
	}
	if n := back(); n == 0 || n == 50 {
		t.Errorf("it came back %d times of 50", n)
	}
	must(t, m.SyncDir("/d"))
	if n := back(); n != 0 {
		t.Errorf("its parent was synced, and it came back %d times", n)
	}
}

// TestFaultsThatDoHalf: a short write, and a sync after whose failure no later
// one writes the bytes.
func TestFaultsThatDoHalf(t *testing.T) {
	m := NewMem()
	var fault error
	fsys := NewFaulty(m, func(op Op, _ string) error {
		if op == OpWrite || op == OpDatasync {
			return fault
		}
		return nil
	})
	f, err := fsys.Create("a")
	must(t, err)
	must(t, m.SyncDir("."))
	fault = ErrShortWrite
	if err := f.Writev([][]byte{[]byte("abc"), []byte("defgh")}, 0); !errors.Is(err, ErrShortWrite) {
		t.Fatalf("short write: %v", err)
	}
	if b, err := ReadFile(m, "a", 10); string(b) != "abcd" || err != nil {
		t.Fatalf("after a short write: %q, %v", b, err)
	}
	fault = ErrForgotten
	if err := f.Datasync(); !errors.Is(err, ErrForgotten) {
		t.Fatalf("sync: %v", err)
	}
	fault = nil
	must(t, f.Datasync())
	for seed := range uint64(20) {
		if b, err := ReadFile(m.Crash(seed), "a", 10); err != nil || len(bytes.Trim(b, "\x00")) != 0 {
			t.Fatalf("seed %d: a sync after a failed one wrote %q, %v", seed, b, err)
		}
	}
	_, err = f.WriteAt([]byte("again"), 0)
	must(t, err)
	must(t, f.Datasync())
	if b, err := ReadFile(m.Crash(1), "a", 10); err != nil || string(b) != "again" {
		t.Fatalf("written again: %q, %v", b, err)
	}
}

func TestMemCapacity(t *testing.T) {
	m := NewMem()
	m.SetCapacity(2 * PageSize)
	f, err := m.Create("a")
	must(t, err)
	must(t, f.Zero(0, 2*PageSize))
	if err := f.Zero(2*PageSize, 1); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("wrote beyond the capacity: %v", err)
	}
	must(t, f.Writev([][]byte{{1}}, 5))
	must(t, m.Remove("a"))
	g, err := m.Create("b")
	must(t, err)
	must(t, g.Zero(0, 2*PageSize))
}
