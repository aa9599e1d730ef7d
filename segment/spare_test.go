package segment

import (
	"bytes"
	"errors"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment/frame"
)

// fullSegment is a full, sealed and trimmed segment that nobody reads.
func fullSegment(t *testing.T, m *vfs.Mem, path string) Meta {
	t.Helper()
	a := newSegment(t, m, path, 64<<10)
	for i := 1; ; i++ {
		n, err := a.Append([]Entry{entry(i, bytesOf(1000, byte(i)))}, 1)
		must(t, err)
		if n == 0 {
			break
		}
	}
	meta, err := a.Seal(a.Frames(), []byte("owner"))
	must(t, err)
	must(t, a.Trim(meta))
	if !a.Retire() {
		t.Fatal("somebody holds it")
	}
	return meta
}

// again begins a segment with the salt of the file's earlier life.
func again(t *testing.T, m *vfs.Mem, from string, meta Meta, path string) *Active {
	t.Helper()
	sp, err := Recycle(m, from, meta, path, 7, 80<<10)
	must(t, err)
	a, err := sp.BeginSynced(CreateOptions{Salt: meta.Salt, BaseIndex: 1, Now: 1, Capacity: 64 << 10})
	must(t, err)
	if a.Meta().Salt == meta.Salt {
		t.Fatal("the salt of the earlier life")
	}
	return a
}

// TestRecycled: what stands behind the end of a segment in a file that was used
// before is neither a frame nor a torn tail, with a mark and without.
func TestRecycled(t *testing.T) {
	for _, mark := range []bool{false, true} {
		m := vfs.NewMem()
		a := again(t, m, "a", fullSegment(t, m, "a"), "b")
		if _, err := m.Stat("a"); err == nil {
			t.Fatal("the old name is left")
		}
		for i := 1; i <= 3; i++ {
			add(t, a, entry(i, bytesOf(2000*i, byte(i)))) // ends in the middle of an old frame
		}
		must(t, a.Sync())
		if mark {
			must(t, a.Mark())
		}
		b, rec, err := Recover(RecoverOptions{FS: m, Path: "b", Meta: a.Meta(), Capacity: 64 << 10})
		must(t, err)
		if rec.Frames != 3 || rec.TornBytes != 0 || rec.Marked != mark {
			t.Fatalf("%+v", rec)
		}
		var e Entry
		must(t, b.Frame(2, &e))
		if !bytes.Equal(e.Payload, bytesOf(6000, 3)) {
			t.Fatal("other payload")
		}
		meta, err := b.Seal(3, nil)
		must(t, err)
		s := OpenSealed(m, nil, "b", meta)
		must(t, s.Frame(2, &e))
		s.Release()
	}
}

// TestRecycledTorn: frames of this life behind a bad one are cut there too, and
// do not come back when a shorter one takes their place.
func TestRecycledTorn(t *testing.T) {
	m := vfs.NewMem()
	a := again(t, m, "a", fullSegment(t, m, "a"), "b")
	var pos []Pos
	for i := 1; i <= 5; i++ {
		pos = append(pos, a.End())
		add(t, a, entry(i, bytesOf(1000, byte(i))))
	}
	end := a.End()
	f, err := m.Open("b")
	must(t, err)
	var old [8]byte
	_, err = f.ReadAt(old[:], int64(end))
	must(t, err)
	if old == [8]byte{} {
		t.Fatal("nothing of the earlier life behind the end")
	}
	_, err = f.WriteAt([]byte{0xff}, int64(pos[2]+frame.HeaderLen+10))
	must(t, err)
	b, rec, err := Recover(RecoverOptions{FS: m, Path: "b", Meta: a.Meta(), Capacity: 64 << 10})
	must(t, err)
	if rec.Frames != 2 || rec.TornAt != pos[2] || rec.TornBytes != int64(end-pos[2]) {
		t.Fatalf("%+v, want a torn tail in [%d, %d)", rec, pos[2], end)
	}
	add(t, b, entry(3, bytesOf(int(pos[1]-pos[0])-frame.HeaderLen, 9))) // where the fourth used to follow
	_, rec, err = Recover(RecoverOptions{FS: m, Path: "b", Meta: a.Meta(), Capacity: 64 << 10})
	must(t, err)
	if rec.Frames != 3 || rec.TornBytes != 0 {
		t.Fatalf("%+v", rec)
	}
}

// TestRecycledTornHeader: of a last frame that is not whole the header is
// enough to be told, and it goes.
func TestRecycledTornHeader(t *testing.T) {
	m := vfs.NewMem()
	a := again(t, m, "a", fullSegment(t, m, "a"), "b")
	add(t, a, entry(1, bytesOf(1000, 1)))
	at := a.End()
	add(t, a, entry(2, bytesOf(1000, 2)))
	f, err := m.Open("b")
	must(t, err)
	_, err = f.WriteAt([]byte{0xff}, int64(at+frame.HeaderLen+10))
	must(t, err)
	_, rec, err := Recover(RecoverOptions{FS: m, Path: "b", Meta: a.Meta(), Capacity: 64 << 10})
	must(t, err)
	if rec.Frames != 1 || rec.TornAt != at || rec.TornBytes != frame.HeaderLen {
		t.Fatalf("%+v, want the header at %d torn", rec, at)
	}
}

// TestRecycleWritesTheRoomAgain: what Trim gave back is written before the file
// is used, and a file that is too large is removed.
func TestRecycleWritesTheRoomAgain(t *testing.T) {
	m := vfs.NewMem()
	a := newSegment(t, m, "a", 64<<10)
	add(t, a, entry(1, bytesOf(100, 1)))
	must(t, a.Extend())
	size := Pos(a.zeroed.Load())
	meta, err := a.Seal(1, nil)
	must(t, err)
	must(t, a.Trim(meta))
	a.Release()
	var zeroed []string
	fsys := vfs.NewFaulty(m, func(op vfs.Op, name string) error {
		if op == vfs.OpZero {
			zeroed = append(zeroed, name)
		}
		return nil
	})
	sp, err := Recycle(fsys, "a", meta, "b", 2, int64(size))
	must(t, err)
	if len(zeroed) != 1 || sp.size != size || sp.stale != pageUp(meta.Footer+footerLen) {
		t.Fatalf("zeroed %v, size %d, stale %d", zeroed, sp.size, sp.stale)
	}
	must(t, sp.Discard())
	meta = fullSegment(t, m, "c")
	if _, err := Recycle(m, "c", meta, "d", 3, 60<<10); err == nil {
		t.Fatal("a file that is too large was taken")
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		if _, err := m.Stat(name); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}

// TestStraightNoSpace: a disk that is full in the middle of a large frame, for
// which nothing was zeroed, fails the append alone.
func TestStraightNoSpace(t *testing.T) {
	for capacity := int64(600 << 10); capacity < 1900<<10; capacity += 77_777 {
		m := vfs.NewMem()
		m.SetCapacity(capacity)
		a := newSegment(t, m, "a", 8<<20)
		n := 0
		for {
			if _, err := a.Append([]Entry{entry(n+1, bytesOf(600_000, byte(n)))}, 1); err != nil {
				if !errors.Is(err, vfs.ErrNoSpace) || errors.Is(err, ErrPoisoned) {
					t.Fatalf("capacity %d: %v", capacity, err)
				}
				break
			}
			n++
		}
		m.SetCapacity(0)
		for range 3 {
			n++
			add(t, a, entry(n, bytesOf(100*n, byte(n))))
		}
		must(t, a.Sync())
		b, rec, err := Recover(RecoverOptions{FS: m, Path: "a", Meta: a.Meta(), Capacity: 8 << 20})
		must(t, err)
		if rec.Frames != n || rec.TornBytes != 0 {
			t.Fatalf("capacity %d: %+v, want %d frames", capacity, rec, n)
		}
		var e Entry
		must(t, b.Frame(n-1, &e))
		if !bytes.Equal(e.Payload, bytesOf(100*n, byte(n))) {
			t.Fatalf("capacity %d: other payload", capacity)
		}
	}
}

// outrunGroup is what TestOutrun appends after n entries.
func outrunGroup(n int) (out []Entry) {
	for i := range 16 {
		out = append(out, entry(n+1+i, bytesOf(5000, byte(n+1+i))))
	}
	return out
}

// checkOutrun recovers what TestOutrun left: whole frames from the front on.
func checkOutrun(t *testing.T, m *vfs.Mem, meta Meta, least int) {
	t.Helper()
	a, rec, err := Recover(RecoverOptions{FS: m, Path: "a", Meta: meta, Capacity: 8 << 20})
	must(t, err)
	defer a.Release()
	if rec.Frames < least {
		t.Fatalf("%d frames, want at least %d", rec.Frames, least)
	}
	var e Entry
	for i := range rec.Frames {
		must(t, a.Frame(i, &e))
		if !bytes.Equal(e.Payload, bytesOf(5000, byte(i+1))) {
			t.Fatalf("frame %d: other payload", i)
		}
	}
}

// TestOutrun: appends of several frames that have outrun the syncs are written
// without zeroes before them; power lost before any call, and a disk that is
// full in the middle, leave whole frames from the front on.
func TestOutrun(t *testing.T) {
	const outrunAt = straightBehind/(16*5064) + 1
	for capacity := int64(straightBehind) + 50_000; capacity < straightBehind+400_000; capacity += 111_111 {
		m, cuts := vfs.NewMem(), capacity == straightBehind+50_000
		var images []*vfs.Mem
		calls := func(op vfs.Op, name string) error {
			if cuts && (op == vfs.OpDatasync || op == vfs.OpWrite && len(images) < 4) {
				images = append(images, m.Crash(uint64(capacity)+uint64(len(images))))
			}
			return nil
		}
		fsys := vfs.NewFaulty(m, func(op vfs.Op, name string) error { return calls(op, name) })
		watch := calls
		calls = func(vfs.Op, string) error { return nil }
		a := newSegment(t, fsys, "a", 8<<20)
		must(t, m.SyncDir("."))
		n := 0
		for range outrunAt + 1 {
			add(t, a, outrunGroup(n)...)
			n += 16
		}
		if a.WantsExtend() {
			t.Fatal("room is to be zeroed ahead")
		}
		m.SetCapacity(capacity)
		calls = watch
		for {
			if _, err := a.Append(outrunGroup(n), 1); err != nil {
				if !errors.Is(err, vfs.ErrNoSpace) || errors.Is(err, ErrPoisoned) {
					t.Fatalf("capacity %d: %v", capacity, err)
				}
				break
			}
			n += 16
			if z := Pos(a.zeroed.Load()); z != a.End() {
				t.Fatalf("room up to %d was zeroed, the frames end at %d", z, a.End())
			}
		}
		m.SetCapacity(0)
		add(t, a, outrunGroup(n)...)
		n += 16
		must(t, a.Sync())
		for _, image := range images {
			checkOutrun(t, image, a.Meta(), 0)
		}
		checkOutrun(t, m.Crash(1), a.Meta(), n)
		if cuts && len(images) < 2 {
			t.Fatalf("capacity %d: %d images", capacity, len(images))
		}
		a.Release()
	}
}

// TestRetire: a file that somebody reads, be it as the segment that it was
// before it was sealed, is not used again.
func TestRetire(t *testing.T) {
	a := newSegment(t, vfs.NewMem(), "a", 64<<10)
	add(t, a, entry(1, bytesOf(100, 1)))
	meta, err := a.Seal(1, nil)
	must(t, err)
	s := a.Reopen(meta)
	if !a.Acquire() { // a reader
		t.Fatal("gone")
	}
	a.Release()
	if s.Retire() {
		t.Fatal("retired under a reader of the segment before it was sealed")
	}
	a.Release()
	if !s.Acquire() || s.Retire() {
		t.Fatal("retired under a reader")
	}
	s.Release()
	if !s.Retire() || s.Acquire() {
		t.Fatal("not retired")
	}
}
