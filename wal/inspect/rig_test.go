package inspect

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"time"

	"chronik/internal/clock"
	"chronik/internal/vfs"
	"chronik/kafka/batch"
	"chronik/segment"
	"chronik/wal"
)

var le = binary.LittleEndian

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hurried is a clock on which no time passes: whoever sleeps goes on at once.
type hurried struct {
	clock.Clock
	slept func() // nil: nothing
}

func (h hurried) AfterFunc(_ time.Duration, f func()) clock.Timer {
	if h.slept != nil {
		h.slept()
	}
	return clock.Real.AfterFunc(0, f)
}

// producer makes entries that continue a log.
type producer struct {
	index segment.Index
	next  segment.Offset
	term  segment.Term
}

// watched calls open and read before a file is opened or read.
type watched struct {
	vfs.FS
	open func(name string)
	read func(name string, off int64)
}

func (w *watched) OpenReadOnly(name string) (vfs.File, error) {
	if w.open != nil {
		w.open(name)
	}
	f, err := w.FS.OpenReadOnly(name)
	return &watchedFile{f, w, name}, err
}

type watchedFile struct {
	vfs.File
	w    *watched
	name string
}

func (f *watchedFile) ReadAt(b []byte, off int64) (int, error) {
	if f.w.read != nil {
		f.w.read(f.name, off)
	}
	return f.File.ReadAt(b, off)
}

// records is an entry of batches with so many records each.
func (p *producer) records(t testing.TB, codec batch.Codec, counts ...int) segment.Entry {
	t.Helper()
	p.index++
	e := segment.Entry{Index: p.index, Term: p.term, Kind: segment.KindData, BaseOffset: p.next, MaxTimestamp: -1}
	for _, count := range counts {
		var b batch.Builder
		for range count {
			n := int64(p.next)
			timestamp := 1700000000000 + n
			b.Add(timestamp, fmt.Append(nil, "key", n), fmt.Append(nil, "value \\ ", n, "\n\xff"), batch.Header{Key: []byte("h"), Value: nil})
			e.MaxTimestamp = timestamp
			p.next++
		}
		o := batch.Plain(codec)
		o.BaseOffset, o.LeaderEpoch = int64(p.next)-int64(count), int32(p.term)-1
		var err error
		e.Payload, err = b.Build(e.Payload, o)
		must(t, err)
		e.Count += uint32(count)
	}
	return e
}

func (p *producer) empty() segment.Entry {
	p.index++
	return segment.Entry{Index: p.index, Term: p.term, Kind: segment.KindData, BaseOffset: p.next, MaxTimestamp: -1}
}

// build makes a log in dir: a sealed segment with a checkpoint, one whose end
// was cut off, and an active one; two terms; a clean end when closed.
func build(t testing.TB, fsys vfs.FS, dir string) {
	t.Helper()
	l, _, err := wal.Open(wal.Options{FS: fsys, Dir: dir, Clock: clock.NewManual(time.UnixMilli(1700000000000)),
		Rand: rand.New(rand.NewPCG(1, 2)), Checkpoint: func(end wal.Offset) []byte { return fmt.Append(nil, "as of ", end) }})
	must(t, err)
	p := &producer{term: 1}
	must(t, l.Append([]segment.Entry{p.empty(), p.records(t, batch.None, 2), p.records(t, batch.Zstd, 3, 1)}))
	must(t, l.Roll())
	must(t, l.Append([]segment.Entry{p.records(t, batch.LZ4, 2)}))
	kept := *p
	must(t, l.Append([]segment.Entry{p.records(t, batch.None, 1)}))
	must(t, l.TruncateFrom(kept.index+1))
	*p = kept
	p.term = 3
	must(t, l.Append([]segment.Entry{p.empty(), p.records(t, batch.None, 1, 2)}))
	must(t, l.SyncWait())
	must(t, l.SetStart(1)) // the manifest knows the frames up to here as durable, the mark those behind
	must(t, l.Append([]segment.Entry{p.records(t, batch.None, 1)}))
	must(t, l.SyncWait())
	must(t, l.Close())
}

// files reads all files of a directory.
func files(t testing.TB, fsys vfs.FS, dir string) map[string][]byte {
	t.Helper()
	names, err := fsys.ReadDir(dir)
	must(t, err)
	out := map[string][]byte{}
	for _, name := range names {
		b, err := vfs.ReadFile(fsys, path.Join(dir, name), 1<<30)
		must(t, err)
		out[name] = b
	}
	return out
}

// store makes a directory of files in memory.
func store(t testing.TB, dir string, content map[string][]byte) *vfs.Mem {
	t.Helper()
	m := vfs.NewMem()
	must(t, m.MkdirAll(dir))
	for name, b := range content {
		f, err := m.Create(path.Join(dir, name))
		must(t, err)
		_, err = f.WriteAt(b, 0)
		must(t, err)
		must(t, f.Close())
	}
	return m
}

// verifyOne verifies what has exactly one log, and checks that the error
// belongs to the report.
func verifyOne(t testing.TB, fsys vfs.FS, name string) Report {
	t.Helper()
	reports, err := Verify(t.Context(), name, Options{FS: fsys, Clock: hurried{}})
	if len(reports) != 1 {
		t.Fatalf("%d reports: %v", len(reports), err)
	}
	r := reports[0]
	if (r.Damage == nil) != (r.State == Clean) {
		t.Fatalf("%s with damage %v", r.State, r.Damage)
	}
	var d *Damage
	if failed := r.State == Corrupt || r.State == NewerMade; failed != errors.As(err, &d) || (failed && *d != *r.Damage) {
		t.Fatalf("%s: %v with error %v", r.State, r.Damage, err)
	}
	return r
}

func (r *Report) covers(name string, at int) bool {
	for _, room := range r.Room {
		if path.Base(room.Path) == name && room.Position <= int64(at) && int64(at) < room.Position+room.Bytes {
			return true
		}
	}
	return false
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	must(t, err)
	return strings.TrimSpace(string(b)) + "\n"
}
