package wal

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chronik/internal/vfs"
	"chronik/segment"

	"golang.org/x/sys/unix"
)

// BenchmarkColdRead has eight readers at random, or one from front to back,
// read a log of 256 MiB that is not in the page cache, each frame of 64 KiB
// hashed, and reports how late a timer of 1 ms is meanwhile. faults=true
// touches the pages as they are, which is what a mapping without Load does;
// idle is the machine without readers. A round ends when as much was read as
// there is; ns/op is a read.
func BenchmarkColdRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "log")
	l := open(b, Options{Dir: path, SegmentBytes: func() int64 { return 64 << 20 }})
	payload := random(64 << 10)
	one := make([]segment.Entry, 1)
	for range coldFrames {
		one[0] = next(l, payload)
		must(b, l.Append(one))
	}
	must(b, l.Roll())
	must(b, l.Close())
	b.Run("idle", func(b *testing.B) {
		lateness(b, func(watch *atomic.Bool) {
			watch.Store(true)
			for range b.N {
				<-time.After(time.Millisecond)
			}
		})
	})
	for _, readers := range []int{8, 1} {
		for _, faults := range []bool{true, false} {
			b.Run(fmt.Sprintf("readers=%d/faults=%v", readers, faults), func(b *testing.B) {
				fsys := vfs.NewFaulty(vfs.OS, func(op vfs.Op, _ string) error {
					if op == vfs.OpLoad && faults {
						return vfs.ErrUnloaded
					}
					return nil
				})
				b.SetBytes(64 << 10)
				lateness(b, func(watch *atomic.Bool) { readCold(b, fsys, path, readers, watch) })
			})
		}
	}
}

const coldFrames = 4096

// dropCache has the kernel forget the pages of a directory's files, which must
// be clean and not be mapped.
func dropCache(b *testing.B, dir string) {
	names, err := vfs.OS.ReadDir(dir)
	must(b, err)
	for _, name := range names {
		f, err := os.Open(filepath.Join(dir, name))
		must(b, err)
		must(b, unix.Fdatasync(int(f.Fd())))
		must(b, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		f.Close()
	}
}

// readCold reads b.N frames, the log dropped from the page cache before each
// round over all of them.
func readCold(b *testing.B, fsys vfs.FS, path string, readers int, watch *atomic.Bool) {
	for n := b.N; n > 0; {
		b.StopTimer()
		dropCache(b, path)
		l, _, err := Open(Options{FS: fsys, Dir: path})
		must(b, err)
		order := rand.Perm(coldFrames)[:min(n, coldFrames)]
		if readers == 1 {
			slices.Sort(order)
		}
		n -= len(order)
		var taken atomic.Int64
		var wg sync.WaitGroup
		watch.Store(true)
		b.StartTimer()
		for range readers {
			wg.Go(func() {
				dst := make([]segment.Entry, 0, 4)
				for {
					i := int(taken.Add(1)) - 1
					if i >= len(order) {
						return
					}
					_, ref, err := l.Read(Offset(order[i]), l.NextOffset(), 1, dst)
					if err != nil {
						b.Error(err)
						return
					}
					ref.Release()
				}
			})
		}
		wg.Wait()
		b.StopTimer()
		watch.Store(false)
		must(b, l.Close())
	}
}

// lateness runs work beside a timer of 1 ms and reports how late it was while
// work had it watched.
func lateness(b *testing.B, work func(watch *atomic.Bool)) {
	var watch atomic.Bool
	stop, stopped := make(chan struct{}), make(chan struct{})
	var late []time.Duration
	go func() {
		defer close(stopped)
		for {
			due, before := time.Now().Add(time.Millisecond), watch.Load()
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				if before && watch.Load() {
					late = append(late, time.Since(due))
				}
			}
		}
	}()
	b.ResetTimer()
	work(&watch)
	b.StopTimer()
	close(stop)
	<-stopped
	if slices.Sort(late); len(late) > 0 {
		for name, at := range map[string]int{"late-p50-us": len(late) / 2, "late-p99-us": len(late) * 99 / 100, "late-max-us": len(late) - 1} {
			b.ReportMetric(float64(late[at].Nanoseconds())/1e3, name)
		}
	}
}
