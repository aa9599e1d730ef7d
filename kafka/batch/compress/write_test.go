package compress

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// What is written is read back, in every codec and at the ends of the level
// ranges, by a Reader and a Writer that are used again.
func TestRoundTrip(t *testing.T) {
	r := random(t)
	var reader Reader
	var writer Writer
	levels := []Levels{DefaultLevels(), {Gzip: 1, LZ4: 1, Zstd: -131072}, {Gzip: 9, LZ4: 17, Zstd: 22}}
	for i := range 60 {
		p := sample(r, r.IntN(1<<r.IntN(17)))
		for _, codec := range []Codec{None, Gzip, Snappy, LZ4, Zstd} {
			var out bytes.Buffer
			blob := pipe(t, p, &out, must[io.WriteCloser](t)(writer.Open(codec, levels[i/20], &out)))
			if got, err := read(&reader, codec, blob, int64(len(p))); err != nil || !bytes.Equal(got, p) {
				t.Fatalf("%v, %d bytes: %d bytes come back, %v", codec, len(p), len(got), err)
			}
			if i%10 == 0 {
				reader.Release(1 << 10)
			}
		}
	}
}

// A stream that its output refused leaves a Writer that is fit for the next.
func TestWriterAfterError(t *testing.T) {
	p := sample(random(t), 300_000)
	refused := errors.New("full")
	for _, codec := range compressing {
		var w Writer
		z := must[io.WriteCloser](t)(w.Open(codec, DefaultLevels(), fullAfter{new(int), 20_000, refused}))
		_, err := z.Write(p)
		if err == nil {
			err = z.Close()
		}
		if !errors.Is(err, refused) {
			t.Errorf("%v: %v", codec, err)
		}
		var out bytes.Buffer
		blob := pipe(t, p, &out, must[io.WriteCloser](t)(w.Open(codec, DefaultLevels(), &out)))
		if got, err := read(new(Reader), codec, blob, plenty); err != nil || !bytes.Equal(got, p) {
			t.Errorf("%v, after an error: %d bytes, %v", codec, len(got), err)
		}
	}
	var w Writer
	for _, c := range []struct {
		codec  Codec
		levels Levels
	}{{Gzip, Levels{Gzip: 10}}, {5, DefaultLevels()}, {Keep, DefaultLevels()}} {
		if _, err := w.Open(c.codec, c.levels, io.Discard); err == nil {
			t.Errorf("%v at %+v opens", c.codec, c.levels)
		}
	}
}

// fullAfter refuses bytes beyond max.
type fullAfter struct {
	n   *int
	max int
	err error
}

func (f fullAfter) Write(p []byte) (int, error) {
	if *f.n += len(p); *f.n > f.max {
		return 0, f.err
	}
	return len(p), nil
}

// Steady state: what a Reader made for the first payload serves the next. (The
// libraries' pools lose some of what they are given under the race detector.)
func TestSteadyState(t *testing.T) {
	p := sample(random(t), 300_000)
	sink := make([]byte, 64<<10)
	for codec, allowed := range map[Codec]float64{None: 0, Gzip: 16, Snappy: 0, LZ4: 16, Zstd: 16} {
		blob := write(t, codec, p)
		var r Reader
		n := testing.AllocsPerRun(20, func() {
			_, stream, err := r.Open(codec, blob, plenty)
			for stream != nil && err == nil {
				_, err = stream.Read(sink)
			}
			if err != nil && err != io.EOF {
				t.Fatal(err)
			}
		})
		t.Logf("%v: %v allocations", codec, n)
		if n > allowed {
			t.Errorf("%v: %v allocations a payload, want at most %v", codec, n, allowed)
		}
	}
}
