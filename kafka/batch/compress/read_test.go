package compress

import (
	"bytes"
	"encoding/binary"
	"flag"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

var compressing = []Codec{Gzip, Snappy, LZ4, Zstd}

const plenty = 64 << 20 // a limit that is not reached

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 takes one from the clock")

// random gives a source whose seed a failure prints, with how to run it again.
func random(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again: go test ./kafka/batch/compress -run '^%s$' -seed %d", t.Name(), seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// read is all that comes out of a payload, and the error that ends it.
func read(r *Reader, codec Codec, payload []byte, limit int64) ([]byte, error) {
	whole, stream, err := r.Open(codec, payload, limit)
	if stream == nil {
		return whole, err
	}
	return io.ReadAll(stream)
}

// write compresses p as we do.
func write(t testing.TB, codec Codec, p []byte) []byte {
	t.Helper()
	var w Writer
	var out bytes.Buffer
	return pipe(t, p, &out, must[io.WriteCloser](t)(w.Open(codec, DefaultLevels(), &out)))
}

// pipe compresses p in one go through w, which writes to out.
func pipe(t testing.TB, p []byte, out *bytes.Buffer, w io.WriteCloser) []byte {
	t.Helper()
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := slices.Clone(out.Bytes())
	out.Reset()
	return b
}

// The payloads that others write.

func gzipped(t testing.TB, p []byte, h gzip.Header) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Header = h
	return pipe(t, p, &out, w)
}

func lz4Frame(t testing.TB, p []byte, options ...lz4.Option) []byte {
	var out bytes.Buffer
	w := lz4.NewWriter(&out)
	if err := w.Apply(append(options, lz4.ConcurrencyOption(1))...); err != nil {
		t.Fatal(err)
	}
	return pipe(t, p, &out, w)
}

func zstdFrame(t testing.TB, p []byte, options ...zstd.EOption) []byte {
	var out bytes.Buffer
	return pipe(t, p, &out, must[*zstd.Encoder](t)(zstd.NewWriter(&out, append(options, zstd.WithEncoderConcurrency(1))...)))
}

func xerial(blocks ...[]byte) []byte {
	x := append(slices.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for _, p := range blocks {
		enc := snappy.Encode(nil, p)
		x = append(binary.BigEndian.AppendUint32(x, uint32(len(enc))), enc...)
	}
	return x
}

// edited is b with one byte changed.
func edited(b []byte, at int, to byte) []byte {
	b = slices.Clone(b)
	b[at] = to
	return b
}

// sample compresses to about a half, and is larger than any block of 64 KiB.
func sample(r *rand.Rand, size int) []byte {
	p := make([]byte, 0, size+20)
	for len(p) < size {
		word := r.Uint64() >> (8 * r.IntN(6))
		p = append(binary.AppendUvarint(p, word), "offset="...)
	}
	return p[:size]
}

// allocated is the bytes that f allocates.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}
