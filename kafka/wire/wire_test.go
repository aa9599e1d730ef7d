package wire

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

func TestReaderErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		in     []byte
		read   func(r *Reader)
		want   error
		offset int
	}{
		{"int8", nil, func(r *Reader) { r.Int8() }, ErrShort, 0},
		{"int16", []byte{1}, func(r *Reader) { r.Int16() }, ErrShort, 0},
		{"int32 behind int16", []byte{1, 2, 3, 4}, func(r *Reader) { r.Int16(); r.Int32() }, ErrShort, 2},
		{"int64", make([]byte, 7), func(r *Reader) { r.Int64() }, ErrShort, 0},
		{"uuid", make([]byte, 15), func(r *Reader) { r.UUID() }, ErrShort, 0},
		{"uvarint cut", []byte{0x80}, func(r *Reader) { r.Uvarint() }, ErrShort, 0},
		{"uvarint of 33 bits", []byte{0x80, 0x80, 0x80, 0x80, 0x10}, func(r *Reader) { r.Uvarint() }, ErrVarint, 0},
		{"uvarint of 6 bytes", []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}, func(r *Reader) { r.Uvarint() }, ErrVarint, 0},
		{"varlong of 11 bytes", bytes.Repeat([]byte{0xff}, 11), func(r *Reader) { r.Varlong() }, ErrVarint, 0},
		{"string, length -2", []byte{0xff, 0xfe, 0, 0}, func(r *Reader) { r.String(false) }, ErrLength, 2},
		{"string, null", []byte{0xff, 0xff}, func(r *Reader) { r.String(false) }, ErrNull, 2},
		{"string, longer than input", []byte{0, 3, 'a', 'b'}, func(r *Reader) { r.String(false) }, ErrLength, 2},
		{"compact string, null", []byte{0}, func(r *Reader) { r.String(true) }, ErrNull, 1},
		{"compact string, longer than input", []byte{4, 'a', 'b'}, func(r *Reader) { r.String(true) }, ErrLength, 1},
		{"compact string, 32768 bytes", append([]byte{0x81, 0x80, 0x02}, make([]byte, 32768)...), func(r *Reader) { r.String(true) }, ErrLength, 3},
		{"bytes, length -2", []byte{0xff, 0xff, 0xff, 0xfe}, func(r *Reader) { r.NullBytes(false, true) }, ErrLength, 4},
		{"bytes, null", []byte{0xff, 0xff, 0xff, 0xff}, func(r *Reader) { r.Bytes(false) }, ErrNull, 4},
		{"bytes, 2 GiB", []byte{0x7f, 0xff, 0xff, 0xff, 1}, func(r *Reader) { r.Bytes(false) }, ErrLength, 4},
		{"compact bytes, 4 GiB", []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1}, func(r *Reader) { r.Bytes(true) }, ErrLength, 5},
		{"array, null", []byte{0xff, 0xff, 0xff, 0xff}, func(r *Reader) { r.ArrayLen(false, 1) }, ErrNull, 4},
		{"array, count -2", []byte{0xff, 0xff, 0xff, 0xfe}, func(r *Reader) { r.NullArrayLen(false, 1, true) }, ErrLength, 4},
		{"array, 3 elements of 2 in 5 bytes", []byte{0, 0, 0, 3, 1, 2, 3, 4, 5}, func(r *Reader) { r.ArrayLen(false, 2) }, ErrLength, 4},
		{"tags, more than can be", []byte{3, 0, 0, 0, 0}, func(r *Reader) { r.SkipTags() }, ErrLength, 1},
		{"tag, longer than input", []byte{1, 0, 5, 1, 2}, func(r *Reader) { r.SkipTags() }, ErrLength, 3},
		{"tag, value shorter than its size", []byte{1, 0, 3, 1, 2, 3}, func(r *Reader) { readTag(r, func() { r.Int16() }) }, ErrTag, 5},
		{"tag, value longer than its size", []byte{1, 0, 1, 1, 2, 3}, func(r *Reader) { readTag(r, func() { r.Int16() }) }, ErrShort, 3},
		{"trailing", []byte{1, 2}, func(r *Reader) { r.Int8() }, ErrTrailing, 1},
	} {
		r := NewReader(c.in)
		c.read(&r)
		err := r.Done()
		var de *DecodeError
		if !errors.Is(err, c.want) || !errors.As(err, &de) || de.Offset != c.offset {
			t.Errorf("%s: got %v, want %v at byte %d", c.name, err, c.want, c.offset)
		}
	}
}

// readTag reads the count of a tag section and its first field, whose value read reads.
func readTag(r *Reader, read func()) (n int, tag uint32) {
	n = r.TagCount()
	tag, outer := r.BeginTag()
	read()
	r.EndTag(outer)
	return n, tag
}

// The first error sticks, and nothing can be read behind it.
func TestReaderFirstErrorSticks(t *testing.T) {
	r := NewReader([]byte{0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8})
	r.String(false)
	first := r.Err()
	if r.Int64() != 0 || r.String(true) != "" || len(r.Bytes(false)) != 0 || r.ArrayLen(false, 1) != 0 || r.Uvarint() != 0 || r.Len() != 0 {
		t.Error("a value was read behind an error")
	}
	if n, tag := readTag(&r, func() {}); n != 0 || tag != 0 || r.Len() != 0 {
		t.Error("a tag was read behind an error")
	}
	if dst := []int32{1}; r.GetInt32s(r.Pos(), dst) != r.Pos() || dst[0] != 0 {
		t.Error("an int32 was read behind an error")
	}
	if r.Err() != first || r.Offset() != 2 {
		t.Errorf("got %v at %d, want %v", r.Err(), r.Offset(), first)
	}
}

func TestReaderNullAndEmpty(t *testing.T) {
	r := NewReader([]byte{0, 1, 0, 1, 0, 1, 0, 1})
	if s := r.NullString(true, true); s.Valid {
		t.Error("null string is valid")
	}
	if s := r.NullString(true, true); !s.Valid || s.String != "" {
		t.Error("empty string is null")
	}
	if b := r.NullBytes(true, true); b != nil {
		t.Error("null bytes are not nil")
	}
	if b := r.NullBytes(true, true); b == nil || len(b) != 0 {
		t.Error("empty bytes are nil")
	}
	if v := r.Records(Records{{1}}, true, true); v != nil {
		t.Error("null records are not nil")
	}
	if v := r.Records(nil, true, true); v == nil || v.Size() != 0 {
		t.Error("empty records are nil")
	}
	if n := r.NullArrayLen(true, 1, true); n != -1 {
		t.Errorf("null array has %d elements", n)
	}
	if n := r.NullArrayLen(true, 1, true); n != 0 || r.Done() != nil {
		t.Errorf("empty array has %d elements, %v", n, r.Err())
	}
}

// What a Reader returns is the frame's memory, and cannot be grown into what follows.
func TestReaderAliasesFrame(t *testing.T) {
	frame := []byte{3, 'a', 'b', 3, 1, 2, 9}
	r := NewReader(frame)
	s, b := r.String(true), r.Bytes(true)
	if unsafe.StringData(s) != &frame[1] || &b[0] != &frame[4] {
		t.Fatal("a value was copied")
	}
	if b = append(b, 7); frame[6] != 9 {
		t.Fatal("append to a value wrote into the frame")
	}
	allocs := testing.AllocsPerRun(100, func() {
		r.Reset(frame)
		s, b = r.String(true), r.Bytes(true)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestReaderSkipsTags(t *testing.T) {
	r := NewReader([]byte{2, 5, 2, 'x', 'y', 100, 0, 42})
	r.SkipTags()
	if v := r.Int8(); v != 42 || r.Done() != nil {
		t.Errorf("got %d, %v", v, r.Err())
	}
}

func TestWriterErrors(t *testing.T) {
	var w Writer
	w.String(strings.Repeat("x", math.MaxInt16), true)
	if w.Err() != nil {
		t.Fatal(w.Err())
	}
	w.String(strings.Repeat("x", math.MaxInt16+1), true)
	if !errors.Is(w.Err(), ErrTooLong) {
		t.Errorf("got %v, want %v", w.Err(), ErrTooLong)
	}
	w.Fail("later", ErrNotInThis)
	if errors.Is(w.Err(), ErrNotInThis) {
		t.Error("the first error did not stick")
	}
	w.Reset()
	if w.Err() != nil || w.Len() != 0 {
		t.Error("Reset kept something")
	}
}

// A null in a version that has none is written as empty.
func TestWriterNullWithoutNull(t *testing.T) {
	var w Writer
	w.NullString(NullString{}, false, false)
	w.NullString(NullString{}, true, false)
	w.NullBytes(nil, true, false)
	w.Records(nil, true, false)
	w.NullArrayLen(0, true, true, false)
	if want := []byte{0, 0, 1, 1, 1, 1}; !bytes.Equal(w.Bytes(), want) {
		t.Errorf("got %x, want %x", w.Bytes(), want)
	}
}

// A tagged field's size stands in front of it, whatever number of bytes the size takes.
func TestWriterTags(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 16383, 16384, 40000} {
		var w Writer
		w.Uvarint(1)
		start := w.BeginTag(7)
		for i := range size {
			w.Int8(int8(i))
		}
		w.EndTag(start)
		w.Int8(99)
		r := NewReader(w.Bytes())
		var value []byte
		n, tag := readTag(&r, func() { value = r.Rest() })
		if n != 1 || tag != 7 || len(value) != size || r.Int8() != 99 || r.Done() != nil {
			t.Errorf("size %d: tag %d with %d bytes, %v", size, tag, len(value), r.Err())
		}
		for i, b := range value {
			if b != byte(i) {
				t.Fatalf("size %d: byte %d is %d", size, i, b)
			}
		}
	}
}

// Frame [size][7][records: 3+0+2 bytes, spliced][8], then the same writer again.
func TestWriterSplices(t *testing.T) {
	a, b := []byte{1, 2, 3}, []byte{4, 5}
	var w Writer
	for range 2 {
		w.BeginFrame()
		w.Int8(7)
		w.Records(Records{a, nil, b}, true, true)
		w.Int8(8)
		w.Splice([][]byte{a})
		want := []byte{0, 0, 0, 11, 7, 6, 1, 2, 3, 4, 5, 8, 1, 2, 3}
		if w.Len() != len(want) || !bytes.Equal(w.Bytes(), want) {
			t.Fatalf("got %x, want %x", w.Bytes(), want)
		}
		bufs := w.Buffers()
		if len(bufs) != 5 || &bufs[1][0] != &a[0] || &bufs[2][0] != &b[0] || &bufs[4][0] != &a[0] {
			t.Fatalf("slices were copied: %x", bufs)
		}
		var out bytes.Buffer
		if _, err := bufs.WriteTo(&out); err != nil || !bytes.Equal(out.Bytes(), want) {
			t.Fatalf("wrote %x, %v; want %x", out.Bytes(), err, want)
		}
	}
	w.Reset()
	for _, c := range w.cuts[:cap(w.cuts)] {
		if c.data != nil {
			t.Fatal("Reset keeps a reference on a spliced slice")
		}
	}
}

func TestWriterDoesNotAllocate(t *testing.T) {
	records := Records{make([]byte, 100), make([]byte, 100)}
	var w Writer
	write := func() {
		w.BeginFrame()
		for range 50 {
			w.String("topic", true)
			w.Records(records, true, true)
			start := w.BeginTag(1)
			w.UUID(UUID{1})
			w.EndTag(start)
		}
		w.Buffers()
	}
	write()
	if n := testing.AllocsPerRun(100, write); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestResize(t *testing.T) {
	type element struct{ inner []int }
	if s := Resize[element](nil, 0); s == nil {
		t.Error("nil for no elements")
	}
	s := Resize[element](nil, 2)
	s[0].inner, s[1].inner = make([]int, 5), make([]int, 6)
	if s = Resize(s, 1); len(s) != 1 || cap(s[0].inner) != 5 {
		t.Error("shrinking lost memory")
	}
	if s = Resize(s, 3); len(s) != 3 || cap(s[0].inner) != 5 || cap(s[1].inner) != 6 {
		t.Error("growing lost memory")
	}
}

// BenchmarkStrings is the figure in docs/adr/0001-strings-alias-the-frame.md: the ten
// topic names of a request, as aliases and as copies.
func BenchmarkStrings(b *testing.B) {
	var w Writer
	for range 10 {
		w.String("orders.europe.north-1", true)
	}
	frame := w.Bytes()
	var names [10]string
	b.Run("alias", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := NewReader(frame)
			for i := range names {
				names[i] = r.String(true)
			}
		}
	})
	b.Run("copy", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := NewReader(frame)
			for i := range names {
				names[i] = string(r.Bytes(true))
			}
		}
	})
	runtime.KeepAlive(names)
}

func TestLimitOfArrays(t *testing.T) {
	r := NewReader(make([]byte, 10))
	var s [][3]int64
	if n, at := GetRoom(&r, 3, s, 1<<30); n != 1<<30 || at != 3 || r.Err() != nil {
		t.Errorf("without a limit: %d at %d, %v", n, at, r.Err())
	}
	r.Limit(100)
	for range 4 {
		if n, at := GetRoom(&r, 3, s, 1); n != 1 || at != 3 || r.Err() != nil {
			t.Errorf("24 bytes: %d at %d, %v", n, at, r.Err())
		}
	}
	if n, at := GetRoom(&r, 3, s, 1); n != 0 || at != 10 || !errors.Is(r.Err(), ErrMemory) {
		t.Errorf("120 bytes of 100: %d at %d, %v", n, at, r.Err())
	}
	r.Reset(nil)
	if n, _ := GetRoom(&r, 0, s, 1000); n != 1000 || r.Err() != nil {
		t.Errorf("a limit outlived Reset: %v", r.Err())
	}
}
