package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal/manifest"

	"github.com/cespare/xxhash/v2"
)

var le = binary.LittleEndian

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func small(fsys vfs.FS) Options {
	return Options{FS: fsys, Dir: "/log", SegmentBytes: func() int64 { return 16 << 10 }, Background: func(task func()) { task() }}
}

func open(t testing.TB, o Options) *Log {
	t.Helper()
	l, _, err := Open(o)
	must(t, err)
	return l
}

// fill appends n entries of two records each, with a payload of size bytes.
func fill(t testing.TB, l *Log, n, size int) {
	t.Helper()
	for range n {
		e := segment.Entry{Index: l.LastIndex() + 1, Term: 1, Kind: segment.KindData, BaseOffset: l.NextOffset(), Count: 2,
			MaxTimestamp: int64(l.NextOffset()), Payload: payload(l.LastIndex()+1, size)}
		must(t, l.Append([]segment.Entry{e}))
	}
}

func payload(i Index, size int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%08d", i), size/8+1)[:size])
}

// edit changes a file's bytes, durably.
func edit(t *testing.T, fsys vfs.FS, name string, change func(b []byte)) {
	t.Helper()
	b, err := vfs.ReadFile(fsys, name, 1<<20)
	must(t, err)
	change(b)
	f, err := fsys.Open(name)
	must(t, err)
	_, err = f.WriteAt(b, 0)
	must(t, err)
	must(t, f.Datasync())
}

func wantCorrupt(t *testing.T, o Options, name string) {
	t.Helper()
	before := snapshot(t, o.FS)
	_, _, err := Open(o)
	var ce *segment.CorruptError
	if !errors.As(err, &ce) || !errors.Is(err, segment.ErrCorrupt) || !strings.HasSuffix(ce.Path, name) {
		t.Fatalf("got %v, want corruption of %s", err, name)
	}
	if snapshot(t, o.FS) != before {
		t.Fatal("a log that was refused was changed")
	}
}

// snapshot is all names and bytes of the log's directory.
func snapshot(t *testing.T, fsys vfs.FS) string {
	t.Helper()
	names, err := fsys.ReadDir("/log")
	must(t, err)
	var out strings.Builder
	for _, n := range names {
		b, err := vfs.ReadFile(fsys, "/log/"+n, 1<<20)
		must(t, err)
		fmt.Fprintf(&out, "%s %d %x\n", n, len(b), xxhash.Sum64(b))
	}
	return out.String()
}

// rolled is a closed log of several segments.
func rolled(t *testing.T) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	l := open(t, small(m))
	fill(t, l, 60, 500)
	if n := len(l.Segments()); n < 3 {
		t.Fatalf("%d segments", n)
	}
	must(t, l.Close())
	return m
}

func segmentNames(t *testing.T, m vfs.FS) []string {
	t.Helper()
	names, err := m.ReadDir("/log")
	must(t, err)
	var out []string
	for _, n := range names {
		if strings.HasSuffix(n, ".seg") {
			out = append(out, n)
		}
	}
	return out
}

// TestOpenState1Empty: an empty directory, and all that a creation interrupted
// at any point leaves, is a new log.
func TestOpenState1Empty(t *testing.T) {
	for seed := range uint64(300) {
		m := vfs.NewMem()
		crashAt := int(seed % 12)
		calls := 0
		var crashed *vfs.Mem
		fsys := vfs.NewFaulty(m, func(op vfs.Op, name string) error {
			if calls++; calls == crashAt {
				crashed = m.Crash(seed)
			}
			return nil
		})
		_, rec, err := Open(small(fsys))
		must(t, err)
		if !rec.Created {
			t.Fatal("not created")
		}
		if crashed == nil {
			crashed = m.Crash(seed)
		}
		l, _, err := Open(small(crashed))
		if err != nil {
			t.Fatalf("crash before call %d, seed %d: %v", crashAt, seed, err)
		}
		if l.FirstIndex() != 1 || l.LastIndex() != 0 || l.NextOffset() != 0 {
			t.Fatalf("not empty: %d %d %d", l.FirstIndex(), l.LastIndex(), l.NextOffset())
		}
		fill(t, l, 1, 10)
	}
}

func TestOpenState2ManifestMissing(t *testing.T) {
	m := rolled(t)
	must(t, m.Remove("/log/MANIFEST"))
	wantCorrupt(t, small(m), "MANIFEST")
}

// TestOpenState3Leftovers: files that no manifest names go; the log is whole.
func TestOpenState3Leftovers(t *testing.T) {
	m := rolled(t)
	for _, name := range []string{"MANIFEST.tmp", "00000000000000ff.seg"} {
		f, err := m.Create("/log/" + name)
		must(t, err)
		must(t, f.Zero(0, 5000))
	}
	l, rec, err := Open(small(m))
	must(t, err)
	if rec.Removed != 2 || l.LastIndex() != 60 {
		t.Fatalf("%+v, last %d", rec, l.LastIndex())
	}
	names, err := m.ReadDir("/log")
	must(t, err)
	if len(names) != len(l.Segments())+1 {
		t.Fatalf("files %v", names)
	}
}

// TestOpenState4ManifestDamaged flips every byte of the manifest, and cuts it
// at every byte.
func TestOpenState4ManifestDamaged(t *testing.T) {
	m := rolled(t)
	good, err := vfs.ReadFile(m, "/log/MANIFEST", 1<<20)
	must(t, err)
	for at := range good {
		edit(t, m, "/log/MANIFEST", func(b []byte) { b[at] ^= 0x20 })
		wantCorrupt(t, small(m), "MANIFEST")
		edit(t, m, "/log/MANIFEST", func(b []byte) { b[at] ^= 0x20 })
	}
	for n := range good {
		must(t, vfs.ReplaceFile(m, "/log", "x", "MANIFEST", good[:n]))
		wantCorrupt(t, small(m), "MANIFEST")
	}
}

func TestOpenState5ManifestNewer(t *testing.T) {
	m := rolled(t)
	edit(t, m, "/log/MANIFEST", func(b []byte) {
		le.PutUint16(b[12:], manifest.Version+1)
		le.PutUint64(b, xxhash.Sum64(b[8:]))
	})
	before := snapshot(t, m)
	_, _, err := Open(small(m))
	if !errors.Is(err, segment.ErrNewerVersion) || errors.Is(err, segment.ErrCorrupt) || snapshot(t, m) != before {
		t.Fatalf("got %v", err)
	}
}

func TestOpenState6SegmentMissing(t *testing.T) {
	for i, name := range segmentNames(t, rolled(t)) {
		m := rolled(t)
		must(t, m.Remove("/log/"+name))
		wantCorrupt(t, small(m), segmentNames(t, rolled(t))[i])
	}
}

// TestOpenState7Order: manifests whose hash is right and whose segments do not
// follow each other.
func TestOpenState7Order(t *testing.T) {
	for name, at := range map[string]int{"index": 8, "offset": 24, "next offset": 32, "id": 0, "frames": 76, "footer": 48, "flags": 80} {
		m := rolled(t)
		edit(t, m, "/log/MANIFEST", func(b []byte) {
			if s := b[manifest.HeadBytes+manifest.SegmentBytes:]; name == "footer" {
				clear(s[at : at+8])
			} else {
				s[at+1] ^= 0xff
			}
			le.PutUint64(b, xxhash.Sum64(b[8:]))
		})
		wantCorrupt(t, small(m), "MANIFEST")
	}
}

// TestOpenState8Active: the active segment's damage is the log's, and its torn
// tail is cut.
func TestOpenState8Active(t *testing.T) {
	m := vfs.NewMem()
	l := open(t, small(m))
	fill(t, l, 3, 100)
	must(t, l.SyncWait())
	fill(t, l, 2, 100)
	name := l.Segments()[0].Path
	end := 4096 + l.Bytes()
	torn := m.Crash(0) // a machine that stops here, without Close
	edit(t, torn, name, func(b []byte) { b[end-1-50] ^= 1 })
	l2, rec, err := Open(small(torn))
	must(t, err)
	if rec.TornBytes == 0 || l2.LastIndex() != 4 && l2.LastIndex() != 3 {
		t.Fatalf("%+v, last %d", rec, l2.LastIndex())
	}
	must(t, l.Close())
	edit(t, m, name, func(b []byte) { b[4096+100] ^= 1 })
	wantCorrupt(t, small(m), name)
}

func TestOpenState9StartBeyondTheEnd(t *testing.T) {
	m := rolled(t)
	edit(t, m, "/log/MANIFEST", func(b []byte) {
		le.PutUint64(b[48:], 1000)
		le.PutUint64(b, xxhash.Sum64(b[8:]))
	})
	wantCorrupt(t, small(m), "MANIFEST")
}

// TestSealedDamage: a flipped byte in a sealed segment is found when the frame
// is read, by every way to read, and is never served.
func TestSealedDamage(t *testing.T) {
	m := rolled(t)
	name := "/log/" + segmentNames(t, m)[0]
	edit(t, m, name, func(b []byte) { b[4096+64+8] ^= 1 })
	l := open(t, small(m))
	_, ref, err := l.Read(0, 1000, 1<<20, nil)
	if !errors.Is(err, segment.ErrCorrupt) || ref != nil {
		t.Fatalf("read: %v", err)
	}
	if _, err := l.Entries(1, 3, 1<<20, nil); !errors.Is(err, segment.ErrCorrupt) {
		t.Fatalf("entries: %v", err)
	}
	if _, _, _, err := l.FindTimestamp(0, 0); !errors.Is(err, segment.ErrCorrupt) {
		t.Fatalf("timestamp: %v", err)
	}
	if got, err := l.Entries(2, 3, 1<<20, nil); err != nil || string(got[0].Payload) != string(payload(2, 500)) {
		t.Fatalf("the entry behind: %v", err)
	}
}

func TestRemove(t *testing.T) {
	m := rolled(t)
	must(t, Remove(m, "/log"))
	if _, err := m.ReadDir("/log"); err == nil {
		t.Fatal("directory is left")
	}
	must(t, Remove(m, "/log"))
	l, rec, err := Open(small(m))
	if err != nil || !rec.Created || l.LastIndex() != 0 {
		t.Fatalf("%+v, %v", rec, err)
	}
}

// TestRemoveCrash: a failure or a power cut at any step of Remove leaves the
// whole log, or one that says that it is being removed, or nothing; never
// damage. Another Remove finishes it.
func TestRemoveCrash(t *testing.T) {
	found := map[string]int{}
	check := func(at int, m *vfs.Mem) {
		t.Helper()
		before := ""
		if _, err := m.ReadDir("/log"); err == nil {
			before = snapshot(t, m)
		}
		l, rec, err := Open(small(m))
		switch {
		case errors.Is(err, ErrRemoved):
			found["being removed"]++
			if snapshot(t, m) != before {
				t.Errorf("step %d: what is being removed was changed", at)
			}
		case err != nil:
			t.Errorf("step %d: %v", at, err)
		case rec.Created:
			found["nothing"]++
			must(t, l.Close())
		case l.LastIndex() == 60:
			found["all"]++
			must(t, l.Close())
		default:
			t.Errorf("step %d: %d entries", at, l.LastIndex())
		}
		must(t, Remove(m, "/log"))
		if names, err := m.ReadDir("/log"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("step %d: %v is left, %v", at, names, err)
		}
	}
	steps := 0
	for ended := false; !ended; {
		steps++
		m := rolled(t)
		calls, broken := 0, errors.New("power")
		fsys := vfs.NewFaulty(m, func(op vfs.Op, _ string) error {
			if calls++; calls >= steps {
				return broken
			}
			return nil
		})
		ended = Remove(fsys, "/log") == nil
		for seed := range uint64(40) {
			check(steps, m.Crash(seed))
		}
		check(steps, m)
	}
	if found["all"] == 0 || found["being removed"] == 0 || found["nothing"] == 0 || len(found) != 3 {
		t.Errorf("found %v in %d steps", found, steps)
	}
}
