package segment

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment/frame"

	"github.com/cespare/xxhash/v2"
)

// image is the bytes of an unsealed segment with its frames' positions.
type image struct {
	b    []byte
	meta Meta
	pos  []Pos // of each frame, and the end
}

// build makes a segment of n frames. Frame i is followed by a sync where
// synced(i) says so.
func build(t *testing.T, n int, synced func(i int) bool) image {
	t.Helper()
	m := vfs.NewMem()
	a := newSegment(t, m, "a", 64<<10)
	img := image{meta: a.Meta()}
	for i := range n {
		img.pos = append(img.pos, a.End())
		add(t, a, entry(i+1, bytesOf(100+i, byte(i))))
		if synced(i) {
			must(t, a.Sync())
		}
	}
	img.pos = append(img.pos, a.End())
	img.b = bytesFrom(t, m)
	return img
}

func bytesFrom(t *testing.T, m *vfs.Mem) []byte {
	t.Helper()
	b, err := vfs.ReadFile(m, "a", 1<<30)
	must(t, err)
	return b
}

func always(int) bool { return true }
func never(int) bool  { return false }

// load puts an image on a disk, durably.
func load(t testing.TB, b []byte) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	f, err := m.Create("a")
	must(t, err)
	_, err = f.WriteAt(b, 0)
	must(t, err)
	must(t, f.Datasync())
	must(t, m.SyncDir("."))
	return m
}

// recovered opens a changed image and checks the frames that are left.
func recovered(t *testing.T, m *vfs.Mem, meta Meta, synced Pos) (*Active, Recovery, error) {
	t.Helper()
	before, err := vfs.ReadFile(m, "a", 1<<30)
	must(t, err)
	a, rec, err := Recover(RecoverOptions{FS: m, Path: "a", Meta: meta, Capacity: 64 << 10, SyncedThrough: synced})
	if err != nil {
		after, rerr := vfs.ReadFile(m, "a", 1<<30)
		must(t, rerr)
		if !bytes.Equal(before, after) {
			t.Fatal("a refused file was changed")
		}
		return nil, rec, err
	}
	for i := range a.Frames() {
		var e Entry
		must(t, a.Frame(i, &e))
		if !bytes.Equal(e.Payload, bytesOf(100+i, byte(i))) {
			t.Fatalf("frame %d differs", i)
		}
	}
	return a, rec, nil
}

func wantCorrupt(t *testing.T, err error, at Pos) {
	t.Helper()
	var ce *CorruptError
	if !errors.As(err, &ce) || !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNewerVersion) {
		t.Fatalf("got %v, want corruption", err)
	}
	if ce.Path != "a" || ce.Offset != at {
		t.Fatalf("corruption at %s %d, want %d: %v", ce.Path, ce.Offset, at, err)
	}
}

func wantNewer(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrNewerVersion) || errors.Is(err, ErrCorrupt) {
		t.Fatalf("got %v, want a newer version", err)
	}
}

func rehash(b []byte) { le.PutUint64(b, xxhash.Sum64(b[8:])) }

func TestRecoverState1ShortFile(t *testing.T) {
	img := build(t, 3, always)
	for _, n := range []int{0, 1, 63, 4095} {
		_, _, err := recovered(t, load(t, append([]byte{0}, img.b...)[1:n+1]), img.meta, 0)
		wantCorrupt(t, err, Pos(n))
	}
}

func TestRecoverState2HeaderDamaged(t *testing.T) {
	img := build(t, 3, always)
	for at := range fileHeaderLen {
		b := bytes.Clone(img.b)
		b[at] ^= 0x10
		_, _, err := recovered(t, load(t, b), img.meta, 0)
		wantCorrupt(t, err, 0)
	}
}

func TestRecoverState3HeaderNewer(t *testing.T) {
	img := build(t, 3, always)
	le.PutUint16(img.b[12:], fileVersion+1)
	rehash(img.b[:fileHeaderLen])
	_, _, err := recovered(t, load(t, img.b), img.meta, 0)
	wantNewer(t, err)
}

func TestRecoverState4AnotherSegment(t *testing.T) {
	img := build(t, 3, always)
	for name, change := range map[string]func(m *Meta){
		"id": func(m *Meta) { m.ID++ }, "salt": func(m *Meta) { m.Salt++ }, "index": func(m *Meta) { m.BaseIndex++ },
		"term": func(m *Meta) { m.PrevTerm++ }, "offset": func(m *Meta) { m.BaseOffset++ },
	} {
		t.Run(name, func(t *testing.T) {
			meta := img.meta
			change(&meta)
			_, _, err := recovered(t, load(t, img.b), meta, 0)
			wantCorrupt(t, err, 16)
		})
	}
}

func TestRecoverState5Clean(t *testing.T) {
	for n := range 4 {
		img := build(t, n, always)
		a, rec, err := recovered(t, load(t, img.b), img.meta, 0)
		must(t, err)
		if rec.TornBytes != 0 || rec.Frames != n || a.End() != img.pos[n] {
			t.Fatalf("%+v, end %d, want %d", rec, a.End(), img.pos[n])
		}
		add(t, a, entry(n+1, bytesOf(100+n, byte(n))))
	}
}

// TestRecoverState6Mark: the mark of a clean close turns damage of the last
// frame into corruption, and needs no sync when all is well.
// What a sync may have failed on is written again before it counts as durable.
func TestRecoverState5WritesTheUnsyncedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		synced func(int) bool
		from   int // the frame from which on nothing is known to be durable
	}{"never synced": {never, 0}, "synced up to the fifth": {func(i int) bool { return i == 4 }, 5}} {
		img := build(t, 10, c.synced)
		var wrote []byte
		a, _, err := Recover(RecoverOptions{FS: recorder{load(t, img.b), &wrote}, Path: "a", Meta: img.meta, Capacity: 64 << 10})
		must(t, err)
		a.Release()
		if want := img.b[img.pos[c.from]:img.pos[10]]; !bytes.Equal(wrote, want) {
			t.Errorf("%s: wrote %d bytes again, want the %d from frame %d on", name, len(wrote), len(want), c.from)
		}
	}
}

// recorder keeps what is written to files that it opens.
type recorder struct {
	vfs.FS
	wrote *[]byte
}

func (r recorder) Open(name string) (vfs.File, error) {
	f, err := r.FS.Open(name)
	return recordedFile{f, r.wrote}, err
}

type recordedFile struct {
	vfs.File
	wrote *[]byte
}

func (f recordedFile) WriteAt(p []byte, off int64) (int, error) {
	*f.wrote = append(*f.wrote, p...)
	return f.File.WriteAt(p, off)
}

func TestRecoverState6Mark(t *testing.T) {
	m := vfs.NewMem()
	a := newSegment(t, m, "a", 64<<10)
	for i := range 3 {
		add(t, a, entry(i+1, bytesOf(100+i, byte(i))))
	}
	must(t, a.Sync())
	end := a.End()
	must(t, a.Mark())
	b := bytesFrom(t, m)

	syncs := 0
	fsys := vfs.NewFaulty(load(t, b), func(op vfs.Op, _ string) error {
		if op == vfs.OpDatasync {
			syncs++
		}
		return nil
	})
	a, rec, err := Recover(RecoverOptions{FS: fsys, Path: "a", Meta: a.Meta(), Capacity: 64 << 10})
	must(t, err)
	if !rec.Clean || rec.TornBytes != 0 || rec.Frames != 3 || a.End() != end || a.SyncedThrough() != end || syncs != 0 {
		t.Fatalf("%+v, end %d, synced %d, %d syncs", rec, a.End(), a.SyncedThrough(), syncs)
	}
	add(t, a, entry(4, bytesOf(103, 3))) // over the mark
	must(t, a.Sync())
	again, rec, err := recovered(t, load(t, bytesFrom(t, fsys.FS.(*vfs.Mem))), a.Meta(), 0)
	must(t, err)
	if rec.TornBytes != 0 || again.Frames() != 4 {
		t.Fatalf("%+v", rec)
	}
	for _, flip := range []Pos{end - 1, end - 150} {
		c := bytes.Clone(b)
		c[flip] ^= 1
		_, _, err = recovered(t, load(t, c), a.Meta(), 0)
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("flip at %d: %v", flip, err)
		}
	}
}

// TestRecoverState7TornTail cuts the last frame at every byte: what is left of
// it goes, durably, and nothing else.
func TestRecoverState7TornTail(t *testing.T) {
	img := build(t, 4, func(i int) bool { return i < 3 })
	for at := img.pos[3]; at < img.pos[4]; at++ {
		b := bytes.Clone(img.b)
		clear(b[at:])
		if bytes.Equal(b, img.b) {
			continue // the bytes lost were padding
		}
		m := load(t, b)
		a, rec, err := recovered(t, m, img.meta, 0)
		must(t, err)
		last := at
		for last > img.pos[3] && b[last-1] == 0 {
			last--
		}
		if a.Frames() != 3 || (rec.TornBytes > 0) != (last > img.pos[3]) || rec.TornBytes > 0 && rec.TornAt != img.pos[3] {
			t.Fatalf("torn at %d: %+v, %d frames", at, rec, a.Frames())
		}
		for seed := range uint64(4) {
			if left := bytesFrom(t, m.Crash(seed)); len(bytes.Trim(left[img.pos[3]:], "\x00")) != 0 {
				t.Fatalf("torn at %d: bytes of the tail would come back", at)
			}
		}
		add(t, a, entry(4, bytesOf(103, 3)))
		must(t, a.Sync())
	}
}

// TestRecoverState7Reordered: whole frames behind a hole are part of the torn
// tail when none of them says that the hole was durable.
func TestRecoverState7Reordered(t *testing.T) {
	img := build(t, 6, func(i int) bool { return i < 2 })
	b := bytes.Clone(img.b)
	clear(b[img.pos[3]:img.pos[4]])
	m := load(t, b)
	a, rec, err := recovered(t, m, img.meta, 0)
	must(t, err)
	if a.Frames() != 3 || rec.TornAt != img.pos[3] || rec.TornBytes == 0 {
		t.Fatalf("%+v", rec)
	}
	if left := bytesFrom(t, m); len(bytes.Trim(left[img.pos[3]:], "\x00")) != 0 {
		t.Fatal("frames behind the hole are left")
	}
}

// TestRecoverState7Trailer: a seal that the manifest never saw.
func TestRecoverState7Trailer(t *testing.T) {
	m := vfs.NewMem()
	a := newSegment(t, m, "a", 64<<10)
	for i := range 5 {
		add(t, a, entry(i+1, bytesOf(100+i, byte(i))))
	}
	_, err := a.Seal(3, []byte("owner"))
	must(t, err)
	b, rec, err := recovered(t, m, a.Meta(), 0)
	must(t, err)
	if b.Frames() != 5 || rec.TornBytes == 0 {
		t.Fatalf("%+v", rec)
	}
}

// TestRecoverState7BehindMark: what stands behind a mark goes, durably.
func TestRecoverState7BehindMark(t *testing.T) {
	m := vfs.NewMem()
	a := newSegment(t, m, "a", 64<<10)
	add(t, a, entry(1, bytesOf(100, 0)))
	must(t, a.Sync())
	must(t, a.Mark())
	b := bytesFrom(t, m)
	at := a.End() + FrameHeaderLen
	copy(b[at+200:], "left behind")
	m = load(t, b)
	c, rec, err := recovered(t, m, a.Meta(), 0)
	must(t, err)
	if !rec.Clean || rec.TornAt != at || c.Frames() != 1 {
		t.Fatalf("%+v", rec)
	}
	for seed := range uint64(8) {
		if left := bytesFrom(t, m.Crash(seed)); len(bytes.Trim(left[at:], "\x00")) != 0 {
			t.Fatal("bytes behind the mark would come back")
		}
	}
}

// TestRecoverState8 flips every byte of the frames that a later frame proves
// durable: corruption, at the damaged frame.
func TestRecoverState8(t *testing.T) {
	img := build(t, 4, always)
	for at := img.pos[0]; at < img.pos[3]; at++ {
		b := bytes.Clone(img.b)
		b[at] ^= 0x40
		frame := 0
		for img.pos[frame+1] <= at {
			frame++
		}
		_, _, err := recovered(t, load(t, b), img.meta, 0)
		wantCorrupt(t, err, img.pos[frame])
	}
}

// TestRecoverState8Hole: zeroes are not the end.
func TestRecoverState8Hole(t *testing.T) {
	img := build(t, 4, always)
	for from := range 3 {
		b := bytes.Clone(img.b)
		clear(b[img.pos[from]:img.pos[3]])
		_, _, err := recovered(t, load(t, b), img.meta, 0)
		wantCorrupt(t, err, img.pos[from])
	}
}

// TestRecoverState8Manifest: frames that the manifest knows to be durable are
// missing at the end.
func TestRecoverState8Manifest(t *testing.T) {
	img := build(t, 4, never)
	b := bytes.Clone(img.b)
	clear(b[img.pos[2]:])
	_, _, err := recovered(t, load(t, b), img.meta, img.pos[4])
	wantCorrupt(t, err, img.pos[2])
	_, _, err = recovered(t, load(t, img.b), img.meta, img.pos[4])
	must(t, err)
}

func TestRecoverState9Order(t *testing.T) {
	for name, at := range map[string]int{"index": 24, "term": 32, "offset": 40} {
		t.Run(name, func(t *testing.T) {
			img := build(t, 3, always)
			f := img.b[img.pos[1]:img.pos[2]]
			for _, v := range []uint64{0, 1 << 33} {
				if name == "term" && v > 0 {
					continue // a term may be any higher one
				}
				le.PutUint64(f[at:], v)
				rehash(f)
				_, _, err := recovered(t, load(t, img.b), img.meta, 0)
				wantCorrupt(t, err, img.pos[1])
			}
		})
	}
}

// TestRecoverState10Newer: a newer frame is not damage, wherever it stands,
// and nothing is cut.
func TestRecoverState10Newer(t *testing.T) {
	for i := range 3 {
		img := build(t, 3, never)
		f := img.b[img.pos[i]:img.pos[i+1]]
		f[12] = frame.Version + 1
		rehash(f)
		_, _, err := recovered(t, load(t, img.b), img.meta, 0)
		wantNewer(t, err)
		if i == 2 {
			clear(img.b[img.pos[1]:img.pos[2]])
			_, _, err = recovered(t, load(t, img.b), img.meta, 0)
			wantNewer(t, err)
		}
	}
}

// TestStaleFramesNeverVerify: a segment in a file that holds frames of an
// earlier life, with another salt.
func TestStaleFramesNeverVerify(t *testing.T) {
	img := build(t, 4, always)
	meta := img.meta
	meta.Salt++
	putFileHeader(img.b, &meta, 1, 0)
	a, rec, err := recovered(t, load(t, img.b), meta, 0)
	must(t, err)
	if a.Frames() != 0 || rec.TornBytes == 0 {
		t.Fatalf("%+v", rec)
	}
}

// TestCopyInPayload: a copy of this segment's own frames inside of a torn
// payload is not mistaken for a later frame.
func TestCopyInPayload(t *testing.T) {
	m := vfs.NewMem()
	a := newSegment(t, m, "a", 64<<10)
	for i := range 4 {
		add(t, a, entry(i+1, bytesOf(100+i, byte(i))))
		must(t, a.Sync())
	}
	end := a.End()
	b := bytesFrom(t, m)
	add(t, a, entry(5, bytes.Clone(b[dataStart:end])))
	b = bytesFrom(t, m)
	b[end] ^= 1
	c, rec, err := recovered(t, load(t, b), a.Meta(), 0)
	must(t, err)
	if c.Frames() != 4 || rec.TornAt != end {
		t.Fatalf("%+v", rec)
	}
}

func sealed(t *testing.T) ([]byte, Meta) {
	t.Helper()
	m := vfs.NewMem()
	a := newSegment(t, m, "a", 64<<10)
	for i := range 4 {
		add(t, a, entry(i+1, bytesOf(100+i, byte(i))))
	}
	meta, err := a.Seal(4, []byte("owner"))
	must(t, err)
	return bytesFrom(t, m), meta
}

// readAll reads everything of a sealed segment.
func readAll(s *Segment) error {
	if _, err := s.Checkpoint(); err != nil {
		return err
	}
	for i := range s.Frames() {
		var e Entry
		if err := s.Frame(i, &e); err != nil {
			return err
		}
		if !bytes.Equal(e.Payload, bytesOf(100+i, byte(i))) {
			return fmt.Errorf("frame %d was served with other bytes", i)
		}
	}
	return nil
}

func TestSealedState11ShortFile(t *testing.T) {
	b, meta := sealed(t)
	for _, n := range []Pos{0, 4096, meta.Footer, meta.Footer + footerLen - 1} {
		s := OpenSealed(load(t, b[:n]), nil, "a", meta)
		wantCorrupt(t, readAll(s), n)
	}
}

// TestSealedState12To15 flips every byte of a sealed segment: each flip from
// the first frame to the footer's end is reported, none is served.
func TestSealedState12To15(t *testing.T) {
	b, meta := sealed(t)
	for at := dataStart; at < meta.Footer+footerLen; at++ {
		c := bytes.Clone(b)
		c[at] ^= 2
		s := OpenSealed(load(t, c), nil, "a", meta)
		err := readAll(s)
		var ce *CorruptError
		if !errors.As(err, &ce) || ce.Offset > at {
			t.Fatalf("flip at %d: %v", at, err)
		}
		s.Release()
	}
}

func TestSealedState13Newer(t *testing.T) {
	b, meta := sealed(t)
	f := b[meta.Footer : meta.Footer+footerLen]
	le.PutUint16(f[12:], footerVersion+1)
	rehash(f)
	wantNewer(t, readAll(OpenSealed(load(t, b), nil, "a", meta)))
}
