package wal

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"chronik/internal/vfs"
	"chronik/segment"
)

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

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func next(l *Log, payload []byte) segment.Entry {
	return segment.Entry{Index: l.LastIndex() + 1, Term: 1, Kind: segment.KindData, BaseOffset: l.NextOffset(), Count: 1,
		MaxTimestamp: int64(l.LastIndex()), Payload: payload}
}

// BenchmarkAppend appends one entry at a time as the broker does, through the
// syncer, zeroing ahead and rolling included. Each append alternates with a raw
// pwritev and fdatasync of the same bytes in a pre-zeroed file; ns/op is the
// append alone, x-raw the ratio of the medians.
func BenchmarkAppend(b *testing.B) {
	for _, sync := range []bool{false, true} {
		for _, size := range []int{128, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("sync=%v/%s", sync, sizeName(size)), func(b *testing.B) { benchAppend(b, size, sync) })
		}
	}
}

func benchAppend(b *testing.B, size int, sync bool) {
	const rawBytes = 128 << 20
	s := NewSyncer(SyncerOptions{})
	defer s.Close()
	dir := b.TempDir()
	l := open(b, Options{Dir: filepath.Join(dir, "log"), Syncer: s, SegmentBytes: func() int64 { return 256 << 20 }})
	raw, err := vfs.OS.Create(filepath.Join(dir, "raw"))
	must(b, err)
	must(b, raw.Zero(0, rawBytes))
	must(b, raw.Datasync())
	payload := random(size)
	frame := segment.FrameLen(size)
	bufs := [][]byte{make([]byte, segment.FrameHeaderLen), payload, make([]byte, frame-segment.FrameHeaderLen-size)}
	pos := int64(4096)
	one := make([]segment.Entry, 1)
	ours, theirs := make([]time.Duration, 0, b.N), make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		one[0] = next(l, payload)
		begin := time.Now()
		err := l.Append(one)
		if err == nil && sync {
			err = l.SyncWait()
		}
		ours = append(ours, time.Since(begin))
		must(b, err)
		if pos+int64(frame) > rawBytes {
			pos = 4096
		}
		begin = time.Now()
		err = raw.Writev(bufs, pos)
		if err == nil && sync {
			err = raw.Datasync()
		}
		theirs = append(theirs, time.Since(begin))
		must(b, err)
		pos += int64(frame)
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
	must(b, l.Close())
	raw.Close()
}

// BenchmarkRoll appends 4 KiB at a time to segments of 1 MiB, so that one append
// in 250 rolls, and tells the latencies of those from the others', and from a
// raw pwrite and fdatasync that alternates with them. Every fourth segment the
// log's start moves up, so that files are used again. Times in microseconds.
func BenchmarkRoll(b *testing.B) {
	for _, sync := range []bool{false, true} {
		b.Run(fmt.Sprintf("sync=%v", sync), func(b *testing.B) { benchRoll(b, sync) })
	}
}

func benchRoll(b *testing.B, sync bool) {
	s := NewSyncer(SyncerOptions{})
	defer s.Close()
	dir := b.TempDir()
	l := open(b, Options{Dir: filepath.Join(dir, "log"), Syncer: s, SegmentBytes: func() int64 { return 1 << 20 }})
	raw, err := vfs.OS.Create(filepath.Join(dir, "raw"))
	must(b, err)
	must(b, raw.Zero(0, 1<<20))
	must(b, raw.Datasync())
	payload := random(4 << 10)
	one := make([]segment.Entry, 1)
	var rolling, others, theirs []time.Duration
	b.ResetTimer()
	for i := range b.N {
		before := l.view.Load().active
		one[0] = next(l, payload)
		begin := time.Now()
		err := l.Append(one)
		if err == nil && sync {
			err = l.SyncWait()
		}
		took := time.Since(begin)
		must(b, err)
		if l.view.Load().active == before {
			others = append(others, took)
		} else if rolling = append(rolling, took); len(rolling)%4 == 0 {
			must(b, l.SetStart(before.BaseOffset()))
		}
		begin = time.Now()
		_, err = raw.WriteAt(payload, int64(i%256)*4096)
		must(b, err)
		must(b, raw.Datasync())
		theirs = append(theirs, time.Since(begin))
	}
	b.StopTimer()
	for name, d := range map[string][]time.Duration{"roll": rolling, "other": others, "raw": theirs} {
		if slices.Sort(d); len(d) > 0 {
			b.ReportMetric(float64(d[len(d)/2].Microseconds()), name+"-p50")
			b.ReportMetric(float64(d[len(d)*99/100].Microseconds()), name+"-p99")
			b.ReportMetric(float64(d[len(d)-1].Microseconds()), name+"-max")
		}
	}
	b.ReportMetric(0, "ns/op")
	must(b, l.Close())
	raw.Close()
}

// BenchmarkGroupSync makes 4 KiB in each of N logs durable in one round;
// x-serial compares with fdatasync of the same files one after the other,
// alternating.
func BenchmarkGroupSync(b *testing.B) {
	for _, n := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := NewSyncer(SyncerOptions{})
			defer s.Close()
			dir := b.TempDir()
			var logs, serial []*Log
			for i := range n {
				logs = append(logs, open(b, Options{Dir: fmt.Sprint(dir, "/a", i), Syncer: s}))
				serial = append(serial, open(b, Options{Dir: fmt.Sprint(dir, "/b", i)}))
			}
			payload := random(4 << 10)
			one := make([]segment.Entry, 1)
			var wg sync.WaitGroup
			done := func(err error) {
				if err != nil {
					b.Error(err)
				}
				wg.Done()
			}
			var ours, theirs []time.Duration
			b.ResetTimer()
			for range b.N {
				for _, set := range [][]*Log{logs, serial} {
					for _, l := range set {
						one[0] = next(l, payload)
						must(b, l.Append(one))
					}
				}
				begin := time.Now()
				wg.Add(n)
				for _, l := range logs {
					l.Sync(done)
				}
				wg.Wait()
				ours = append(ours, time.Since(begin))
				begin = time.Now()
				for _, l := range serial {
					must(b, l.SyncWait())
				}
				theirs = append(theirs, time.Since(begin))
			}
			b.StopTimer()
			x, y := median(ours), median(theirs)
			b.ReportMetric(float64(x), "p50-ns")
			b.ReportMetric(float64(x)/float64(y), "x-serial")
			for i := range logs {
				must(b, logs[i].Close())
				must(b, serial[i].Close())
			}
		})
	}
}

// filled is a log of 16 MiB segments with 200 MiB in 200,000 entries.
func filled(b *testing.B, dir string) *Log {
	l := open(b, Options{Dir: dir, SegmentBytes: func() int64 { return 16 << 20 }})
	payload := random(1 << 10)
	batch := make([]segment.Entry, 0, 64)
	for range 200_000 / cap(batch) {
		batch = batch[:0]
		for k := range cap(batch) {
			e := next(l, payload)
			e.Index += Index(k)
			e.BaseOffset += Offset(k)
			e.MaxTimestamp = int64(e.BaseOffset)
			batch = append(batch, e)
		}
		must(b, l.Append(batch))
	}
	return l
}

// BenchmarkRead reads a log of 13 segments in the page cache. Each entry is
// verified the first time; the benchmarks measure what comes after.
func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	l := filled(b, dir)
	dst := make([]segment.Entry, 0, 2048)
	benchRead(b, l, dst)
	benchLookup(b, l, dst)
	must(b, l.Close())
}

func benchRead(b *testing.B, l *Log, dst []segment.Entry) {
	end := l.NextOffset()
	for off := Offset(0); off < end; {
		out, ref, err := l.Read(off, end, 1<<20, dst)
		must(b, err)
		off = out[len(out)-1].Next()
		ref.Release()
	}
	b.Run("sequential/1MiB", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(1 << 20)
		off := Offset(0)
		for range b.N {
			out, ref, err := l.Read(off, end, 1<<20, dst)
			if err != nil || len(out) == 0 {
				b.Fatal(err)
			}
			if off = out[len(out)-1].Next(); off >= end {
				off = 0
			}
			ref.Release()
		}
	})
	b.Run("entries/64", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(64 << 10)
		r := rand.New(rand.NewPCG(1, 1))
		last := uint64(l.LastIndex())
		for range b.N {
			lo := Index(1 + r.Uint64N(last-64))
			out, err := l.Entries(lo, lo+64, 1<<30, dst)
			if err != nil || len(out) != 64 {
				b.Fatal(err)
			}
		}
	})
}

func benchLookup(b *testing.B, l *Log, dst []segment.Entry) {
	r := rand.New(rand.NewPCG(1, 1))
	end := l.NextOffset()
	b.Run("random/offset", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			off := Offset(r.Int64N(int64(end)))
			out, ref, err := l.Read(off, end, 1, dst)
			if err != nil || len(out) != 1 || out[0].BaseOffset != off {
				b.Fatal(err, out)
			}
			ref.Release()
		}
	})
	b.Run("random/timestamp", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			ts := r.Int64N(int64(end))
			e, ref, ok, err := l.FindTimestamp(ts, 0)
			if err != nil || !ok || e.MaxTimestamp != ts {
				b.Fatal(err, e)
			}
			ref.Release()
		}
	})
	b.Run("random/term", func(b *testing.B) {
		b.ReportAllocs()
		last := uint64(l.LastIndex())
		for range b.N {
			if t, err := l.Term(Index(1 + r.Uint64N(last))); t != 1 || err != nil {
				b.Fatal(t, err)
			}
		}
	})
}

// BenchmarkOpen opens the log of BenchmarkRead after a clean close, and after
// a kill: nothing but the unsealed tail is read.
func BenchmarkOpen(b *testing.B) {
	for _, clean := range []bool{true, false} {
		b.Run(fmt.Sprintf("clean=%v", clean), func(b *testing.B) {
			dir := b.TempDir()
			l := filled(b, dir)
			if clean {
				must(b, l.Close())
			} else { // kill -9 under traffic: all but the last append was synced
				must(b, l.SyncWait())
				must(b, l.Append([]segment.Entry{next(l, random(1<<10))}))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				o, _, err := Open(Options{Dir: dir})
				must(b, err)
				for _, s := range o.view.Load().segs { // as a kill would: no mark, no sync
					s.Release()
				}
			}
		})
	}
}
