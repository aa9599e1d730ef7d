package segment

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"chronik/internal/vfs"
)

var update = flag.Bool("update", false, "write the golden file and print its dump")

// The example of FORMAT.md.
var goldenEntries = []Entry{
	{Index: 1, Term: 1, Kind: KindData, BaseOffset: 0, MaxTimestamp: -1},
	{Index: 2, Term: 1, Kind: KindData, BaseOffset: 0, Count: 3, MaxTimestamp: 1700000000000, Payload: []byte("three records")},
	{Index: 3, Term: 2, Kind: KindConfV2, BaseOffset: 3, MaxTimestamp: -1, Payload: []byte{0x22, 0}},
}

const goldenSalt = 0x5a17c0de

func goldenSegment(t *testing.T, fsys vfs.FS, path string) Meta {
	t.Helper()
	a, err := Create(CreateOptions{FS: fsys, Path: path, ID: 7, Salt: goldenSalt, BaseIndex: 1, Now: 1700000000001, Capacity: 1 << 20})
	must(t, err)
	defer a.Release()
	for i, e := range goldenEntries {
		if n, err := a.Append([]Entry{e}, 1700000000002); n != 1 || err != nil {
			t.Fatalf("append %d: %d, %v", i, n, err)
		}
		if i == 1 {
			must(t, a.Sync())
		}
	}
	meta, err := a.Seal(3, []byte("owner"))
	must(t, err)
	return meta
}

// dump prints b as FORMAT.md shows it: 16 bytes a line, runs of zero lines as
// one star, the length at the end.
func dump(b []byte) string {
	var out strings.Builder
	star := false
	for p := 0; p < len(b); p += 16 {
		line := b[p:min(p+16, len(b))]
		if p > 0 && len(bytes.Trim(line, "\x00")) == 0 {
			if !star {
				out.WriteString("*\n")
			}
			star = true
			continue
		}
		star = false
		fmt.Fprintf(&out, "%04x  % x\n", p, line)
	}
	fmt.Fprintf(&out, "%04x\n", len(b))
	return out.String()
}

// undump reads what dump wrote out of the first block fenced as ```hex.
func undump(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	var out []byte
	in := false
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Text()
		switch {
		case line == "```hex":
			in = true
			continue
		case !in || line == "*":
			continue
		case line == "```":
			return out
		}
		addr, rest, _ := strings.Cut(line, "  ")
		at, err := strconv.ParseUint(addr, 16, 32)
		must(t, err)
		for uint64(len(out)) < at {
			out = append(out, 0)
		}
		b, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
		must(t, err)
		out = append(out, b...)
	}
	t.Fatalf("%s has no complete hex block", path)
	return nil
}

// TestGolden parses the example of FORMAT.md, opens what version 1 wrote
// (testdata) and compares both with what this build writes.
func TestGolden(t *testing.T) {
	m := vfs.NewMem()
	meta := goldenSegment(t, m, "a.seg")
	now, err := vfs.ReadFile(m, "a.seg", 1<<20)
	must(t, err)
	const file = "testdata/v1.seg"
	if *update {
		must(t, os.WriteFile(file, now, 0o644))
		fmt.Print(dump(now))
	}
	stored, err := os.ReadFile(file)
	must(t, err)
	if doc := undump(t, "FORMAT.md"); !bytes.Equal(doc, stored) {
		t.Fatalf("FORMAT.md and %s differ", file)
	}
	if !bytes.Equal(now, stored) {
		t.Fatalf("this build writes other bytes than version 1:\n%s", dump(now))
	}
	s := OpenSealed(vfs.OS, nil, file, meta)
	defer s.Release()
	for i, want := range goldenEntries {
		var got Entry
		must(t, s.Frame(i, &got))
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("frame %d: %+v, want %+v", i, got, want)
		}
	}
	if blob, err := s.Checkpoint(); err != nil || string(blob) != "owner" {
		t.Fatalf("checkpoint %q, %v", blob, err)
	}
	runs, err := s.Terms(nil)
	if err != nil || fmt.Sprint(runs) != "[{1 1 0} {2 3 3}]" {
		t.Fatalf("terms %v, %v", runs, err)
	}
	if want := (Meta{ID: 7, Salt: goldenSalt, Frames: 3, BaseIndex: 1, NextOffset: 3, DataEnd: 4096 + 64 + 80 + 72,
		Footer: 4096 + 64 + 80 + 72 + 3*16 + 2*24 + 8, MaxTimestamp: 1700000000000, FirstAppend: 1700000000002}); meta != want {
		t.Fatalf("meta %+v, want %+v", meta, want)
	}
}
