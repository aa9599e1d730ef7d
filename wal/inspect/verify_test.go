package inspect

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal"

	"github.com/cespare/xxhash/v2"
)

const (
	first  = "0000000000000001.seg"
	second = "0000000000000002.seg"
	active = "0000000000000003.seg"
)

func small(t testing.TB) map[string][]byte {
	m := vfs.NewMem()
	build(t, m, "/log")
	return files(t, m, "/log")
}

// TestEveryByteFlipped flips each byte of a small log, of the zeroed room every
// 13th: verify says clean only of those that it lists as covered by nothing, and
// corrupt of all that was known to be durable.
func TestEveryByteFlipped(t *testing.T) {
	content := small(t)
	m := store(t, "/log", content)
	clean := verifyOne(t, m, "/log")
	if clean.State != Clean || clean.Segments != 3 || clean.Frames != 7 || clean.Batches != 7 || clean.Records != 12 {
		t.Fatalf("%+v", clean)
	}
	if len(clean.Room) != 1 || path.Base(clean.Room[0].Path) != second || !strings.Contains(clean.Room[0].What, "dropped") {
		t.Fatalf("not covered: %+v", clean.Room)
	}
	logs, err := Inspect(t.Context(), "/log", Options{FS: m})
	must(t, err)
	end := int(segment.DataStart) + int(logs[0].Segments[2].Bytes) // of the active segment's frames; behind it the mark
	room := map[string]int{"MANIFEST": len(content["MANIFEST"]), active: end + segment.FrameHeaderLen}
	for _, s := range logs[0].Segments[:2] {
		room[path.Base(s.Path)] = int(s.FooterPosition + int64(segment.FooterBytes))
	}
	states := map[State]int{}
	for name, b := range content {
		f, err := m.Open(path.Join("/log", name))
		must(t, err)
		for at, step := 0, 1; at < len(b); at += step {
			if at >= room[name] {
				step = 13
			}
			_, err := f.WriteAt([]byte{b[at] ^ 0x41}, int64(at))
			must(t, err)
			r := verifyOne(t, m, "/log")
			states[r.State]++
			want := Corrupt
			switch {
			case name == active && at >= end:
				want = Torn // the mark, and the room ahead
			case name != active && r.covers(name, at):
				want = Clean
			}
			if r.State != want {
				t.Errorf("%s byte %d: %s, want %s: %v", name, at, r.State, want, r.Damage)
			} else if want != Clean && path.Base(r.Damage.Path) != name {
				t.Errorf("%s byte %d: damage in %v", name, at, r.Damage)
			}
			_, err = f.WriteAt(b[at:at+1], int64(at))
			must(t, err)
		}
		must(t, f.Close())
	}
	t.Log(states)
}

// TestEveryByteOfALoneFileFlipped is the same for a segment without its
// manifest, which does not know what was durable nor that it was sealed.
func TestEveryByteOfALoneFileFlipped(t *testing.T) {
	content := small(t)
	for _, name := range []string{first, active} {
		b := content[name]
		m := store(t, "/log", map[string][]byte{name: b})
		if r := verifyOne(t, m, "/log/"+name); r.State != Clean || r.Segments != 1 {
			t.Fatalf("%+v", r)
		}
		f, err := m.Open("/log/" + name)
		must(t, err)
		for at := 0; at < len(b); at += 3 {
			_, err := f.WriteAt([]byte{b[at] ^ 0x41}, int64(at))
			must(t, err)
			if r := verifyOne(t, m, "/log/"+name); r.State == Clean && !r.covers(name, at) {
				t.Errorf("%s byte %d: clean", name, at)
			}
			_, err = f.WriteAt(b[at:at+1], int64(at))
			must(t, err)
		}
	}
}

// TestTruncated cuts each file at every eighth byte.
func TestTruncated(t *testing.T) {
	content := small(t)
	logs, err := Inspect(t.Context(), "/log", Options{FS: store(t, "/log", content)})
	must(t, err)
	end := int(segment.DataStart) + int(logs[0].Segments[2].Bytes)
	for name, b := range content {
		covered := len(b)
		switch name {
		case first, second:
			for _, s := range logs[0].Segments {
				if path.Base(s.Path) == name {
					covered = int(s.FooterPosition) + int(segment.FooterBytes)
				}
			}
		case active:
			covered = end
		}
		for n := 0; n < len(b); n += 8 {
			cut := map[string][]byte{}
			for other, c := range content {
				cut[other] = c
			}
			cut[name] = b[:n]
			r := verifyOne(t, store(t, "/log", cut), "/log")
			switch {
			case n < covered && r.State != Corrupt:
				// The last frames were synced, and nothing but the mark, which is gone, says so.
				if name != active || r.State != Torn && r.State != Clean || n < end-200 {
					t.Errorf("%s cut to %d: %s", name, n, r.State)
				}
			case n >= covered+int(segment.FrameHeaderLen) && r.State != Clean:
				t.Errorf("%s cut to %d: %s: %v", name, n, r.State, r.Damage)
			}
		}
	}
}

// change is a copy of the files with one changed.
func change(content map[string][]byte, name string, f func(b []byte)) map[string][]byte {
	out := map[string][]byte{}
	for n, b := range content {
		out[n] = append([]byte(nil), b...)
	}
	f(out[name])
	return out
}

// rehash puts the hash of b[8:] before it.
func rehash(b []byte) { le.PutUint64(b, xxhash.Sum64(b[8:])) }

func TestWhatIsSaid(t *testing.T) {
	content := small(t)
	logs, err := Inspect(t.Context(), "/log", Options{FS: store(t, "/log", content)})
	must(t, err)
	footer := logs[0].Segments[0].FooterPosition
	frame := func(b []byte) []byte { n, _ := segment.FrameBytes(b[4096:]); return b[4096 : 4096+n] }
	without := func(names ...string) map[string][]byte {
		out := change(content, first, func([]byte) {})
		for _, name := range names {
			delete(out, name)
		}
		return out
	}
	swapped := without()
	swapped[first], swapped[second] = swapped[second], swapped[first]
	for _, test := range []struct {
		name    string
		content map[string][]byte
		state   State
		want    string // in the damage
	}{
		{"state 3: header of a newer release", change(content, first, func(b []byte) { b[12] = 2; rehash(b[:64]) }), NewerMade, first + " at 0: format version: want <= 1, got 2"},
		{"state 4: files swapped", swapped, Corrupt, first + " at 16: identity in the file header"},
		{"state 10: frame of a newer release", change(content, active, func(b []byte) { b[4096+12] = 9; rehash(frame(b)) }), NewerMade, active + " at 4096: format version: want <= 1, got 9"},
		{"state 13: footer of a newer release", change(content, first, func(b []byte) { b[footer+12] = 3; rehash(b[footer : footer+128]) }), NewerMade, fmt.Sprintf("%s at %d: format version", first, footer)},
		{"state 9: index", change(content, active, func(b []byte) { b[4096+24]++; rehash(frame(b)) }), Corrupt, "at 4096: order of frames: want index 5, term >= 1, offset >= 8"},
		{"state 15: a frame that the row does not promise", change(content, first, func(b []byte) { b[4096+40] = 1; rehash(frame(b)) }), Corrupt, "row of index 1"},
		{"a row that is not the frame's, under good hashes", change(content, first, func(b []byte) {
			body := b[logs[0].Segments[0].IndexPosition:footer]
			body[16]++
			le.PutUint64(b[footer+96:], xxhash.Sum64(body))
			rehash(b[footer : footer+128])
		}), Corrupt, "row of index 2: want position 4160"},
		{"manifest of a newer release", change(content, "MANIFEST", func(b []byte) { b[12] = 2; rehash(b) }), NewerMade, "MANIFEST at 0: format version"},
		{"manifest's start behind the end", change(content, "MANIFEST", func(b []byte) { b[48] = 99; rehash(b) }), Corrupt, "MANIFEST at 48: start offset: want <= 12, got 99"},
		{"term before the active segment, by the manifest", change(content, "MANIFEST", func(b []byte) { b[len(b)-24]++; rehash(b) }), Corrupt, "last term before the active segment: want 1, got 2"},
		{"manifest's term run", change(content, "MANIFEST", func(b []byte) { b[len(b)-16]++; rehash(b) }), Corrupt, "order of term runs"},
		{"manifest's data end is none", change(content, "MANIFEST", func(b []byte) { le.PutUint64(b[80+40:], 1<<63); rehash(b) }), Corrupt, "positions of data end and footer"},
		{"state 11: manifest's footer is behind the file", change(content, "MANIFEST", func(b []byte) { le.PutUint64(b[80+48:], 1<<63-1); rehash(b) }), Corrupt, "file size of a sealed segment"},
		{"state 6: a segment is missing", without(second), Corrupt, second + " at 0: segment of the manifest: want present, got missing"},
		{"state 2: the manifest is missing", without("MANIFEST"), Corrupt, "MANIFEST at 0: manifest: want present beside " + first + ", got missing"},
		{"state 7: garbage behind the mark", change(content, active, func(b []byte) { b[9000] = 1 }), Torn, "not known to have been durable"},
	} {
		r := verifyOne(t, store(t, "/log", test.content), "/log")
		if r.State != test.state || !strings.Contains(r.Damage.Error(), test.want) {
			t.Errorf("%s: %s: %v\nwant %s: %s", test.name, r.State, r.Damage, test.state, test.want)
		}
	}
}

// TestBatches damages what is inside of frames whose own hash is right, as a
// broker would that writes wrong bytes.
func TestBatches(t *testing.T) {
	content := small(t)
	at := 4096 + 64 // frame 0 of the active segment is empty; frame 1 has batches of 1 and 2
	for _, test := range []struct {
		name string
		do   func(frame []byte)
		want string
	}{
		{"CRC", func(f []byte) { f[64+61+5]++ }, fmt.Sprintf("at %d: CRC-32C of a record batch: want 0x", at+64)},
		{"length", func(f []byte) { f[64+11]++ }, fmt.Sprint("at ", at+64)},
		{"base offset", func(f []byte) { f[64+7]++ }, fmt.Sprintf("at %d: base offset of a record batch: want 8, got 9", at+64)},
		{"count", func(f []byte) { f[20]++ }, fmt.Sprintf("at %d: offset after the record batches of a frame: want 12, got 11", at)},
		{"timestamp", func(f []byte) { f[48]-- }, fmt.Sprintf("at %d: greatest timestamp of a frame's record batches", at)},
	} {
		m := store(t, "/log", change(content, active, func(b []byte) {
			n, _ := segment.FrameBytes(b[at:])
			test.do(b[at : at+n])
			rehash(b[at : at+n])
		}))
		r := verifyOne(t, m, "/log")
		if r.State != Corrupt || !strings.Contains(r.Damage.Error(), test.want) {
			t.Errorf("%s: %s: %v, want %s", test.name, r.State, r.Damage, test.want)
		}
		if test.name == "count" {
			continue // the frames behind do not follow
		}
		reports, err := Verify(t.Context(), "/log", Options{FS: m, Clock: hurried{}, FramesOnly: true})
		if err != nil || reports[0].State != Clean || reports[0].Batches != 0 {
			t.Errorf("%s, frames only: %+v, %v", test.name, reports, err)
		}
	}
}

// TestLengthIsNotBelieved claims payloads of up to 1 GiB in a file of 4 MiB.
func TestLengthIsNotBelieved(t *testing.T) {
	content := small(t)
	b := append(content[active][:4096:4096], make([]byte, 4<<20)...)
	copy(b[4096:], content[active][4096:4096+64])
	for _, claimed := range []uint32{1 << 20, 3 << 20, 1 << 30, 1<<32 - 1} {
		le.PutUint32(b[4096+16:], claimed)
		m := store(t, "/log", map[string][]byte{active: b})
		if r := verifyOne(t, m, "/log/"+active); r.State != Torn || r.Damage.Position != 4096 {
			t.Errorf("payload of %d: %+v", claimed, r)
		}
	}
}

func TestWhatIsLookedFor(t *testing.T) {
	m := vfs.NewMem()
	build(t, m, "/data/topics/a-0@2")
	build(t, m, "/data/topics/b-1@3")
	build(t, m, "/data/metadata")
	must(t, m.MkdirAll("/data/hardstate"))
	reports, err := Verify(t.Context(), "/data", Options{FS: m})
	must(t, err)
	var got []string
	for _, r := range reports {
		got = append(got, fmt.Sprint(r.Path, " ", r.State, " ", r.Records))
	}
	if want := "/data/metadata clean 12; /data/topics/a-0@2 clean 12; /data/topics/b-1@3 clean 12"; strings.Join(got, "; ") != want {
		t.Errorf("%s\nwant %s", strings.Join(got, "; "), want)
	}
	if r := verifyOne(t, m, "/data/metadata/"+second); r.State != Clean || r.Segments != 1 || r.Records != 2 {
		t.Errorf("one segment: %+v", r)
	}
	for _, name := range []string{"/data/hardstate", "/nothing", "/data/metadata/" + wal.ManifestName} {
		if _, err := Verify(t.Context(), name, Options{FS: m}); !errors.Is(err, ErrUsage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What a crash between two manifests leaves.
	f, err := m.Create("/data/metadata/00000000000000ff.seg")
	must(t, err)
	must(t, f.Close())
	if r := verifyOne(t, m, "/data/metadata"); r.State != Clean || len(r.Unnamed) != 1 {
		t.Errorf("an unnamed file: %+v", r)
	}
}

// FuzzVerify reads arbitrary bytes behind a sound header, as they are or with
// every hash put right, which lets damage through to what the hashes guard.
// Invariants checked: no panic, an answer, damage that has a place in the file.
func FuzzVerify(f *testing.F) {
	content := small(f)
	for _, name := range []string{first, active} {
		f.Add(content[name][segment.DataStart:], false)
		f.Add(content[name][segment.DataStart:], true)
	}
	header := content[first][:segment.DataStart]
	f.Fuzz(func(t *testing.T, tail []byte, right bool) {
		if len(tail) > 1<<20 {
			t.Skip("longer than a segment of this test")
		}
		b := append(header[:len(header):len(header)], tail...)
		for at := int(segment.DataStart); right && at+segment.FrameHeaderLen <= len(b); at += 8 {
			if n, ok := segment.FrameBytes(b[at:]); ok && at+n <= len(b) {
				copy(b[at+56:at+60], header[56:60])
				rehash(b[at : at+n])
			} else if le.Uint32(b[at+8:]) == segment.FooterMagic && at+int(segment.FooterBytes) <= len(b) {
				if footer, err := segment.ParseFooter("", b[at:at+int(segment.FooterBytes)], segment.Pos(at)); err == nil && footer.BodyBytes() < segment.Pos(at) {
					le.PutUint64(b[at+96:], xxhash.Sum64(b[at-int(footer.BodyBytes()):at]))
				}
				rehash(b[at : at+int(segment.FooterBytes)])
			}
		}
		m := store(t, "/log", map[string][]byte{first: b})
		r := verifyOne(t, m, "/log/"+first)
		if r.Damage != nil && (r.Damage.Position < 0 || r.Damage.Position > int64(len(b))) {
			t.Errorf("damage at %+v in %d bytes", r.Damage, len(b))
		}
		o := Options{FS: m, Clock: hurried{}, Records: true}
		Inspect(t.Context(), "/log", o)
		Dump(t.Context(), "/log/"+first, o, func(Line) error { return nil })
	})
}
