package harness

import "testing"

func TestParseMetrics(t *testing.T) {
	m, err := ParseMetrics("# HELP a b\na{x=\"1\",y=\"q\\\"}, \\\\\"} 2.5\na{x=\"2\"} 3 1700000\n\nplain 1e3\n")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := m.Value("a", "y", `q"}, \`); err != nil || v != 2.5 {
		t.Errorf("got %v, %v", v, err)
	}
	if v := m.Sum("a"); v != 5.5 {
		t.Errorf("the sum is %v", v)
	}
	if v, err := m.Value("plain"); err != nil || v != 1000 {
		t.Errorf("got %v, %v", v, err)
	}
	if _, err := m.Value("a"); err == nil {
		t.Error("two samples are one value")
	}
	for _, bad := range []string{"a", "a{x} 1", "a{x=\"1} 2", "a{x=\"1\"}", "a b"} {
		if m, err := ParseMetrics(bad); err == nil {
			t.Errorf("%q is read as %v", bad, m)
		}
	}
}
