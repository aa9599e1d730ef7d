package wal

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chronik/internal/clock"
	"chronik/internal/vfs"
	"chronik/segment"
	"chronik/wal/manifest"
)

var update = flag.Bool("update", false, "write the golden files and print the manifest's dump")

// goldenLog makes the log of FORMAT.md: three entries of two terms, the third
// cut off again, a roll, one more entry, the start moved to offset 1.
func goldenLog(t *testing.T, fsys vfs.FS, dir string) {
	t.Helper()
	l, rec, err := Open(Options{FS: fsys, Dir: dir, Clock: clock.NewManual(time.UnixMilli(1700000000000)),
		Rand: rand.New(rand.NewPCG(1, 2)), Checkpoint: func(end Offset) []byte { return fmt.Append(nil, "as of ", end) }})
	must(t, err)
	if !rec.Created {
		t.Fatalf("%+v", rec)
	}
	must(t, l.Append([]segment.Entry{
		{Index: 1, Term: 1, Kind: segment.KindData, MaxTimestamp: -1},
		{Index: 2, Term: 1, Kind: segment.KindData, Count: 2, MaxTimestamp: 1700000000005, Payload: []byte("two")},
		{Index: 3, Term: 2, Kind: segment.KindData, BaseOffset: 2, Count: 1, MaxTimestamp: 1700000000006, Payload: []byte("lost")},
	}))
	must(t, l.TruncateFrom(3))
	must(t, l.Append([]segment.Entry{{Index: 3, Term: 3, Kind: segment.KindData, BaseOffset: 2, Count: 4, MaxTimestamp: 1700000000007, Payload: []byte("four")}}))
	must(t, l.Roll())
	must(t, l.Append([]segment.Entry{{Index: 4, Term: 3, Kind: segment.KindData, BaseOffset: 6, Count: 1, MaxTimestamp: 3, Payload: []byte("last")}}))
	must(t, l.SyncWait())
	must(t, l.SetStart(1))
	must(t, l.Close())
}

func checkGolden(t *testing.T, l *Log) {
	t.Helper()
	got := fmt.Sprint(l.FirstIndex(), l.LastIndex(), l.StartOffset(), l.NextOffset(), l.LastCut(), l.Terms())
	if want := "1 4 1 7 {3 1} [{1 1 0} {3 3 2}]"; got != want {
		t.Fatalf("log is %s, want %s", got, want)
	}
	out, err := l.Entries(1, 5, 1<<20, nil)
	must(t, err)
	var text []string
	for _, e := range out {
		text = append(text, fmt.Sprintf("%d/%d@%d+%d %s", e.Index, e.Term, e.BaseOffset, e.Count, e.Payload))
	}
	if got, want := strings.Join(text, "; "), "1/1@0+0 ; 2/1@0+2 two; 3/3@2+4 four; 4/3@6+1 last"; got != want {
		t.Fatalf("entries %s, want %s", got, want)
	}
	blob, end, ok := l.Checkpoint()
	if string(blob) != "as of 6" || end != 6 || !ok {
		t.Fatalf("checkpoint %q, %d, %v", blob, end, ok)
	}
}

// TestGolden opens the directory that version 1 wrote, parses the manifest of
// FORMAT.md, and compares both with what this build writes.
func TestGolden(t *testing.T) {
	m := vfs.NewMem()
	goldenLog(t, m, "/log")
	names, err := m.ReadDir("/log")
	must(t, err)
	if *update {
		must(t, os.RemoveAll("testdata/v1"))
		must(t, os.MkdirAll("testdata/v1", 0o755))
		for _, name := range names {
			b, err := vfs.ReadFile(m, "/log/"+name, 1<<20)
			must(t, err)
			must(t, os.WriteFile("testdata/v1/"+name, b, 0o644))
			if name == manifest.Name {
				fmt.Print(dump(b))
			}
		}
	}
	dir := t.TempDir()
	stored, err := os.ReadDir("testdata/v1")
	must(t, err)
	if len(stored) != len(names) {
		t.Fatalf("version 1 has %d files, this build writes %v", len(stored), names)
	}
	for _, e := range stored {
		b, err := os.ReadFile("testdata/v1/" + e.Name())
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, e.Name()), b, 0o644))
		now, err := vfs.ReadFile(m, "/log/"+e.Name(), 1<<20)
		must(t, err)
		if !bytes.Equal(b, now) {
			t.Fatalf("%s: this build writes other bytes than version 1", e.Name())
		}
		if e.Name() == manifest.Name && !bytes.Equal(b, undump(t, "FORMAT.md")) {
			t.Fatal("the manifest of FORMAT.md and testdata differ")
		}
	}
	l, rec, err := Open(Options{Dir: dir})
	must(t, err)
	if rec.TornBytes != 0 || rec.Scanned != 1 || rec.Removed != 0 {
		t.Fatalf("%+v", rec)
	}
	checkGolden(t, l)
	must(t, l.Close())
}

func dump(b []byte) string {
	var out strings.Builder
	for p := 0; p < len(b); p += 16 {
		fmt.Fprintf(&out, "%04x  % x\n", p, b[p:min(p+16, len(b))])
	}
	return out.String()
}

// undump reads the first block fenced as ```hex.
func undump(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	var out []byte
	in := false
	for sc := bufio.NewScanner(f); sc.Scan(); {
		switch line := sc.Text(); {
		case line == "```hex":
			in = true
		case line == "```" && in:
			return out
		case in:
			_, rest, _ := strings.Cut(line, "  ")
			b, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
			must(t, err)
			out = append(out, b...)
		}
	}
	t.Fatalf("%s has no complete hex block", path)
	return nil
}
