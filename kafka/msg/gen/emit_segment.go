package main

import (
	"fmt"
	"strings"
)

// A segment is a stretch of fields without struct, tag or spliced records: room for all of
// it is made at once, from the lengths of its strings and slices, and then it is filled in
// with Writer's Put methods.

// plain reports whether the field can be part of a segment. Records of a request could,
// but no request that we encode in a hurry has them.
func plain(f *Field) bool {
	switch {
	case f.Tag >= 0 || f.Struct != nil:
		return false
	case f.Array:
		return f.Type == "int32"
	}
	return f.Type != "records"
}

// room is the Go expression of the bytes that the fields take at most.
func (e *emitter) room(fields []*Field, noTags bool) string {
	fixed, names := 0, []string(nil)
	if noTags {
		fixed++
	}
	for _, f := range fields {
		name := "x." + f.Name
		switch {
		case f.Array:
			names = append(names, "wire.CountRoom+4*len("+name+")")
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
	if fixed > 0 {
		names = append([]string{fmt.Sprint(fixed)}, names...)
	}
	return strings.Join(names, "+")
}

// segment writes the fields and, if noTags is true, an empty tag section.
func (e *emitter) segment(fields []*Field, noTags bool) {
	e.p("w.Room(at, %s)", e.room(fields, noTags))
	for len(fields) > 0 {
		run := e.run(fields)
		fields = fields[len(run):]
		e.versioned(run, func() { e.putRun(run) })
	}
	switch {
	case noTags && e.flex() == "flex":
		e.p("if flex {\nat = w.PutInt8(at, 0)\n}")
	case noTags:
		e.p("at = w.PutInt8(at, 0)")
	}
}

// putRun writes a run of values of fixed size, or a single field.
func (e *emitter) putRun(run []*Field) {
	if len(run) == 1 {
		e.putField(run[0], "x."+run[0].Name, e.flex())
		return
	}
	n := runBytes(run)
	e.p("{\nb := (*[%d]byte)(w.At(at, %d))", n, n)
	at := 0
	for _, f := range run {
		size := scalars[f.Type].size
		e.p(put[f.Type], "x."+f.Name, at, at+size)
		at += size
	}
	e.p("at += %d\n}", n)
}

// put holds how a value is put into the bytes %[2]d to %[3]d of b.
var put = map[string]string{
	"bool": "b[%[2]d] = 0\nif %[1]s {\nb[%[2]d] = 1\n}", "int8": "b[%[2]d] = byte(%[1]s)",
	"int16": "binary.BigEndian.PutUint16(b[%[2]d:%[3]d], uint16(%[1]s))", "uint16": "binary.BigEndian.PutUint16(b[%[2]d:%[3]d], %[1]s)",
	"int32": "binary.BigEndian.PutUint32(b[%[2]d:%[3]d], uint32(%[1]s))", "uint32": "binary.BigEndian.PutUint32(b[%[2]d:%[3]d], %[1]s)",
	"int64": "binary.BigEndian.PutUint64(b[%[2]d:%[3]d], uint64(%[1]s))", "uuid": "copy(b[%[2]d:%[3]d], %[1]s[:])",
}

// putField writes a value of a type that is no struct, or an array of int32, for which
// there is room.
func (e *emitter) putField(f *Field, name, flex string) {
	switch {
	case f.Array:
		e.p("at = w.PutInt32s(at, %s, %s, %s)", name, flex, e.inOr(f.Null))
	case f.Type == "bytes" || f.Type == "records":
		e.p("at = w.PutBytes(at, %s, %s, %s)", name, flex, e.inOr(f.Null))
	case f.Type == "string" && f.nullable():
		e.p("at = w.PutNullString(at, &%s, %s, %s)", name, flex, e.inOr(f.Null))
	case f.Type == "string":
		e.p("at = w.PutString(at, %s, %s)", name, flex)
	case f.Type == "uuid":
		e.p("at = w.PutUUID(at, &%s)", name)
	default:
		e.p("at = w.Put%s(at, %s)", scalars[f.Type].method, name)
	}
}
