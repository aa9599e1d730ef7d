package main

import "strings"

// encode writes the Encode method of the current struct.
func (e *emitter) encode() {
	e.p("// Encode appends x to w. Errors are in w: wire.ErrNotInThis if a field that v lacks and may")
	e.p("// not be dropped is set.")
	e.p("func (x *%s) Encode(w *wire.Writer, v int16) {", e.s.Name)
	e.begin("w")
	for fields := e.s.Fields; len(fields) > 0; {
		run := e.run(fields)
		fields = fields[len(run):]
		in := e.in(run[0].Versions)
		switch {
		case run[0].Tag >= 0:
			if in != "" && !run[0].Ignorable {
				e.p("if !(%s) {", in)
				e.refuse(run)
				e.p("}")
			}
		case in == "":
			e.encodeRun(run)
		default:
			e.p("if %s {", in)
			e.encodeRun(run)
			e.p("} else {")
			e.refuse(run)
			e.p("}")
		}
	}
	e.encodeTags()
	e.p("}\n")
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

// encodeRun writes a run of fields, with one check for all of their bytes.
func (e *emitter) encodeRun(run []*Field) {
	if len(run) == 1 {
		e.encodeField(run[0])
		return
	}
	n := runBytes(run)
	e.p("{\nb := (*[%d]byte)(w.Next(%d))", n, n)
	at := 0
	for _, f := range run {
		size := scalars[f.Type].size
		e.p(put[f.Type], "x."+f.Name, at, at+size)
		at += size
	}
	e.p("}")
}

// put holds how a value is put into the bytes %[2]d to %[3]d of b.
var put = map[string]string{
	"bool": "b[%[2]d] = 0\nif %[1]s {\nb[%[2]d] = 1\n}", "int8": "b[%[2]d] = byte(%[1]s)",
	"int16": "binary.BigEndian.PutUint16(b[%[2]d:%[3]d], uint16(%[1]s))", "uint16": "binary.BigEndian.PutUint16(b[%[2]d:%[3]d], %[1]s)",
	"int32": "binary.BigEndian.PutUint32(b[%[2]d:%[3]d], uint32(%[1]s))", "uint32": "binary.BigEndian.PutUint32(b[%[2]d:%[3]d], %[1]s)",
	"int64": "binary.BigEndian.PutUint64(b[%[2]d:%[3]d], uint64(%[1]s))", "uuid": "copy(b[%[2]d:%[3]d], %[1]s[:])",
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
	if len(tagged) == 0 {
		e.p("w.NoTags()")
		return
	}
	e.p("n := uint32(0)")
	for _, f := range tagged {
		e.p("if %s {\nn++\n}", e.writesTag(f))
	}
	e.p("w.Uvarint(n)")
	e.p("if n > 0 {")
	for _, f := range tagged {
		e.p("if %s {", e.writesTag(f))
		e.p("at := w.BeginTag(%d)", f.Tag)
		e.encodeField(f)
		e.p("w.EndTag(at)\n}")
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
	case f.Array:
		e.encodeArray(f, flex)
	case f.Struct != nil && f.nullable():
		present := "Present"
		if f.Tag >= 0 {
			present = "PresentTag"
		}
		e.p("w.%s(%s != nil)", present, name)
		e.p("if %s != nil {\n%s.Encode(w, v)\n}", name, name)
	case f.Struct != nil:
		e.p("%s.Encode(w, v)", name)
	case f.Type == "records" && e.m.Kind == "response":
		e.p("w.Records(%s, %s, %s)", name, flex, e.inOr(f.Null))
	default:
		e.writeValue(f, name, flex)
	}
}

func (e *emitter) encodeArray(f *Field, flex string) {
	name := "x." + f.Name
	if f.Type == "int32" {
		e.p("w.Int32s(%s, %s, %s)", name, flex, e.inOr(f.Null))
		return
	}
	if f.nullable() {
		e.p("w.NullArrayLen(len(%s), %s == nil, %s, %s)", name, name, flex, e.inOr(f.Null))
	} else {
		e.p("w.ArrayLen(len(%s), %s)", name, flex)
	}
	e.p("for i := range %s {", name)
	if f.Struct != nil {
		e.p("%s[i].Encode(w, v)", name)
	} else {
		e.writeValue(f, name+"[i]", flex)
	}
	e.p("}")
}

// writeValue writes a value (or an array's element) of a type that is no struct.
func (e *emitter) writeValue(f *Field, name, flex string) {
	null := f.nullable() && !f.Array
	switch {
	case f.Type == "string" && null:
		e.p("w.NullString(%s, %s, %s)", name, flex, e.inOr(f.Null))
	case f.Type == "string":
		e.p("w.String(%s, %s)", name, flex)
	case (f.Type == "bytes" || f.Type == "records") && null:
		e.p("w.NullBytes(%s, %s, %s)", name, flex, e.inOr(f.Null))
	case f.Type == "bytes" || f.Type == "records":
		e.p("w.BytesValue(%s, %s)", name, flex)
	default:
		e.p("w.%s(%s)", scalars[f.Type].method, name)
	}
}
