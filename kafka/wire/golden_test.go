package wire

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// primitive reads one value and writes it again; the string is the value as the golden
// file shows it (Go's %v; bytes in hex; null is <nil>).
type primitive struct {
	read  func(r *Reader) string
	write func(w *Writer, r *Reader)
}

func prim[T any](read func(r *Reader) T, write func(w *Writer, v T), show func(v T) string) primitive {
	return primitive{
		func(r *Reader) string { return show(read(r)) },
		func(w *Writer, r *Reader) { write(w, read(r)) },
	}
}

func plain[T any](v T) string { return fmt.Sprint(v) }

func showNull(s NullString) string {
	if !s.Valid {
		return "<nil>"
	}
	return s.String
}

func showBytes(b []byte) string {
	if b == nil {
		return "<nil>"
	}
	return hex.EncodeToString(b)
}

func showLen(n int) string {
	if n < 0 {
		return "<nil>"
	}
	return fmt.Sprint(n)
}

func strPrim(flex, null bool) primitive {
	return prim(func(r *Reader) NullString { return r.NullString(flex, null) },
		func(w *Writer, v NullString) { w.NullString(v, flex, null) }, showNull)
}

func bytesPrim(flex, null bool) primitive {
	return prim(func(r *Reader) []byte { return r.NullBytes(flex, null) },
		func(w *Writer, v []byte) { w.NullBytes(v, flex, null) }, showBytes)
}

// lenPrim reads a count in front of nothing, which ArrayLen would refuse.
func lenPrim(flex, null bool) primitive {
	count := func(r *Reader) int {
		n, at := r.count(r.Pos(), flex)
		r.Seek(at)
		return n
	}
	return prim(count,
		func(w *Writer, n int) { w.NullArrayLen(n, n < 0, flex, null) }, showLen)
}

var primitives = map[string]primitive{
	"unsigned_varint":            prim((*Reader).Uvarint, (*Writer).Uvarint, plain),
	"varint_zigzag32":            prim((*Reader).Varint, (*Writer).Varint, plain),
	"varlong_zigzag64":           prim((*Reader).Varlong, (*Writer).Varlong, plain),
	"bool":                       prim((*Reader).Bool, (*Writer).Bool, plain),
	"int8":                       prim((*Reader).Int8, (*Writer).Int8, plain),
	"int16":                      prim((*Reader).Int16, (*Writer).Int16, plain),
	"uint16":                     prim((*Reader).Uint16, (*Writer).Uint16, plain),
	"int32":                      prim((*Reader).Int32, (*Writer).Int32, plain),
	"uint32":                     prim((*Reader).Uint32, (*Writer).Uint32, plain),
	"int64":                      prim((*Reader).Int64, (*Writer).Int64, plain),
	"float64":                    prim((*Reader).Float64, (*Writer).Float64, plain),
	"string":                     strPrim(false, false),
	"nullable_string":            strPrim(false, true),
	"compact_string":             strPrim(true, false),
	"compact_nullable_string":    strPrim(true, true),
	"bytes":                      bytesPrim(false, false),
	"nullable_bytes":             bytesPrim(false, true),
	"compact_bytes":              bytesPrim(true, false),
	"compact_nullable_bytes":     bytesPrim(true, true),
	"array_len":                  lenPrim(false, false),
	"nullable_array_len":         lenPrim(false, true),
	"compact_array_len":          lenPrim(true, false),
	"compact_nullable_array_len": lenPrim(true, true),
}

func TestGoldenPrimitives(t *testing.T) {
	f, err := os.Open("testdata/primitives.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	n, seen := 0, map[string]bool{}
	for s := bufio.NewScanner(z); s.Scan(); n++ {
		var v struct {
			Name, Hex string
			Fields    any
		}
		d := json.NewDecoder(bytes.NewReader(s.Bytes()))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		p, ok := primitives[v.Name]
		if !ok {
			t.Fatalf("no primitive %s", v.Name)
		}
		seen[v.Name] = true
		raw, err := hex.DecodeString(v.Hex)
		if err != nil {
			t.Fatal(err)
		}
		r := NewReader(raw)
		got, want := p.read(&r), fmt.Sprint(v.Fields)
		if err := r.Done(); err != nil || got != want {
			t.Errorf("%s %s: got %s, %v; want %s", v.Name, v.Hex, got, err, want)
		}
		var w Writer
		r.Reset(raw)
		p.write(&w, &r)
		if w.Err() != nil || !bytes.Equal(w.Bytes(), raw) {
			t.Errorf("%s %s: wrote %x, %v; want %s", v.Name, want, w.Bytes(), w.Err(), v.Hex)
		}
		for cut := range raw { // each prefix is too short
			r.Reset(raw[:cut])
			p.read(&r)
			if r.Err() == nil {
				t.Errorf("%s %x: no error", v.Name, raw[:cut])
			}
		}
	}
	t.Logf("primitives: %d vectors of %d types", n, len(seen))
	if n != 56 {
		t.Errorf("%d vectors checked, want 56", n)
	}
	if len(seen) != len(primitives) {
		t.Errorf("only %d of %d types have a vector", len(seen), len(primitives))
	}
}
