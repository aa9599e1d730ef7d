package segment

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"chronik/internal/vfs"
)

var benchSizes = []int{128, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20}

func sizeName(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%dMiB", n>>20)
	}
	if n >= 1<<10 {
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}

func random(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	r.Read(b)
	return b
}

// prezeroed returns a segment whose whole capacity is written and durable.
func prezeroed(b *testing.B, path string, capacity int64) *Active {
	a := newSegment(b, vfs.OS, path, capacity)
	for Pos(a.zeroed.Load()) < a.capacity {
		must(b, a.Extend())
	}
	return a
}

// rawFile is what an append is measured against: the same bytes at the same
// places of a file just as pre-zeroed, with pwritev and fdatasync alone.
type rawFile struct {
	f   vfs.File
	pos int64
	cap int64
}

func newRawFile(b *testing.B, path string, capacity int64) *rawFile {
	f, err := vfs.OS.Create(path)
	must(b, err)
	must(b, f.Zero(0, capacity))
	must(b, f.Datasync())
	return &rawFile{f, 4096, capacity}
}

func (r *rawFile) write(bufs [][]byte, n int, sync bool) error {
	if r.pos+int64(n) > r.cap {
		r.pos = 4096
	}
	if err := r.f.Writev(bufs, r.pos); err != nil {
		return err
	}
	r.pos += int64(n)
	if sync {
		return r.f.Datasync()
	}
	return nil
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// BenchmarkAppend appends one frame at a time to a pre-zeroed segment. Each
// append alternates with the raw write of the same bytes, so that both see the
// same disk; ns/op is the append alone, x-raw the ratio of the medians.
func BenchmarkAppend(b *testing.B) {
	for _, sync := range []bool{false, true} {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("sync=%v/%s", sync, sizeName(size)), func(b *testing.B) { benchAppend(b, size, sync) })
		}
	}
}

func benchAppend(b *testing.B, size int, sync bool) {
	const capacity = 128 << 20
	dir, files := b.TempDir(), 0
	payload := random(size)
	frame := FrameLen(size)
	a := prezeroed(b, filepath.Join(dir, "0"), capacity)
	raw := newRawFile(b, filepath.Join(dir, "raw"), capacity)
	bufs := [][]byte{make([]byte, FrameHeaderLen), payload, make([]byte, frame-FrameHeaderLen-size)}
	one := make([]Entry, 1)
	ours, theirs := make([]time.Duration, 0, b.N), make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		one[0] = Entry{Index: a.NextIndex(), Term: 1, Kind: KindData, BaseOffset: a.NextOffset(), Count: 1, MaxTimestamp: int64(i), Payload: payload}
		begin := time.Now()
		n, err := a.Append(one, 1)
		if err == nil && sync {
			err = a.Sync()
		}
		ours = append(ours, time.Since(begin))
		must(b, err)
		begin = time.Now()
		must(b, raw.write(bufs, frame, sync))
		theirs = append(theirs, time.Since(begin))
		if n == 0 {
			ours, theirs = ours[:len(ours)-1], theirs[:len(theirs)-1]
			b.StopTimer()
			files++
			path := a.Path()
			a.Release()
			must(b, vfs.OS.Remove(path))
			a = prezeroed(b, filepath.Join(dir, fmt.Sprint(files)), capacity)
			b.StartTimer()
		}
	}
	b.StopTimer()
	var sum time.Duration
	for _, d := range ours {
		sum += d
	}
	b.ReportMetric(float64(sum)/float64(len(ours)), "ns/op")
	b.ReportMetric(float64(size)*float64(len(ours))/1e6/sum.Seconds(), "MB/s")
	x, y := median(ours), median(theirs)
	b.ReportMetric(float64(x), "p50-ns")
	b.ReportMetric(float64(x)/float64(y), "x-raw")
	a.Release()
	raw.f.Close()
}

// filled returns a sealed and an active segment of n frames of size bytes.
func filled(b *testing.B, n, size int) (*Active, *Segment) {
	path := filepath.Join(b.TempDir(), "a")
	a := newSegment(b, vfs.OS, path, int64(n*FrameLen(size)+4096))
	payload := random(size)
	batch := make([]Entry, 0, 64)
	for i := 0; i < n; {
		batch = batch[:0]
		for ; i < n && len(batch) < cap(batch); i++ {
			batch = append(batch, Entry{Index: Index(i + 1), Term: 1, Kind: KindData, BaseOffset: Offset(3 * i), Count: 3, MaxTimestamp: int64(i), Payload: payload})
		}
		add(b, a, batch...)
	}
	meta, err := a.Seal(n, nil)
	must(b, err)
	s := OpenSealed(vfs.OS, nil, path, meta)
	b.Cleanup(func() { a.Release(); s.Release() })
	return a, s
}

// BenchmarkLookup finds frames by offset and by timestamp, and reads headers
// by index, at random, among 100,000.
func BenchmarkLookup(b *testing.B) {
	const n = 100_000
	active, sealed := filled(b, n, 128)
	for _, c := range []struct {
		name string
		s    *Segment
	}{{"active", active.Segment}, {"sealed", sealed}} {
		r := rand.New(rand.NewPCG(1, 2))
		var e Entry
		for i := range n {
			must(b, c.s.Frame(i, &e)) // verified once
		}
		b.Run(c.name+"/offset", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				off := r.IntN(3 * n)
				if i, err := c.s.FindOffset(Offset(off)); err != nil || i != off/3 {
					b.Fatal(i, err)
				}
			}
		})
		b.Run(c.name+"/timestamp", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				ts := r.IntN(n)
				if i, err := c.s.FindTimestamp(int64(ts)); err != nil || i != ts {
					b.Fatal(i, err)
				}
			}
		})
		b.Run(c.name+"/index", func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				i := r.IntN(n)
				if err := c.s.Frame(i, &e); err != nil || e.Index != Index(i+1) {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRecover opens an unsealed segment of 128 MiB, in the page cache.
func BenchmarkRecover(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(sizeName(size), func(b *testing.B) {
			n := 128 << 20 / FrameLen(size)
			a, _ := filled(b, n, size)
			meta := a.Meta()
			synced := a.End() - Pos(FrameLen(size)) // kill -9 under traffic: the last append was not synced
			b.SetBytes(int64(n * FrameLen(size)))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				r, rec, err := Recover(RecoverOptions{FS: vfs.OS, Path: a.Path(), Meta: meta, SyncedThrough: synced})
				if err != nil || rec.Frames != n {
					b.Fatalf("%+v, %v", rec, err)
				}
				r.Release()
			}
		})
	}
}

// BenchmarkOpenSealed opens a sealed segment and reads its first frame.
func BenchmarkOpenSealed(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, s := filled(b, n, 128)
			var e Entry
			b.ReportAllocs()
			for range b.N {
				o := OpenSealed(vfs.OS, nil, s.Path(), s.Meta())
				must(b, o.Frame(0, &e))
				o.Release()
			}
		})
	}
}
