package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	schemaDirs = flag.String("schemas", "", "directories of Kafka's message schemas (*.json), the newest release first, comma-separated: compare with these, name what differs, and rewrite the digest")
	digestPath = filepath.Join("testdata", "schemas.tsv")
)

// TestDefinitionsAreKafkas compares every definition with the digest of Kafka's schemas: no
// message, no version and no field is missing, and names, order, types, nulls, tags, defaults
// and what may be dropped are the same.
func TestDefinitionsAreKafkas(t *testing.T) {
	defined := map[string]*Message{}
	have := map[string]string{}
	for _, f := range definitions(t) {
		for _, m := range f.Messages {
			defined[m.Root.Name] = m
			have[m.Root.Name] = digest(f.number(m), m)
		}
	}
	if *schemaDirs != "" {
		compareWithSchemas(t, defined)
	}
	text, err := os.ReadFile(digestPath)
	if err != nil {
		t.Fatal(err)
	}
	versions, fields := 0, 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		name, _, _ := strings.Cut(line, "\t")
		if strings.HasPrefix(name, "#") {
			continue
		}
		switch got := have[name]; {
		case got == "":
			t.Errorf("not defined: %s", line)
		case got != line:
			t.Errorf("differs from Kafka's\n got %s\nwant %s", got, line)
		default:
			m := defined[name]
			versions += m.Versions.Hi - m.Versions.Lo + 1
			fields += strings.Count(outline(m), "\n")
		}
		delete(have, name)
	}
	for _, line := range have {
		t.Errorf("Kafka has not: %s", line)
	}
	t.Logf("%d messages, %d versions, %d fields", len(defined), versions, fields)
}

// digest is one line: name, kind, key or record number, versions, first flexible version,
// number of fields, hash of the outline.
func digest(number int, m *Message) string {
	flex, o := "-", outline(m)
	if m.Flex != unbounded {
		flex = strconv.Itoa(m.Flex)
	}
	h := fnv.New64a()
	h.Write([]byte(o))
	return fmt.Sprintf("%s\t%s\t%d\t%v\t%s\t%d\t%016x", m.Root.Name, m.Kind, number, m.Versions, flex, strings.Count(o, "\n"), h.Sum64())
}

// outline has one line a field, indented by depth. What several fields name stands below each.
func outline(m *Message) string {
	var b strings.Builder
	var walk func(s *Struct, within Range, depth string)
	walk = func(s *Struct, within Range, depth string) {
		for _, f := range s.Fields {
			r := f.Versions.intersect(within)
			if r.empty() {
				continue
			}
			kind := f.Type
			if f.Struct != nil {
				kind = "struct"
			}
			fmt.Fprintf(&b, "%s%s %s array=%v %v", depth, f.Name, kind, f.Array, r)
			if null := f.Null.intersect(r); !null.empty() {
				fmt.Fprintf(&b, " null=%v", null)
			}
			fmt.Fprintf(&b, " tag=%d default=%s drop=%v\n", f.Tag, f.Default, f.Ignorable && !r.contains(within))
			if f.Struct != nil {
				walk(f.Struct, r, depth+"  ")
			}
		}
	}
	walk(m.Root, m.Versions, "")
	return b.String()
}

// compareWithSchemas reads the schemas, names what differs, and rewrites the digest.
func compareWithSchemas(t *testing.T, defined map[string]*Message) {
	kafkas, numbers := readSchemas(t, strings.Split(*schemaDirs, ","))
	out := "# Kafka's messages: name, kind, key or record number, versions, first flexible version, fields, hash.\n" +
		"# Written by go test ./kafka/msg/gen -run TestDefinitionsAreKafkas -args -schemas=...\n"
	for _, name := range slices.Sorted(maps.Keys(kafkas)) {
		k := kafkas[name]
		out += digest(numbers[name], k) + "\n"
		if d := defined[name]; d != nil && outline(d) != outline(k) {
			t.Errorf("%s\n got\n%swant\n%s", name, outline(d), outline(k))
		}
	}
	if err := os.WriteFile(digestPath, []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
}

type schema struct {
	APIKey                                      *int
	Type, Name, ValidVersions, FlexibleVersions string
	Fields, CommonStructs                       []schemaField
}

type schemaField struct {
	Name, Type, Versions, NullableVersions, TaggedVersions string
	Tag                                                    *int
	Default                                                any
	Ignorable                                              bool
	Fields                                                 []schemaField
}

var comment = regexp.MustCompile(`//.*`)

// readSchemas reads directories of schemas. Of a message that several have, later ones add
// what versions below those of the earlier ones have. Headers are written by hand.
func readSchemas(t *testing.T, dirs []string) (messages map[string]*Message, numbers map[string]int) {
	messages, numbers = map[string]*Message{}, map[string]int{}
	for _, dir := range dirs {
		paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil || len(paths) == 0 {
			t.Fatal(dir, paths, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var s schema
			if err := json.Unmarshal(comment.ReplaceAll(text, nil), &s); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if s.ValidVersions == "none" || s.Type == "header" {
				continue
			}
			m := s.message(t)
			if newer := messages[s.Name]; newer != nil {
				lower := Range{m.Versions.Lo, newer.Versions.Lo - 1}
				if !lower.empty() {
					merge(t, newer.Root, m.Root, lower)
					newer.Versions.Lo, newer.Flex = lower.Lo, min(newer.Flex, m.Flex)
				}
				continue
			}
			if messages[s.Name], numbers[s.Name] = m, -1; s.APIKey != nil {
				numbers[s.Name] = *s.APIKey
			}
		}
	}
	return messages, numbers
}

func (s *schema) message(t *testing.T) *Message {
	m := &Message{Kind: strings.TrimPrefix(s.Type, "coordinator-"), Versions: s.rng(t, s.ValidVersions), Flex: unbounded}
	if s.FlexibleVersions != "none" {
		m.Flex = max(s.rng(t, s.FlexibleVersions).Lo, m.Versions.Lo)
		if m.Flex > m.Versions.Hi {
			m.Flex = unbounded
		}
	}
	m.Root = s.structure(t, s.Name, s.Fields, m.Versions)
	return m
}

func (s *schema) rng(t *testing.T, text string) Range {
	r, err := parseRange(text)
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	return r
}

func (s *schema) structure(t *testing.T, name string, fields []schemaField, within Range) *Struct {
	out := &Struct{Name: name, Versions: within}
	for _, sf := range fields {
		f := &Field{Name: strings.ToUpper(sf.Name[:1]) + sf.Name[1:], Null: Range{1, 0}, Tag: -1, Ignorable: sf.Ignorable}
		f.Type, f.Array = strings.CutPrefix(sf.Type, "[]")
		if sf.Tag != nil {
			f.Tag, sf.Versions = *sf.Tag, sf.TaggedVersions
		}
		if f.Versions = s.rng(t, sf.Versions).intersect(within); f.Versions.empty() {
			continue
		}
		if sf.NullableVersions != "" {
			f.Null = s.rng(t, sf.NullableVersions).intersect(f.Versions)
		}
		inner := sf.Fields
		for _, c := range s.CommonStructs {
			if c.Name == f.Type {
				inner = c.Fields
			}
		}
		if inner != nil {
			f.Struct = s.structure(t, f.Type, inner, f.Versions)
		}
		f.setSchemaDefault(sf.Default)
		out.Fields = append(out.Fields, f)
	}
	return out
}

// setSchemaDefault takes a default as schemas write it: numbers may be hexadecimal, and be
// strings, and what would be the default anyway may be said.
func (f *Field) setSchemaDefault(v any) {
	text := fmt.Sprint(v)
	if n, err := strconv.ParseInt(text, 0, 64); err == nil && f.Type != "string" {
		text = strconv.FormatInt(n, 10)
	}
	switch {
	case v == nil || text == "0" || text == "0.0" || text == "false" || text == "":
	default:
		f.Default = text
	}
	if f.Struct != nil && !f.Array && f.nullable() {
		f.Default = "null"
	}
}

// merge adds to s the fields that old, an earlier release's form of it, has in the versions.
func merge(t *testing.T, s, old *Struct, versions Range) {
	at := 0
	for _, f := range old.Fields {
		r, null := f.Versions.intersect(versions), f.Null.intersect(versions)
		if r.empty() {
			continue
		}
		i := slices.IndexFunc(s.Fields, func(g *Field) bool { return g.Name == f.Name && g.Type == f.Type && g.Tag == f.Tag })
		if i < 0 {
			f.Versions, f.Null, f.Ignorable = r, null, true // what Kafka dropped troubles no version that it kept
			s.Fields = slices.Insert(s.Fields, at, f)
			at++
			continue
		}
		if i < at && f.Tag < 0 {
			t.Fatalf("%s.%s stands elsewhere in an earlier release", s.Name, f.Name)
		}
		at = max(at, i+1)
		g := s.Fields[i]
		if r.Hi+1 != g.Versions.Lo || !null.empty() && !g.Null.empty() && null.Hi+1 != g.Null.Lo {
			t.Fatalf("%s.%s has a gap between releases", s.Name, f.Name)
		}
		if g.Versions.Lo = r.Lo; !null.empty() {
			g.Null = Range{null.Lo, max(null.Hi, g.Null.Hi)}
		}
		if f.Struct != nil {
			merge(t, g.Struct, f.Struct, r)
		}
	}
	s.Versions.Lo = min(s.Versions.Lo, versions.Lo)
}

// definitions parses everything in def.
func definitions(t *testing.T) (files []*File) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "def", "*.def"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parse(filepath.Base(path), string(text))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}
