package inspect

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chronik/internal/vfs"
)

var update = flag.Bool("update", false, "write the golden files")

// TestGolden reads the directory that version 1 wrote, from the real file
// system, and compares every answer about it with the committed one.
func TestGolden(t *testing.T) {
	if *update {
		m := vfs.NewMem()
		build(t, m, "/log")
		must(t, os.MkdirAll("testdata/v1", 0o755))
		for name, b := range files(t, m, "/log") {
			must(t, os.WriteFile(filepath.Join("testdata/v1", name), b, 0o644))
		}
	}
	golden := func(name, got string) {
		t.Helper()
		file := filepath.Join("testdata", name)
		if *update {
			must(t, os.WriteFile(file, []byte(got), 0o644))
		}
		want, err := os.ReadFile(file)
		must(t, err)
		if got != string(want) {
			t.Errorf("%s:\n%s\nwant\n%s", file, got, want)
		}
	}
	o := Options{Clock: hurried{}}
	reports, err := Verify(t.Context(), "testdata/v1", o)
	must(t, err)
	golden("verify.json", asJSON(t, reports))
	logs, err := Inspect(t.Context(), "testdata/v1", o)
	must(t, err)
	golden("inspect.json", asJSON(t, logs))
	o.Records = true
	for _, form := range []string{"table", "json"} {
		var out bytes.Buffer
		must(t, Print(t.Context(), &out, "testdata/v1", o, form))
		golden("dump."+strings.Replace(form, "table", "txt", 1), out.String())
	}
	_, rows := logs.Table()
	_, more := reports.Table()
	var text strings.Builder
	for _, row := range append(rows, more...) {
		text.WriteString(strings.Join(row, "\t") + "\n")
	}
	golden("tables.txt", text.String())
}

// TestDumpRange: frames, batches and records at offsets in [from, to).
func TestDumpRange(t *testing.T) {
	m := vfs.NewMem()
	build(t, m, "/log")
	for _, test := range []struct {
		from, to        int64
		frames, batches int
		records         []int64
	}{
		{0, 0, 7, 7, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{3, 6, 1, 2, []int64{3, 4, 5}},
		{9, 11, 1, 1, []int64{9, 10}},
		{12, 0, 0, 0, nil},
		{0, 1, 2, 1, []int64{0}},
		{8, math.MaxInt64, 3, 3, []int64{8, 9, 10, 11}},
	} {
		frames, batches, records := 0, 0, []int64(nil)
		err := Dump(t.Context(), "/log", Options{FS: m, Records: true, From: test.from, To: test.to}, func(l Line) error {
			switch {
			case l.Frame != nil:
				frames++
			case l.Batch != nil:
				batches++
			default:
				records = append(records, l.Record.Offset)
			}
			return nil
		})
		must(t, err)
		if frames != test.frames || batches != test.batches || len(records) != len(test.records) {
			t.Errorf("[%d, %d): %d frames, %d batches, records %v; want %+v", test.from, test.to, frames, batches, records, test)
		}
		for i := range min(len(records), len(test.records)) {
			if records[i] != test.records[i] {
				t.Errorf("[%d, %d): records %v, want %v", test.from, test.to, records, test.records)
				break
			}
		}
	}
}

// TestDumpEndsAtDamage: what stands before it is printed, then the error.
func TestDumpEndsAtDamage(t *testing.T) {
	content := change(small(t), first, func(b []byte) { b[4096+64+70] ^= 1 })
	var out bytes.Buffer
	err := Print(t.Context(), &out, "/log", Options{FS: store(t, "/log", content), Clock: hurried{}}, "json")
	if err == nil || !strings.Contains(err.Error(), first+" at 4160: frame hash") {
		t.Errorf("error %v", err)
	}
	if got := strings.Count(out.String(), "\n"); got != 1 || !strings.Contains(out.String(), `"index":1`) {
		t.Errorf("printed %s", out.String())
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain é 漢": "plain é 漢", "a\\b": `a\\b`, "\n\r\t": `\n\r\t`, "\x00\xff": `\x00\xff`, `"`: `"`, "\u200b": `\xe2\x80\x8b`, "\ufffd": "\ufffd",
	} {
		if got := *Escape([]byte(in)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	if Escape(nil) != nil {
		t.Error("null is not null")
	}
}
