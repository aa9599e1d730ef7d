package main

// decode writes the Decode of a message, and what decodes the current struct: a method for
// one, a function for all elements of an array.
func (e *emitter) decode() {
	if e.s == e.m.Root {
		e.p("// Decode reads x from r. It sets every field, reuses the memory of slices, and aliases")
		e.p("// r's frame with strings and bytes. Errors are in r.")
		e.p("func (x *%s) Decode(r *wire.Reader, v int16) {", e.s.Name)
		e.checkVersion("r.Fail(wire.ErrVersion)")
		e.p("r.Seek(x.decode(r, v, r.Pos()))\n}\n")
	}
	if e.s.Single {
		e.p("func (x *%s) decode(r *wire.Reader, v int16, at int) int {", e.s.Name)
		e.defineFlex()
		e.decodeBody()
		e.p("return at\n}\n")
	}
	if e.s.Element {
		e.p("func decodeEach%[1]s(s []%[1]s, r *wire.Reader, v int16, at int) int {", e.s.Name)
		e.defineFlex()
		fast := e.fast()
		if fast != nil {
			e.p("in := r.Input()")
		}
		e.p("for i := range s {\nx := &s[i]")
		if fast != nil {
			e.decodeFast(fast)
		}
		e.decodeBody()
		e.p("}\nreturn at\n}\n")
	}
}

// decodeBody writes the statements that decode x.
func (e *emitter) decodeBody() {
	for fields := e.s.Fields; len(fields) > 0; {
		run := e.run(fields)
		fields = fields[len(run):]
		in := e.in(run[0].Versions)
		switch {
		case run[0].Tag >= 0:
			e.setDefault(run[0])
		case in == "":
			e.decodeRun(run)
		default:
			e.p("if %s {", in)
			e.decodeRun(run)
			e.p("} else {")
			for _, f := range run {
				e.setDefault(f)
			}
			e.p("}")
		}
	}
	e.decodeTags()
}

// run is the longest start of fields that is read and written as one piece: values of
// fixed size that the same versions have. It has at least one field.
func (e *emitter) run(fields []*Field) []*Field {
	n := 1
	if fixed(fields[0]) {
		for n < len(fields) && fixed(fields[n]) && fields[n].Versions == fields[0].Versions {
			n++
		}
	}
	return fields[:n]
}

// fixed reports whether the field is a plain value whose bytes can be picked from a run.
func fixed(f *Field) bool {
	_, scalar := scalars[f.Type]
	return scalar && f.Type != "float64" && !f.Array && f.Tag < 0
}

func runBytes(run []*Field) int {
	n := 0
	for _, f := range run {
		n += scalars[f.Type].size
	}
	return n
}

// decodeRun reads a run, with one check for all of its bytes.
func (e *emitter) decodeRun(run []*Field) {
	if len(run) == 1 {
		e.decodeField(run[0])
		return
	}
	n := runBytes(run)
	e.p("{\nvar p []byte")
	e.p("if p, at = r.GetFixed(at, %d); p != nil {", n)
	e.p("b := (*[%d]byte)(p)", n)
	from := 0
	for _, f := range run {
		size := scalars[f.Type].size
		e.p("x.%[1]s = "+pick[f.Type], f.Name, from, from+size)
		from += size
	}
	e.p("}\n}")
}

// fast are the fields of an element that has values of fixed size, bytes behind them, and
// nothing else, in every flexible version: a partition of Produce. Nil for all others.
func (e *emitter) fast() []*Field {
	n := len(e.s.Fields) - 1
	if e.flex() != "flex" || n < 1 {
		return nil
	}
	for i, f := range e.s.Fields {
		bytes := f.Type == "bytes" || f.Type == "records" && e.m.Kind == "request"
		if e.in(f.Versions) != "" || i < n && !fixed(f) || i == n && (!bytes || f.Array || f.Tag >= 0) {
			return nil
		}
	}
	return e.s.Fields
}

// decodeFast takes such an element in one piece, without a call, if the count of its bytes
// has two digits and no tags follow; all others are left to what is written after it.
func (e *emitter) decodeFast(fields []*Field) {
	n := runBytes(fields[:len(fields)-1])
	e.p("if flex && len(in)-at > %d {", n+2)
	e.p("b := (*[%d]byte)(in[at:])", n+2)
	e.p("if lo, hi := int(b[%d]), int(b[%d]); lo >= 0x80 && hi < 0x80 {", n, n+1)
	e.p("from := at + %d", n+2)
	e.p("if end := from + (lo&0x7f | hi<<7) - 1; from <= end && end < len(in) && in[end] == 0 {")
	at := 0
	for _, f := range fields[:len(fields)-1] {
		size := scalars[f.Type].size
		e.p("x.%[1]s = "+pick[f.Type], f.Name, at, at+size)
		at += size
	}
	e.p("x.%s = in[from:end:end]", fields[len(fields)-1].Name)
	e.p("at = end + 1\ncontinue\n}\n}\n}")
}

// pick holds how a value is made of the bytes %[2]d to %[3]d of b.
var pick = map[string]string{
	"bool": "b[%[2]d] != 0", "int8": "int8(b[%[2]d])",
	"int16": "int16(binary.BigEndian.Uint16(b[%[2]d:%[3]d]))", "uint16": "binary.BigEndian.Uint16(b[%[2]d:%[3]d])",
	"int32": "int32(binary.BigEndian.Uint32(b[%[2]d:%[3]d]))", "uint32": "binary.BigEndian.Uint32(b[%[2]d:%[3]d])",
	"int64": "int64(binary.BigEndian.Uint64(b[%[2]d:%[3]d]))", "uuid": "wire.UUID(b[%[2]d:%[3]d])",
}

func (e *emitter) decodeTags() {
	flex, tagged := e.flex(), e.tagged()
	if flex == "false" {
		return
	}
	if flex == "flex" {
		e.p("if flex {")
		defer e.p("}")
	}
	if len(tagged) == 0 {
		e.p("at = r.GetNoTags(at)")
		return
	}
	e.p("var n int\nvar tag uint32\nvar outer []byte")
	e.p("for n, at = r.GetTagCount(at); n > 0; n-- {")
	e.p("tag, outer, at = r.GetTag(at)")
	e.p("switch {")
	for _, f := range tagged {
		if in := e.in(f.Versions); in != "" && f.Versions.Lo > e.m.Flex {
			e.p("case tag == %d && %s:", f.Tag, in)
		} else {
			e.p("case tag == %d:", f.Tag)
		}
		e.decodeField(f)
		e.p("at = r.GetEndTag(at, outer)")
	}
	e.p("default:\nat = r.GetSkipTag(outer)")
	e.p("}\n}")
}

// decodeField reads one field, which is known to be on the wire.
func (e *emitter) decodeField(f *Field) {
	flex := e.flex()
	if f.Tag >= 0 {
		flex = "true"
	}
	name := "x." + f.Name
	switch {
	case f.Array:
		e.decodeArray(f, flex)
	case f.Struct != nil && f.nullable():
		present := "GetPresent"
		if f.Tag >= 0 {
			present = "GetPresentTag"
		}
		e.p("{\nvar ok bool")
		e.p("if ok, at = r.%s(at); ok {", present)
		e.p("if %s == nil {\n%s = new(%s)\n}", name, name, f.Type)
		e.p("at = %s.decode(r, v, at)", name)
		e.p("} else {\n%s = nil\n}\n}", name)
	case f.Struct != nil:
		e.p("at = %s.decode(r, v, at)", name)
	case f.Type == "records" && e.m.Kind == "response":
		e.p("%s, at = r.GetRecords(at, %s, %s, %s)", name, name, flex, e.inOr(f.Null))
	default:
		e.p("%s, at = %s", name, e.readValue(f, flex))
	}
}

func (e *emitter) decodeArray(f *Field, flex string) {
	least, err := e.m.elementMinBytes(f)
	if err != nil {
		e.err = err
	}
	name := "x." + f.Name
	e.p("{\nvar n int")
	if f.nullable() {
		e.p("if n, at = r.GetArrayLen(at, %s, %s, %d); n < 0 {", flex, e.inOr(f.Null), least)
		e.p("%s = nil\n} else {", name)
		defer e.p("}")
	} else {
		e.p("n, at = r.GetArrayLen(at, %s, false, %d)", flex, least)
	}
	e.p("if n > cap(%s) {\nn, at = wire.GetRoom(r, at, %s, n)\n}", name, name)
	e.p("s := wire.Resize(%s, n)", name)
	switch {
	case f.Struct != nil:
		e.p("at = decodeEach%s(s, r, v, at)", f.Type)
	case f.Type == "int32":
		e.p("at = r.GetInt32s(at, s)")
	default:
		e.p("for i := range s {\ns[i], at = %s\n}", e.readValue(f, flex))
	}
	e.p("%s = s\n}", name)
}

// readValue is the Go expression that reads a value (or an array's element) of a type that
// is no struct.
func (e *emitter) readValue(f *Field, flex string) string {
	null := "false"
	if f.nullable() && !f.Array {
		null = e.inOr(f.Null)
	}
	switch {
	case f.Type == "string" && f.nullable() && !f.Array:
		return "r.GetNullString(at, " + flex + ", " + null + ")"
	case f.Type == "string":
		return "r.GetString(at, " + flex + ")"
	case f.Type == "bytes" || f.Type == "records":
		return "r.GetBytes(at, " + flex + ", " + null + ")"
	}
	return "r.Get" + scalars[f.Type].method + "(at)"
}
