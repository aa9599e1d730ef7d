package vfs

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
)

// TestMemWaitOut states what makes written-out pages durable: a later sync of
// any file, if size and extents were durable before.
func TestMemWaitOut(t *testing.T) {
	page := func(b byte) []byte { return bytes.Repeat([]byte{b}, PageSize) }
	for _, c := range []struct {
		name string
		do   func(f, other File) error
		kept bool // always
	}{
		{"nothing", func(f, other File) error { return nil }, false},
		{"flush without write-out", func(f, other File) error { return other.Datasync() }, false},
		{"write-out without flush", func(f, other File) error { return f.WaitOut(PageSize, PageSize) }, false},
		{"flush before write-out", func(f, other File) error {
			return errors.Join(other.Datasync(), f.WaitOut(PageSize, PageSize))
		}, false},
		{"another range", func(f, other File) error {
			return errors.Join(f.WaitOut(0, PageSize), other.Datasync())
		}, false},
		{"both", func(f, other File) error { return errors.Join(f.WaitOut(PageSize+100, 8), other.Datasync()) }, true},
		{"both, then another write", func(f, other File) error {
			err := errors.Join(f.WaitOut(PageSize, PageSize), other.Datasync())
			_, werr := f.WriteAt(page(3), PageSize)
			return errors.Join(err, werr)
		}, true},
		{"over a hole", func(f, other File) error {
			return errors.Join(f.Release(PageSize, PageSize), f.Writev([][]byte{page(2)}, PageSize), f.WaitOut(PageSize, PageSize), other.Datasync())
		}, false},
	} {
		m := NewMem()
		f, err := m.Create("f")
		must(t, err)
		other, err := m.Create("other")
		must(t, err)
		must(t, m.SyncDir("/"))
		must(t, m.SyncDir("."))
		must(t, f.Writev([][]byte{page(1), page(1)}, 0))
		must(t, f.Datasync())
		must(t, f.Writev([][]byte{page(2)}, PageSize))
		if err := c.do(f, other); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		old, fresh := 0, 0
		for seed := range uint64(100) {
			b, err := ReadFile(m.Crash(seed), "f", 1<<20)
			must(t, err)
			switch got := b[PageSize]; {
			case !bytes.Equal(b[:PageSize], page(1)):
				t.Fatalf("%s: synced bytes changed", c.name)
			case got == 2:
				fresh++
			case got == 1 || got == 0:
				old++
			}
		}
		if (old == 0) != c.kept || fresh == 0 {
			t.Errorf("%s: %d images without the write, %d with it", c.name, old, fresh)
		}
	}
}

// TestMemWaitOutGrown: bytes that no durable size covers need their own sync.
func TestMemWaitOutGrown(t *testing.T) {
	for _, size := range []int64{PageSize, 100} {
		m := NewMem()
		f, err := m.Create("f")
		must(t, err)
		other, err := m.Create("other")
		must(t, err)
		must(t, m.SyncDir("."))
		must(t, f.Zero(0, size))
		must(t, f.Datasync())
		must(t, f.Zero(size, size))
		must(t, f.WaitOut(0, 2*size))
		must(t, other.Datasync())
		lost := func() (n int) {
			for seed := range uint64(100) {
				if i, err := m.Crash(seed).Stat("f"); err != nil || i.Size < 2*size {
					n++
				}
			}
			return n
		}
		if lost() == 0 {
			t.Errorf("%d bytes: a range made a size durable", size)
		}
		must(t, f.Datasync())
		if n := lost(); n > 0 {
			t.Errorf("%d bytes: lost in %d images after the file's own sync", size, n)
		}
	}
}

func TestDevice(t *testing.T) {
	a, b := NewMem(), NewMem()
	f, err := a.Create("f")
	must(t, err)
	g, err := a.Create("g")
	must(t, err)
	h, err := b.Create("f")
	must(t, err)
	if f.Device() == 0 || f.Device() != g.Device() || f.Device() == h.Device() {
		t.Fatalf("devices %d, %d, %d", f.Device(), g.Device(), h.Device())
	}
	dir := t.TempDir()
	f, err = OS.Create(filepath.Join(dir, "f"))
	must(t, err)
	g, err = OS.Create(filepath.Join(dir, "g"))
	must(t, err)
	t.Logf("%s: device %#x", dir, f.Device())
	if f.Device() != g.Device() || f.Device() != f.Device() {
		t.Fatalf("devices %d, %d", f.Device(), g.Device())
	}
	must(t, f.Zero(0, 4*PageSize))
	must(t, f.Datasync())
	must(t, f.Writev([][]byte{[]byte("one")}, PageSize))
	f.WriteOut(PageSize, 3)
	must(t, f.WaitOut(PageSize, 3))
	must(t, f.Close())
	if err := f.WaitOut(PageSize, 3); err == nil {
		t.Fatal("a closed file was written out")
	}
}

// TestExt4Options: what is not understood is no.
func TestExt4Options(t *testing.T) {
	for options, want := range map[string]bool{
		"rw\nbarrier\ndata=ordered\n":             true,
		"rw\nbarrier\ndata=writeback\n":           true,
		"rw\nbarrier\n":                           true, // no journal
		"rw\ndata=ordered\ndax=never\n":           true,
		"rw\nbarrier\ndata=journal\n":             false,
		"rw\nbarrier\ndata=something of later\n":  false,
		"rw\nbarrier\ndata=ordered\ndax=always\n": false,
		"ro\nbarrier\ndata=ordered\n":             false,
		"":                                        false,
	} {
		if got := ext4OptionsInPlace(options); got != want {
			t.Errorf("%q: %v", options, got)
		}
	}
}
