package main

import "testing"

// TestFingerprint holds the two properties that the demo's verdict rests on.
func TestFingerprint(t *testing.T) {
	of := func(kvs ...string) string {
		f := newFingerprint()
		for i := 0; i < len(kvs); i += 2 {
			f.add([]byte(kvs[i]), []byte(kvs[i+1]))
		}
		return f.sum()
	}
	base := of("a", "1", "b", "1", "a", "2")
	if got := of("b", "1", "a", "1", "a", "2"); got != base {
		t.Error("the order between keys counts")
	}
	for name, other := range map[string]string{
		"order within a key": of("a", "2", "b", "1", "a", "1"),
		"a lost record":      of("a", "1", "b", "1"),
		"a repeated record":  of("a", "1", "b", "1", "a", "2", "a", "2"),
		"a changed value":    of("a", "1", "b", "3", "a", "2"),
		"a changed key":      of("a", "1", "c", "1", "a", "2"),
	} {
		if other == base {
			t.Errorf("%s does not count", name)
		}
	}
}
