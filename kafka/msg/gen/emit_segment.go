package main

import (
	"fmt"
	"strings"
)

// A segment is a stretch of fields without struct, tag or spliced records: room for all of
// it is made at once, from the lengths of its strings and slices, and then it is filled in
// with the Put functions. What follows it, a count or the tag section, shares its room.

// plain reports whether the field can be part of a segment. Records of a request could,
// but no request that we encode in a hurry has them.
func plain(f *Field) bool {
	switch {
	case f.Tag >= 0 || f.Struct != nil:
		return false
	case f.Array:
		return fixedSize(f.Type)
	}
	return f.Type != "records"
}

func fixedSize(kind string) bool { return scalars[kind].size > 0 }

// roomFor is the Go expression of the bytes that the fields take at most, and more.
func (e *emitter) roomFor(fields []*Field, more int, also ...string) string {
	fixed, names := more, []string(nil)
	for _, f := range fields {
		name := "x." + f.Name
		switch {
		case f.Array:
			names = append(names, fmt.Sprintf("wire.CountRoom+%d*len(%s)", scalars[f.Type].size, name))
		case f.Type == "bytes" || f.Type == "records":
			names = append(names, "wire.CountRoom+len("+name+")")
		case f.Type == "string" && f.nullable():
			names = append(names, "wire.StringRoom+len("+name+".String)")
		case f.Type == "string":
			names = append(names, "wire.StringRoom+len("+name+")")
		default:
			fixed += scalars[f.Type].size
		}
	}
	names = append(names, also...)
	if fixed > 0 {
		names = append([]string{fmt.Sprint(fixed)}, names...)
	}
	return strings.Join(names, "+")
}

// elementRoom is the bytes that an element of the current struct takes at most, or 0 if that
// depends on its value.
func (e *emitter) elementRoom() int {
	n := 1 // fewer than 128 tagged fields
	for _, f := range e.s.Fields {
		if !fixed(f) {
			return 0
		}
		n += scalars[f.Type].size
	}
	return n
}

// segment writes the fields, with room for what begins next: the count of an array, or the
// tag section.
func (e *emitter) segment(fields, next []*Field) {
	switch {
	case e.roomForAll:
		e.room = true
	case len(next) == 0 && e.flex() != "false":
		e.p("b = w.Room(at, %s)", e.roomFor(fields, 1)) // fewer than 128 tagged fields
		e.room = true
	case len(next) > 0 && next[0].Array:
		e.p("b = w.Room(at, %s)", e.roomFor(fields, 0, "wire.CountRoom"))
		e.room = true
	default:
		e.p("b = w.Room(at, %s)", e.roomFor(fields, 0))
		e.room = false
	}
	for len(fields) > 0 {
		run := e.run(fields)
		fields = fields[len(run):]
		e.versioned(run, func() { e.putRun(run) })
	}
}

// putRun writes a run of values of fixed size, or a single field.
func (e *emitter) putRun(run []*Field) {
	if len(run) == 1 {
		e.putField(run[0], "x."+run[0].Name, e.flex())
		return
	}
	n := runBytes(run)
	e.p("{\np := (*[%d]byte)(b[at : at+%d])", n, n)
	at := 0
	for _, f := range run {
		size := scalars[f.Type].size
		e.p(put[f.Type], "x."+f.Name, at, at+size)
		at += size
	}
	e.p("at += %d\n}", n)
}

// put holds how a value is put into the bytes %[2]d to %[3]d of p.
var put = map[string]string{
	"bool": "p[%[2]d] = 0\nif %[1]s {\np[%[2]d] = 1\n}", "int8": "p[%[2]d] = byte(%[1]s)",
	"int16": "binary.BigEndian.PutUint16(p[%[2]d:%[3]d], uint16(%[1]s))", "uint16": "binary.BigEndian.PutUint16(p[%[2]d:%[3]d], %[1]s)",
	"int32": "binary.BigEndian.PutUint32(p[%[2]d:%[3]d], uint32(%[1]s))", "uint32": "binary.BigEndian.PutUint32(p[%[2]d:%[3]d], %[1]s)",
	"int64": "binary.BigEndian.PutUint64(p[%[2]d:%[3]d], uint64(%[1]s))", "uuid": "copy(p[%[2]d:%[3]d], %[1]s[:])",
}

// putField writes a value of a type that is no struct, or an array of values of fixed size,
// for which there is room.
func (e *emitter) putField(f *Field, name, flex string) {
	switch {
	case f.Array:
		e.putCount(f, name, flex)
		if f.Type == "int32" {
			e.p("at = wire.PutInt32s(b, at, %s)", name)
			return
		}
		e.p("for j := range %s {", name)
		e.putField(&Field{Type: f.Type, Null: Range{1, 0}, Tag: -1}, name+"[j]", flex)
		e.p("}")
	case f.Type == "bytes" || f.Type == "records":
		e.p("at = wire.PutBytes(b, at, %s, %s, %s)", name, flex, e.inOr(f.Null))
	case f.Type == "string" && f.nullable():
		e.p("if %[1]s.Valid {", name)
		e.putString(f, name+".String", flex)
		e.p("} else {\nat = wire.PutNoString(b, at, %s, %s)\n}", flex, e.inOr(f.Null))
	case f.Type == "string":
		e.putString(f, name, flex)
	case f.Type == "uuid":
		e.p("at = wire.PutUUID(b, at, &%s)", name)
	default:
		e.p("at = wire.Put%s(b, at, %s)", scalars[f.Type].method, name)
	}
}

func (e *emitter) putString(f *Field, value, flex string) {
	e.p("if len(%s) > wire.StringBytesMax {\nw.Fail(%q, wire.ErrTooLong)\n}", value, e.s.Name+"."+strings.TrimSuffix(f.Name, "[j]"))
	e.p("at = wire.PutString(b, at, %s, %s)", value, flex)
}
