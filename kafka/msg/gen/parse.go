package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// line is a definition line without comment, split at white space.
type line struct {
	number int
	depth  int // levels of four spaces
	words  []string
}

var goName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)

// parse reads one definition file; def/README.md describes the form.
func parse(path, text string) (*File, error) {
	lines, err := split(text)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	p := &parser{file: &File{Path: path, Key: -1}, lines: lines}
	for len(p.lines) > 0 {
		if err := p.block(); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, p.last, err)
		}
	}
	for _, m := range p.file.Messages {
		if err := resolve(m); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return p.file, nil
}

func split(text string) ([]line, error) {
	var out []line
	for i, s := range strings.Split(text, "\n") {
		s, _, _ = strings.Cut(s, "#")
		words := strings.Fields(s)
		if len(words) == 0 {
			continue
		}
		indent := len(s) - len(strings.TrimLeft(s, " "))
		if indent%4 != 0 || strings.Contains(s, "\t") {
			return nil, fmt.Errorf("%d: indent is not a multiple of four spaces", i+1)
		}
		out = append(out, line{i + 1, indent / 4, words})
	}
	return out, nil
}

type parser struct {
	file  *File
	lines []line
	last  int // number of the line taken last

	record string // name of the record type whose key and value follow
	number int    // its number
}

func (p *parser) next() line {
	l := p.lines[0]
	p.lines, p.last = p.lines[1:], l.number
	return l
}

// block reads a line of depth 0 and the fields below it.
func (p *parser) block() error {
	l := p.next()
	if l.depth != 0 {
		return fmt.Errorf("a field outside of a message")
	}
	w := l.words
	switch {
	case w[0] == "api" && len(w) == 3:
		key, err := strconv.Atoi(w[1])
		p.file.Key, p.file.API = key, w[2]
		return err
	case (w[0] == "request" || w[0] == "response") && p.file.API != "":
		name := p.file.API + strings.ToUpper(w[0][:1]) + w[0][1:]
		return p.message(w[0], name, w[1:])
	case w[0] == "records" && len(w) == 2:
		p.file.Records = w[1]
		return nil
	case w[0] == "record" && len(w) == 3 && p.file.Records != "":
		number, err := strconv.Atoi(w[1])
		p.record, p.number = w[2], number
		return err
	case (w[0] == "key" || w[0] == "value") && p.record != "":
		name := p.record + strings.ToUpper(w[0][:1]) + w[0][1:]
		err := p.message(w[0], name, w[1:])
		p.file.Messages[len(p.file.Messages)-1].Record = p.number
		return err
	case w[0] == "data" && len(w) >= 3:
		return p.message(w[0], w[1], w[2:])
	case w[0] == "struct" && len(w) == 2 && len(p.file.Messages) > 0:
		m := p.file.Messages[len(p.file.Messages)-1]
		_, err := p.structure(m, w[1], m.Versions, 1)
		return err
	}
	return fmt.Errorf("not understood: %s", strings.Join(w, " "))
}

func (p *parser) message(kind, name string, w []string) error {
	if len(w) == 0 {
		return fmt.Errorf("%s has no versions", name)
	}
	versions, err := parseRange(w[0])
	if err != nil {
		return err
	}
	m := &Message{Kind: kind, Versions: versions, Flex: unbounded}
	if len(w) == 3 && w[1] == "flexible" {
		r, err := parseRange(w[2])
		if err != nil {
			return err
		}
		m.Flex = r.Lo
	} else if len(w) != 1 {
		return fmt.Errorf("not understood: %s", strings.Join(w[1:], " "))
	}
	p.file.Messages = append(p.file.Messages, m)
	m.Root, err = p.structure(m, name, versions, 1)
	return err
}

// structure reads the fields at depth, which may have fields of their own.
func (p *parser) structure(m *Message, name string, versions Range, depth int) (*Struct, error) {
	if !goName.MatchString(name) {
		return nil, fmt.Errorf("%q is no type name", name)
	}
	s := &Struct{Name: name, Versions: versions}
	m.Structs = append(m.Structs, s)
	for len(p.lines) > 0 && p.lines[0].depth == depth {
		f, err := field(p.next().words, versions)
		if err != nil {
			return nil, err
		}
		if len(p.lines) > 0 && p.lines[0].depth > depth {
			if f.Struct, err = p.structure(m, f.Type, f.Versions, depth+1); err != nil {
				return nil, err
			}
		}
		s.Fields = append(s.Fields, f)
	}
	if len(p.lines) > 0 && p.lines[0].depth > depth {
		return nil, fmt.Errorf("line %d is indented too far", p.lines[0].number)
	}
	return s, nil
}

// field reads "Name type [versions] [attributes]".
func field(w []string, within Range) (*Field, error) {
	if len(w) < 2 || !goName.MatchString(w[0]) {
		return nil, fmt.Errorf("not a field: %s", strings.Join(w, " "))
	}
	f := &Field{Name: w[0], Versions: within, Null: Range{1, 0}, Tag: -1}
	f.Type, f.Array = strings.CutPrefix(w[1], "[]")
	w = w[2:]
	if len(w) > 0 && w[0][0] >= '0' && w[0][0] <= '9' {
		r, err := parseRange(w[0])
		if err != nil {
			return nil, err
		}
		if f.Versions = r.intersect(within); f.Versions.empty() {
			return nil, fmt.Errorf("%s occurs in no version", f.Name)
		}
		w = w[1:]
	}
	for _, a := range w {
		if err := f.attribute(a); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *Field) attribute(a string) error {
	key, value, has := strings.Cut(a, "=")
	var err error
	switch {
	case key == "null" && !has:
		f.Null = f.Versions
	case key == "null":
		f.Null, err = parseRange(value)
		f.Null = f.Null.intersect(f.Versions)
	case key == "tag" && has:
		f.Tag, err = strconv.Atoi(value)
	case key == "default" && has:
		f.Default = value
	case key == "ignorable" && !has:
		f.Ignorable = true
	default:
		err = fmt.Errorf("%s: unknown attribute %q", f.Name, a)
	}
	return err
}

// resolve connects the fields of m to the structs they name and checks what can be wrong.
func resolve(m *Message) error {
	byName := map[string]*Struct{}
	for _, s := range m.Structs {
		if byName[s.Name] != nil {
			return fmt.Errorf("struct %s is defined twice", s.Name)
		}
		byName[s.Name] = s
	}
	m.Root.Single = true
	for _, s := range m.Structs {
		var tags []int
		for _, f := range s.Fields {
			if f.Struct == nil {
				f.Struct = byName[f.Type]
			}
			if f.Struct != nil {
				f.Struct.Single = f.Struct.Single || !f.Array
				f.Struct.Element = f.Struct.Element || f.Array
			}
			if err := m.check(s, f); err != nil {
				return fmt.Errorf("%s.%s: %w", s.Name, f.Name, err)
			}
			if f.Tag >= 0 {
				tags = append(tags, f.Tag)
			}
		}
		slices.Sort(tags)
		for i, tag := range tags {
			if tag != i {
				return fmt.Errorf("%s: tags are %v: numbers twice or with gaps", s.Name, tags)
			}
		}
	}
	m.markDefaults()
	return nil
}

func (m *Message) check(s *Struct, f *Field) error {
	_, scalar := scalars[f.Type]
	known := scalar || f.Struct != nil || f.Type == "string" || f.Type == "bytes" || f.Type == "records"
	switch {
	case !known:
		return fmt.Errorf("unknown type %s", f.Type)
	case f.nullable() && scalar && !f.Array:
		return fmt.Errorf("%s cannot be null", f.Type)
	case f.Tag >= 0 && f.Versions.Lo < m.Flex:
		return fmt.Errorf("tagged in version %d, which is not flexible", f.Versions.Lo)
	case f.Tag >= 0 && f.Type == "records":
		return fmt.Errorf("records cannot be tagged")
	case f.Default == "null" && !f.nullable():
		return fmt.Errorf("default is null but null is not allowed")
	case f.Struct != nil && f.nullable() && !f.Array && f.Default != "null":
		return fmt.Errorf("a struct that may be null must be null by default")
	case f.Ignorable && f.Versions.contains(s.Versions):
		return fmt.Errorf("ignorable, but every version has it")
	}
	return nil
}

// markDefaults finds the structs whose values are compared with their defaults: those of
// tagged fields and of fields that some version lacks and may not drop, and what they hold.
func (m *Message) markDefaults() {
	var mark func(s *Struct)
	mark = func(s *Struct) {
		s.NeedsDefault = true
		for _, f := range s.Fields {
			if f.Struct != nil && !f.Array && !f.nullable() && !f.Struct.NeedsDefault {
				mark(f.Struct)
			}
		}
	}
	for _, s := range m.Structs {
		for _, f := range s.Fields {
			lacks := !f.Versions.contains(s.Versions) && !f.Ignorable
			if f.Struct != nil && !f.Array && !f.nullable() && (f.Tag >= 0 || lacks) {
				mark(f.Struct)
			}
		}
	}
}
