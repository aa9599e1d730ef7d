package main

import (
	"fmt"
	"strings"
)

// encode writes the Encode of a message, and what encodes the current struct: a method for
// one, a function for all elements of an array.
func (e *emitter) encode() {
	if e.s == e.m.Root {
		e.p("// Encode appends x to w. Errors are in w: wire.ErrNotInThis if a field that v lacks and may")
		e.p("// not be dropped is set.")
		e.p("func (x *%s) Encode(w *wire.Writer, v int16) {", e.s.Name)
		e.checkVersion(fmt.Sprintf("w.Fail(%q, wire.ErrVersion)", e.s.Name))
		e.p("w.Commit(x.encode(w, v, w.Pos()))\n}\n")
	}
	if e.s.Single {
		e.p("func (x *%s) encode(w *wire.Writer, v int16, at int) int {", e.s.Name)
		e.defineFlex()
		e.p("var b []byte")
		e.encodeBody()
		e.p("return at\n}\n")
	}
	if e.s.Element {
		e.p("func encodeEach%[1]s(s []%[1]s, w *wire.Writer, v int16, at int) int {", e.s.Name)
		e.defineFlex()
		if n := e.elementRoom(); n > 0 {
			e.p("b := w.Room(at, %d*len(s))", n)
			e.roomForAll = true
		} else {
			e.p("var b []byte")
		}
		e.p("for i := range s {\nx := &s[i]")
		e.encodeBody()
		e.p("}\nreturn at\n}\n")
		e.roomForAll = false
	}
}

// encodeBody writes the statements that encode x.
func (e *emitter) encodeBody() {
	var untagged []*Field
	for _, f := range e.s.Fields {
		if f.Tag < 0 {
			untagged = append(untagged, f)
			continue
		}
		if in := e.in(f.Versions); in != "" && !f.Ignorable {
			e.p("if !(%s) {", in)
			e.refuse([]*Field{f})
			e.p("}")
		}
	}
	for e.room = false; len(untagged) > 0; {
		n := 0
		for n < len(untagged) && plain(untagged[n]) {
			n++
		}
		if n > 0 {
			e.segment(untagged[:n], untagged[n:])
		} else {
			n = 1
			e.versioned(untagged[:1], func() { e.encodeField(untagged[0]) })
			e.room = false
		}
		untagged = untagged[n:]
	}
	e.encodeTags()
}

// versioned writes what body writes for fields that the same versions have, and for other
// versions what refuses them.
func (e *emitter) versioned(fields []*Field, body func()) {
	in := e.in(fields[0].Versions)
	if in == "" {
		body()
		return
	}
	e.p("if %s {", in)
	body()
	refused := false
	for _, f := range fields {
		refused = refused || !f.Ignorable
	}
	if refused {
		e.p("} else {")
		e.refuse(fields)
	}
	e.p("}")
}

// refuse reports the fields of the run that are set and may not be dropped.
func (e *emitter) refuse(run []*Field) {
	for _, f := range run {
		if !f.Ignorable {
			e.p("if %s {", e.differs(f))
			e.p("w.Fail(%q, wire.ErrNotInThis)\n}", e.s.Name+"."+f.Name)
		}
	}
}

// encodeTags writes the tag section: first how many tagged fields differ from their
// default, then those.
func (e *emitter) encodeTags() {
	flex, tagged := e.flex(), e.tagged()
	if flex == "false" {
		return
	}
	if flex == "flex" {
		e.p("if flex {")
		defer e.p("}")
	}
	if !e.room {
		e.p("b = w.Room(at, 1)") // fewer than 128 fields
	}
	if len(tagged) == 0 {
		e.p("at = wire.PutInt8(b, at, 0)")
		return
	}
	e.p("n := int8(0)")
	for _, f := range tagged {
		e.p("if %s {\nn++\n}", e.writesTag(f))
	}
	e.p("at = wire.PutInt8(b, at, n)")
	e.p("if n > 0 {")
	for _, f := range tagged {
		e.p("if %s {", e.writesTag(f))
		e.p("b = w.Room(at, 1)\nat = wire.PutInt8(b, at, %d)\nstart := at", f.Tag)
		e.room = false
		e.encodeField(f)
		e.p("at = w.PutEndTag(start, at)\n}")
	}
	e.p("}")
}

// writesTag is the Go condition under which a tagged field is on the wire.
func (e *emitter) writesTag(f *Field) string {
	differs := e.differs(f)
	in := e.in(f.Versions)
	if in == "" || f.Versions.Lo <= e.m.Flex && f.Versions.Hi >= e.s.Versions.Hi {
		return differs
	}
	if strings.Contains(differs, "||") {
		differs = "(" + differs + ")"
	}
	return in + " && " + differs
}

// encodeField writes one field that version v has.
func (e *emitter) encodeField(f *Field) {
	flex := e.flex()
	if f.Tag >= 0 {
		flex = "true"
	}
	name := "x." + f.Name
	switch {
	case f.Array && !fixedSize(f.Type):
		e.encodeArray(f, flex)
	case f.Struct != nil && f.nullable():
		present := "PutPresent"
		if f.Tag >= 0 {
			present = "PutPresentTag"
		}
		e.p("b = w.Room(at, 1)\nat = wire.%s(b, at, %s != nil)", present, name)
		e.p("if %s != nil {\nat = %s.encode(w, v, at)\n}", name, name)
	case f.Struct != nil:
		e.p("at = %s.encode(w, v, at)", name)
	case f.Type == "records" && e.m.Kind == "response":
		e.p("at = w.PutRecords(at, %s, %s, %s)", name, flex, e.inOr(f.Null))
	default:
		e.p("b = w.Room(at, %s)", e.roomFor([]*Field{f}, 0))
		e.putField(f, name, flex)
	}
}

// encodeArray writes an array of structs, strings or bytes.
func (e *emitter) encodeArray(f *Field, flex string) {
	name := "x." + f.Name
	if !e.room {
		e.p("b = w.Room(at, wire.CountRoom)")
	}
	e.putCount(f, name, flex)
	if f.Struct != nil {
		e.p("at = encodeEach%s(%s, w, v, at)", f.Type, name)
		return
	}
	one := &Field{Name: f.Name + "[j]", Type: f.Type, Null: Range{1, 0}, Tag: -1}
	e.p("for j := range %s {", name)
	e.p("b = w.Room(at, %s)", e.roomFor([]*Field{one}, 0))
	e.putField(one, name+"[j]", flex)
	e.p("}")
}

// putCount writes the count of an array, for which there is room.
func (e *emitter) putCount(f *Field, name, flex string) {
	if f.nullable() {
		e.p("at = wire.PutNullCount(b, at, len(%s), %s == nil, %s, %s)", name, name, flex, e.inOr(f.Null))
	} else {
		e.p("at = wire.PutCount(b, at, len(%s), %s)", name, flex)
	}
}
