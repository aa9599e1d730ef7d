package main

import (
	"strings"
	"testing"
)

// The generated files are what the definitions say: nobody edited one, nobody forgot to run
// go generate.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	if err := run("..", true); err != nil {
		t.Fatal(err)
	}
}

func TestParseErrors(t *testing.T) {
	const head = "api 1 Fetch\n\nrequest 4-18 flexible 12+\n"
	for _, c := range []struct{ name, text, want string }{
		{"field outside", "    A int8\n", "1: a field outside of a message"},
		{"odd indent", head + "   A int8\n", "4: indent is not a multiple"},
		{"unknown type", head + "    A int9\n", "FetchRequest.A: unknown type int9"},
		{"unknown attribute", head + "    A int8 nul\n", `4: A: unknown attribute "nul"`},
		{"empty range", head + "    A int8 7-5\n", "4: version range \"7-5\" is empty"},
		{"outside of the message", head + "    A int8 19+\n", "4: A occurs in no version"},
		{"scalar null", head + "    A int8 null\n", "int8 cannot be null"},
		{"tag in old version", head + "    A int8 11+ tag=0\n", "tagged in version 11, which is not flexible"},
		{"tag gap", head + "    A int8 12+ tag=1\n", "tags are [1]: numbers twice or with gaps"},
		{"default null", head + "    A string default=null\n", "default is null but null is not allowed"},
		{"ignorable everywhere", head + "    A int8 ignorable\n", "ignorable, but every version has it"},
		{"struct twice", head + "    A []S\n        B int8\n    C []S\n        B int8\n", "struct S is defined twice"},
		{"too deep", head + "    A []S\n            B int8\n", "is indented too far"},
		{"struct null without default", head + "    A S null\n        B int8\n", "must be null by default"},
		{"request without api", "request 0\n", "1: not understood"},
	} {
		if _, err := parse("x.def", c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

func TestMinBytes(t *testing.T) {
	f, err := parse("x.def", `api 1 X
request 0-3 flexible 2+
    A []S
        N  string
        B  bytes     1+
        I  int64     2+  tag=0
        P  []int32   3+  null
`)
	if err != nil {
		t.Fatal(err)
	}
	m := f.Messages[0]
	s := m.Root.Fields[0].Struct
	for v, want := range []int{2, 2 + 4, 1 + 1 + 1, 1 + 1 + 1 + 1} {
		if got := m.structMinBytes(s, v); got != want {
			t.Errorf("version %d: an S takes at least %d bytes, want %d", v, got, want)
		}
	}
	if got, err := m.elementMinBytes(m.Root.Fields[0]); got != 2 || err != nil {
		t.Errorf("got %d, %v; want 2, the least of all versions", got, err)
	}
}
