package inspect

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"chronik/segment"
)

// TestCompare: the first frame in which two copies of a log differ, and where
// it lies in both.
func TestCompare(t *testing.T) {
	content := small(t)
	frame := func(n int) int {
		at := int(segment.DataStart)
		for ; n > 0; n-- {
			length, _ := segment.FrameBytes(content[active][at:])
			at += length
		}
		return at
	}
	put := func(at int, do func(b []byte)) map[string][]byte { // changes a frame of the active segment and puts its hash right
		return change(content, active, func(b []byte) {
			length, _ := segment.FrameBytes(b[at:])
			do(b[at : at+length])
			rehash(b[at : at+length])
		})
	}
	for _, test := range []struct {
		name    string
		other   map[string][]byte
		against string
		frames  int64
		want    string // contained in the error; "": equal
	}{
		{"equal", content, "/b", 7, ""},
		{"one segment", content, "/b/" + active, 0, "index 5 at /a/" + first + ":4096"},
		{"payload", put(frame(1), func(b []byte) { b[200] ^= 1 }), "/b", 5, "payload from byte 136"},
		{"term", put(frame(2), func(b []byte) { binary.LittleEndian.PutUint64(b[32:], 9) }), "/b", 6, "index 7 at /a/" + active},
		{"another end", change(content, active, func(b []byte) { clear(b[frame(2):]) }), "/b", 6, "want the end, got index 7"},
		{"damage", change(content, active, func(b []byte) { b[frame(1)+70] ^= 1 }), "/b", 5, "frame hash"},
		{"nothing", content, "/c", 0, "there is nothing of that name"},
		{"several", content, "/", 0, "2 logs there"},
	} {
		m := store(t, "/a", content)
		must(t, m.MkdirAll("/b"))
		for name, b := range test.other {
			f, err := m.Create("/b/" + name)
			must(t, err)
			_, err = f.WriteAt(b, 0)
			must(t, err)
			must(t, f.Close())
		}
		c, err := Compare(t.Context(), "/a", test.against, Options{FS: m, Clock: hurried{}})
		if test.want == "" {
			if err != nil || !c.Equal || c.Frames != test.frames || c.Difference != nil {
				t.Errorf("%s: %+v, %v", test.name, c, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || c != nil && (c.Equal || c.Frames != test.frames && test.frames > 0) {
			t.Errorf("%s: %+v, %v; want %s", test.name, c, err, test.want)
			continue
		}
		var d *Difference
		if errors.As(err, &d) != (c != nil && c.Difference != nil) {
			t.Errorf("%s: %v with %+v", test.name, err, c)
		}
	}
}

// TestCompareEnds: the shorter one ends first, whichever it is.
func TestCompareEnds(t *testing.T) {
	content := small(t)
	m := store(t, "/a", content)
	must(t, m.MkdirAll("/b"))
	f, err := m.Create("/b/" + first)
	must(t, err)
	_, err = f.WriteAt(content[first], 0)
	must(t, err)
	must(t, f.Close())
	for _, names := range [][2]string{{"/a", "/b/" + first}, {"/b/" + first, "/a"}} {
		c, err := Compare(t.Context(), names[0], names[1], Options{FS: m, Clock: hurried{}})
		if err == nil || c.Difference == nil || (c.Difference.Got == "the end") == (c.Difference.Want == "the end") || c.Difference.Index != 4 || c.Frames != 3 {
			t.Errorf("%v: %+v, %v", names, c, err)
		}
	}
}
