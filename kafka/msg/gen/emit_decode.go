package main

// decode writes the Decode method of the current struct.
func (e *emitter) decode() {
	e.p("// Decode reads x from r. It sets every field, reuses the memory of slices, and aliases")
	e.p("// r's frame with strings and bytes. Errors are in r.")
	e.p("func (x *%s) Decode(r *wire.Reader, v int16) {", e.s.Name)
	e.begin("r")
	for _, f := range e.s.Fields {
		in := e.in(f.Versions)
		switch {
		case f.Tag >= 0:
			e.setDefault(f)
		case in == "":
			e.decodeField(f)
		default:
			e.p("if %s {", in)
			e.decodeField(f)
			e.p("} else {")
			e.setDefault(f)
			e.p("}")
		}
	}
	e.decodeTags()
	e.p("}\n")
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
		e.p("r.SkipTags()")
		return
	}
	e.p("for n := r.TagCount(); n > 0; n-- {")
	e.p("tag, rest := r.BeginTag()")
	e.p("switch {")
	for _, f := range tagged {
		if in := e.in(f.Versions); in != "" && f.Versions.Lo > e.m.Flex {
			e.p("case tag == %d && %s:", f.Tag, in)
		} else {
			e.p("case tag == %d:", f.Tag)
		}
		e.decodeField(f)
		e.p("r.EndTag(rest)")
	}
	e.p("default:\nr.SkipTag(rest)")
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
		present := "r.Present()"
		if f.Tag >= 0 {
			present = "r.PresentTag()"
		}
		e.p("if %s {", present)
		e.p("if %s == nil {\n%s = new(%s)\n}", name, name, f.Type)
		e.p("%s.Decode(r, v)", name)
		e.p("} else {\n%s = nil\n}", name)
	case f.Struct != nil:
		e.p("%s.Decode(r, v)", name)
	case f.Type == "records" && e.m.Kind == "response":
		e.p("%s = r.Records(%s, %s, %s)", name, name, flex, e.inOr(f.Null))
	default:
		e.p("%s = %s", name, e.readValue(f, flex))
	}
}

func (e *emitter) decodeArray(f *Field, flex string) {
	least, err := e.m.elementMinBytes(f)
	if err != nil {
		e.err = err
	}
	name := "x." + f.Name
	if f.nullable() {
		e.p("if n := r.NullArrayLen(%s, %d, %s); n >= 0 {", flex, least, e.inOr(f.Null))
	} else {
		e.p("{\nn := r.ArrayLen(%s, %d)", flex, least)
	}
	e.p("s := wire.Resize(%s, n)", name)
	e.p("for i := range s {")
	if f.Struct != nil {
		e.p("s[i].Decode(r, v)")
	} else {
		e.p("s[i] = %s", e.readValue(f, flex))
	}
	e.p("}\n%s = s", name)
	if f.nullable() {
		e.p("} else {\n%s = nil", name)
	}
	e.p("}")
}

// readValue is the Go expression that reads a value (or an array's element) of a type that
// is no struct.
func (e *emitter) readValue(f *Field, flex string) string {
	null := f.nullable() && !f.Array
	switch {
	case f.Type == "string" && null:
		return "r.NullString(" + flex + ", " + e.inOr(f.Null) + ")"
	case f.Type == "string":
		return "r.String(" + flex + ")"
	case (f.Type == "bytes" || f.Type == "records") && null:
		return "r.NullBytes(" + flex + ", " + e.inOr(f.Null) + ")"
	case f.Type == "bytes" || f.Type == "records":
		return "r.Bytes(" + flex + ")"
	}
	return "r." + scalars[f.Type].method + "()"
}
