package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if child, err := filling(); child {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestQuick runs every row with every contender, a few operations each, and
// reads everything back: the contenders give what they were given, also after
// they were opened again.
func TestQuick(t *testing.T) {
	var out, diag bytes.Buffer
	name := filepath.Join(t.TempDir(), "quick")
	if err := run([]string{"-quick", "-dir", t.TempDir(), "-out", name}, &out, &diag); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), diag.String())
	}
	for _, c := range contenders {
		if !strings.Contains(out.String(), " "+c.name+" ") {
			t.Errorf("no row of %s in:\n%s", c.name, out.String())
		}
	}
	text, err := os.ReadFile(name + ".txt")
	if err != nil || string(text) != out.String() {
		t.Errorf("%s.txt has %d bytes, %d were printed (%v)", name, len(text), out.Len(), err)
	}
	plot, err := os.ReadFile(name + ".svg")
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(plot, new(struct{})); err != nil || len(plot) > 200<<10 {
		t.Errorf("the plot has %d bytes: %v", len(plot), err)
	}
}

// TestUnsyncedOutlivesTheProcess holds what the unsynced rows compare: those
// that are not marked have given each append to the system when it returns.
func TestUnsyncedOutlivesTheProcess(t *testing.T) {
	const bytes = 10 * recoverSize
	b := new(bench)
	defer b.shared.close()
	for _, c := range contenders {
		if c.raw {
			continue
		}
		dir := filepath.Join(t.TempDir(), c.name)
		if err := refill(c, dir, bytes, leftUnsynced); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		l, err := c.open(dir, options{sync: true, shared: &b.shared})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		n := 0
		if err := l.ReadAll(func(uint64, []byte) error { n++; return nil }); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		t.Logf("%s: %d of 10 entries", c.name, n)
		if !c.keeps && n != 10 {
			t.Errorf("%s: %d of 10 unsynced entries are there after the process was gone", c.name, n)
		}
		if err := l.Close(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// liar forgets the last byte of what it was given.
type liar struct{ log }

func (l liar) ReadAll(use func(uint64, []byte) error) error {
	return l.log.ReadAll(func(i uint64, p []byte) error { return use(i, p[:len(p)-1]) })
}

// TestVerifySees holds that the comparison in TestQuick can fail: at damaged
// entries, missing ones, and too many.
func TestVerifySees(t *testing.T) {
	b := new(bench)
	defer b.shared.close()
	l, err := openChronik(t.TempDir(), options{shared: &b.shared})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e, last, err := fill(l, 1000, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(l, e, last); err != nil {
		t.Error(err)
	}
	if verify(liar{l}, e, last) == nil {
		t.Error("entries that lack a byte pass")
	}
	if verify(l, e, last+1) == nil || verify(l, e, last-1) == nil {
		t.Error("a wrong number of entries passes")
	}
}
