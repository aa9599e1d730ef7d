package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Range is a closed range of protocol versions.
type Range struct{ Lo, Hi int }

const unbounded = math.MaxInt16

func (r Range) contains(o Range) bool { return r.Lo <= o.Lo && o.Hi <= r.Hi }

func (r Range) intersect(o Range) Range { return Range{max(r.Lo, o.Lo), min(r.Hi, o.Hi)} }

func (r Range) empty() bool { return r.Lo > r.Hi }

// parseRange reads "3", "3-7" or "3+".
func parseRange(s string) (Range, error) {
	lo, hi, isRange := strings.Cut(s, "-")
	if !isRange {
		if t, ok := strings.CutSuffix(s, "+"); ok {
			lo, hi = t, strconv.Itoa(unbounded)
		} else {
			hi = lo
		}
	}
	a, err := strconv.Atoi(lo)
	if err != nil {
		return Range{}, fmt.Errorf("version range %q: %w", s, err)
	}
	b, err := strconv.Atoi(hi)
	if err != nil {
		return Range{}, fmt.Errorf("version range %q: %w", s, err)
	}
	if a < 0 || a > b {
		return Range{}, fmt.Errorf("version range %q is empty", s)
	}
	return Range{a, b}, nil
}

// File is one definition file: the two messages of an API, the records of a coordinator, or
// data messages.
type File struct {
	Path     string
	Key      int // -1 if no API
	API      string
	Records  string // of which coordinator; "" if none
	Messages []*Message
}

// Message is a request, a response, key or value of a record, or data embedded elsewhere.
type Message struct {
	Kind     string // "request", "response", "key", "value", "data"
	Record   int    // number of the record type, of a key or value
	Versions Range
	Flex     int // first flexible version; unbounded if none
	Root     *Struct
	Structs  []*Struct // in order of definition, Root first
}

// Struct becomes a Go type of the same name.
type Struct struct {
	Name     string
	Versions Range // in which it can occur
	Fields   []*Field
	// NeedsDefault is set if something must know whether a value is all defaults.
	NeedsDefault bool
	// Single is set if a message or a field is one, Element if an array holds them.
	Single, Element bool
}

// Field is one field of a struct.
type Field struct {
	Name      string
	Type      string // of the value or of an array's element
	Array     bool
	Struct    *Struct // if Type names one
	Versions  Range
	Null      Range // versions that allow null; empty if none
	Tag       int   // -1: not a tagged field
	Default   string
	Ignorable bool // dropped, not refused, by versions that lack it
}

// number is what a message is found by: its API key, the number of its record type, or -1.
func (f *File) number(m *Message) int {
	if m.Kind == "key" || m.Kind == "value" {
		return m.Record
	}
	return f.Key
}

func (f *Field) nullable() bool { return !f.Null.empty() }

// scalars maps the types of fixed size to their Go type, size and Reader/Writer method.
var scalars = map[string]struct {
	goType string
	size   int
	method string
}{
	"bool": {"bool", 1, "Bool"}, "int8": {"int8", 1, "Int8"}, "int16": {"int16", 2, "Int16"},
	"uint16": {"uint16", 2, "Uint16"}, "int32": {"int32", 4, "Int32"}, "uint32": {"uint32", 4, "Uint32"},
	"int64": {"int64", 8, "Int64"}, "float64": {"float64", 8, "Float64"}, "uuid": {"wire.UUID", 16, "UUID"},
}

// elementType is the Go type of the value, or of an element if the field is an array.
func (m *Message) elementType(f *Field) string {
	switch {
	case f.Struct != nil:
		return f.Type
	case f.Type == "string" && f.nullable() && !f.Array:
		return "wire.NullString"
	case f.Type == "string":
		return "string"
	case f.Type == "records" && m.Kind == "response":
		return "wire.Records"
	case f.Type == "bytes" || f.Type == "records":
		return "[]byte"
	}
	return scalars[f.Type].goType
}

// goType is the Go type of the field.
func (m *Message) goType(f *Field) string {
	t := m.elementType(f)
	if f.Array {
		return "[]" + t
	}
	if f.Struct != nil && f.nullable() {
		return "*" + t
	}
	return t
}

// minBytes is the least that one value of the field (one element, if element is true)
// takes on the wire in version v.
func (m *Message) minBytes(f *Field, v int, element bool) int {
	flex := v >= m.Flex
	short := func(n int) int {
		if flex {
			return 1
		}
		return n
	}
	switch {
	case f.Array && !element:
		return short(4)
	case f.Struct != nil && f.nullable() && !f.Array:
		return 1
	case f.Struct != nil:
		return m.structMinBytes(f.Struct, v)
	case f.Type == "string":
		return short(2)
	case f.Type == "bytes" || f.Type == "records":
		return short(4)
	}
	return scalars[f.Type].size
}

func (m *Message) structMinBytes(s *Struct, v int) int {
	n := 0
	if v >= m.Flex {
		n = 1
	}
	for _, f := range s.Fields {
		if f.Tag < 0 && f.Versions.Lo <= v && v <= f.Versions.Hi {
			n += m.minBytes(f, v, false)
		}
	}
	return n
}

// elementMinBytes is the least that an element of an array takes in any version.
func (m *Message) elementMinBytes(f *Field) (int, error) {
	least := math.MaxInt
	for v := f.Versions.Lo; v <= f.Versions.Hi; v++ {
		least = min(least, m.minBytes(f, v, true))
	}
	if least < 1 {
		return 0, fmt.Errorf("%s: an element of %s can take no bytes", m.Root.Name, f.Name)
	}
	return least, nil
}
