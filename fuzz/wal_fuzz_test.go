package fuzz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal"

	"github.com/cespare/xxhash/v2"
)

// FuzzWALRecovery edits the files of a log of several segments: each edit
// names a file, a position and a byte; files may be cut or removed, and the
// manifest's hash may be made good again.
//
// Invariants checked: no panic, no hang, memory bounded by the input; the answer
// is a log, corruption or a newer version; what an opened log serves is what was written; an opened log
// takes an append and opens again.
func FuzzWALRecovery(f *testing.F) {
	files := logFiles(f)
	f.Add([]byte{}, false)
	f.Add([]byte{0, 0, 16, 1, 3, 0, 40, 7}, true)
	f.Add([]byte{0x80, 1, 0, 0}, false)
	f.Add([]byte{0x41, 0x10, 0, 0}, false)
	f.Fuzz(func(t *testing.T, edits []byte, rehash bool) {
		m := vfs.NewMem()
		if err := m.MkdirAll("/log"); err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, file := range damaged(files, edits, rehash) {
			total += len(file.b)
			w, err := m.Create("/log/" + file.name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.WriteAt(file.b, 0); err != nil {
				t.Fatal(err)
			}
		}
		bounded(t, total, func() { openDamaged(t, m) })
	})
}

// FuzzWALDirectory takes arbitrary bytes for a manifest and for the files of two
// segments, under the names that the manifest gives them; with rehash, hashes
// are made good, so that the bytes behind them are reached.
//
// Invariants checked: no panic, no hang, memory bounded by the input; the answer
// is a log, corruption or a newer version; reading an opened log gives entries
// or refuses; it takes an append, unless indexes or offsets are at their end, and
// opens again with it.
func FuzzWALDirectory(f *testing.F) {
	files := map[string][]byte{}
	for _, file := range logFiles(f) {
		files[file.name] = file.b
	}
	first, second := files[wal.SegmentName(1)], files[wal.SegmentName(2)]
	f.Add(files[wal.ManifestName], first, second, false)
	f.Add(files[wal.ManifestName], second, first, true)
	f.Add([]byte{}, []byte{}, []byte{1}, true)
	f.Fuzz(func(t *testing.T, manifest, first, second []byte, rehash bool) {
		m := vfs.NewMem()
		if err := m.MkdirAll("/log"); err != nil {
			t.Fatal(err)
		}
		manifest = bytes.Clone(manifest)
		if rehash && len(manifest) > 20 {
			binary.LittleEndian.PutUint32(manifest[8:], 0x4e414d43)
			binary.LittleEndian.PutUint32(manifest[16:], uint32(len(manifest)))
			binary.LittleEndian.PutUint64(manifest, xxhash.Sum64(manifest[8:]))
		}
		names := []string{wal.SegmentName(1), wal.SegmentName(2)}
		for i := range names { // as the manifest has them
			if at := 80 + 96*i; len(manifest) >= at+8 {
				names[i] = wal.SegmentName(binary.LittleEndian.Uint64(manifest[at:]))
			}
		}
		total := 0
		for name, b := range map[string][]byte{wal.ManifestName: manifest, names[0]: first, names[1]: second} {
			w, err := m.Create("/log/" + name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.WriteAt(b, 0); err != nil {
				t.Fatal(err)
			}
			total += len(b)
		}
		bounded(t, total, func() { openAnything(t, m) })
	})
}

// openAnything opens a log of which nothing is known, reads of it and goes on.
func openAnything(t *testing.T, m *vfs.Mem) {
	l, _, err := wal.Open(fuzzLogOptions(m))
	if err != nil {
		if !refused(err) {
			t.Fatalf("neither corrupt nor newer: %v", err)
		}
		return
	}
	first, last := l.FirstIndex(), l.LastIndex()
	for i := first; i <= last && i < first+64; i++ {
		if out, err := l.Entries(i, i+1, 1, nil); err != nil && !refused(err) {
			t.Fatalf("entry %d: %v", i, err)
		} else if err == nil && out[0].Index != i {
			t.Fatalf("entry %d was asked for, %d served", i, out[0].Index)
		}
	}
	if _, ref, err := l.Read(l.StartOffset(), l.NextOffset(), 1<<16, nil); err == nil {
		ref.Release()
	} else if !refused(err) {
		t.Fatalf("read: %v", err)
	}
	term, err := l.Term(last)
	e := segment.Entry{Index: last + 1, Term: term, Kind: segment.KindData, BaseOffset: l.NextOffset(), Payload: []byte("on")}
	if far := segment.Index(1 << 62); err != nil || last > far || int64(l.NextOffset()) > 1<<62 {
		l.Close()
		return
	}
	if err := l.Append([]segment.Entry{e}); err != nil {
		t.Fatalf("append: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	l, rec, err := wal.Open(fuzzLogOptions(m))
	if err != nil || rec.TornBytes != 0 || l.LastIndex() != last+1 {
		t.Fatalf("again: %+v, %v", rec, err)
	}
}

type logFile struct {
	name string
	b    []byte
}

func fuzzPayload(i segment.Index) []byte { return bytes.Repeat(fmt.Append(nil, i, ";"), 300) }

func fuzzLogOptions(m vfs.FS) wal.Options {
	return wal.Options{FS: m, Dir: "/log", SegmentBytes: func() int64 { return 16 << 10 }, Rand: rand.New(rand.NewPCG(1, 1))}
}

func logFiles(f *testing.F) []logFile {
	m := vfs.NewMem()
	l, _, err := wal.Open(fuzzLogOptions(m))
	if err != nil {
		f.Fatal(err)
	}
	for i := segment.Index(1); i <= 30; i++ {
		e := segment.Entry{Index: i, Term: segment.Term(1 + i/8), Kind: segment.KindData, BaseOffset: segment.Offset(i - 1), Count: 1, MaxTimestamp: int64(i), Payload: fuzzPayload(i)}
		if err := l.Append([]segment.Entry{e}); err != nil {
			f.Fatal(err)
		}
		if err := l.SyncWait(); err != nil {
			f.Fatal(err)
		}
	}
	names, err := m.ReadDir("/log")
	if err != nil {
		f.Fatal(err)
	}
	var out []logFile
	for _, n := range names {
		b, err := vfs.ReadFile(m, "/log/"+n, 1<<20)
		if err != nil {
			f.Fatal(err)
		}
		out = append(out, logFile{n, b})
	}
	return out
}

// damaged applies quadruples (file and action, position high, low, xor).
func damaged(files []logFile, edits []byte, rehash bool) []logFile {
	out := make([]logFile, len(files))
	for i, f := range files {
		out[i] = logFile{f.name, bytes.Clone(f.b)}
	}
	for ; len(edits) >= 4; edits = edits[4:] {
		f := &out[int(edits[0]&0x3f)%len(out)]
		at := int(edits[1])<<8 | int(edits[2])
		switch {
		case edits[0]&0x80 != 0:
			f.name = "gone"
		case edits[0]&0x40 != 0:
			f.b = f.b[:min(at, len(f.b))]
		case len(f.b) > 0:
			f.b[at%len(f.b)] ^= edits[3]
		}
	}
	kept := out[:0]
	for _, f := range out {
		if f.name == "gone" {
			continue
		}
		if f.name == "MANIFEST" && rehash && len(f.b) > 20 {
			binary.LittleEndian.PutUint32(f.b[8:], 0x4e414d43)
			binary.LittleEndian.PutUint32(f.b[16:], uint32(len(f.b)))
			binary.LittleEndian.PutUint64(f.b, xxhash.Sum64(f.b[8:]))
		}
		kept = append(kept, f)
	}
	return kept
}

func refused(err error) bool {
	return errors.Is(err, segment.ErrCorrupt) || errors.Is(err, segment.ErrNewerVersion)
}

func openDamaged(t *testing.T, m *vfs.Mem) {
	l, _, err := wal.Open(fuzzLogOptions(m))
	if err != nil {
		if !refused(err) {
			t.Fatalf("neither corrupt nor newer: %v", err)
		}
		return
	}
	for i := l.FirstIndex(); i <= l.LastIndex(); i++ {
		out, err := l.Entries(i, i+1, 1, nil)
		if err != nil {
			if !refused(err) {
				t.Fatalf("entry %d: %v", i, err)
			}
			continue
		}
		if !bytes.Equal(out[0].Payload, fuzzPayload(i)) {
			t.Fatalf("entry %d was served with other bytes", i)
		}
	}
	if _, ref, err := l.Read(l.StartOffset(), l.NextOffset(), 1<<20, nil); err == nil {
		ref.Release()
	} else if !refused(err) {
		t.Fatalf("read: %v", err)
	}
	last := l.LastIndex()
	term, err := l.Term(last)
	if err != nil {
		t.Fatalf("term of the last entry: %v", err)
	}
	e := segment.Entry{Index: last + 1, Term: max(term, 1<<40), Kind: segment.KindData, BaseOffset: l.NextOffset(), Payload: []byte("on")}
	if err := l.Append([]segment.Entry{e}); err != nil {
		t.Fatalf("append: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	l, rec, err := wal.Open(fuzzLogOptions(m))
	if err != nil || rec.TornBytes != 0 || l.LastIndex() != last+1 {
		t.Fatalf("again: %+v, %v", rec, err)
	}
}
