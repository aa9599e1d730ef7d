package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestHelloComesOutAsItWentIn(t *testing.T) {
	for _, h := range []Hello{
		{Min: 1, Max: 1},
		{Min: 2, Max: 9, Class: Calls, Status: BadNode, Node: 1 << 60, Expected: 3, Cluster: strings.Repeat("c", 255), Words: "why"},
	} {
		b := h.Append(nil)
		for _, later := range []string{"", "what a later release has appended"} {
			if got, err := ParseHello(append(b, later...)); got != h || err != nil {
				t.Errorf("%+v read as %+v, %v", h, got, err)
			}
		}
		for n := range b {
			if got, err := ParseHello(b[:n]); !errors.Is(err, ErrBadFrame) {
				t.Errorf("%d bytes of a hello read as %+v, %v", n, got, err)
			}
		}
	}
	for name, h := range map[string]Hello{"no version": {}, "versions the wrong way round": {Min: 3, Max: 2}} {
		if got, err := ParseHello(h.Append(nil)); !errors.Is(err, ErrBadFrame) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestHelloAnswers: who is welcome, and with which version.
func TestHelloAnswers(t *testing.T) {
	self := Hello{Min: 2, Max: 4, Node: 2, Cluster: "C"}
	good := Hello{Min: 1, Max: 3, Class: Small, Node: 1, Expected: 2, Cluster: "C"}
	with := func(change func(*Hello)) Hello {
		h := good
		change(&h)
		return h
	}
	for _, test := range []struct {
		name    string
		dialer  Hello
		status  Status
		version uint16
	}{
		{"a peer", good, Welcome, 3},
		{"a newer one", with(func(h *Hello) { h.Min, h.Max = 4, 9 }), Welcome, 4},
		{"one that is too new", with(func(h *Hello) { h.Min, h.Max = 5, 9 }), BadVersion, 0},
		{"one that is too old", with(func(h *Hello) { h.Min, h.Max = 1, 1 }), BadVersion, 0},
		{"one of another cluster", with(func(h *Hello) { h.Cluster = "D" }), BadCluster, 0},
		{"one that does not say its cluster", with(func(h *Hello) { h.Cluster = "" }), BadCluster, 0},
		{"one that does not say its cluster, to call", with(func(h *Hello) { h.Cluster, h.Class = "", Calls }), Welcome, 3},
		{"one that wants another node", with(func(h *Hello) { h.Expected = 3 }), BadNode, 0},
		{"one that takes whoever is there", with(func(h *Hello) { h.Expected = 0 }), Welcome, 3},
		{"a connection of another kind", with(func(h *Hello) { h.Class = 9 }), BadClass, 0},
		{"itself", with(func(h *Hello) { h.Node = 2 }), BadNode, 0},
		{"nobody", with(func(h *Hello) { h.Node = 0 }), BadNode, 0},
		{"nobody, to call", with(func(h *Hello) { h.Node, h.Class = 0, Calls }), Welcome, 3},
		{"one with the same id, to call", with(func(h *Hello) { h.Node, h.Class = 2, Calls }), Welcome, 3},
	} {
		a := test.dialer.Answer(self)
		if a.Status != test.status || (a.Words == "") != (a.Status == Welcome) || a.Node != 2 || a.Class != test.dialer.Class {
			t.Errorf("%s: %+v", test.name, a)
		}
		version, err := test.dialer.Accepts(&a)
		if version != test.version || (err == nil) != (test.status == Welcome) || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: version %d, %v", test.name, version, err)
		}
	}
}

// TestHelloToAJoiner: a node that is in no cluster yet takes messages, and is
// taken at its word that it is about to join.
func TestHelloToAJoiner(t *testing.T) {
	h := Hello{Min: 1, Max: 1, Class: Small, Node: 1, Expected: 2, Cluster: "C"}
	a := h.Answer(Hello{Min: 1, Max: 1, Node: 2})
	if version, err := h.Accepts(&a); a.Status != Welcome || version != 1 || err != nil {
		t.Errorf("%+v: version %d, %v", a, version, err)
	}
}

// TestWelcomeThatDoesNotFit: an answer is not taken at its word.
func TestWelcomeThatDoesNotFit(t *testing.T) {
	h := Hello{Min: 1, Max: 3, Class: Small, Node: 1, Expected: 2, Cluster: "C"}
	for name, a := range map[string]Hello{
		"another node":    {Min: 1, Max: 3, Class: Small, Node: 3, Cluster: "C"},
		"another cluster": {Min: 1, Max: 3, Class: Small, Node: 2, Cluster: "D"},
		"another version": {Min: 4, Max: 4, Class: Small, Node: 2, Cluster: "C"},
	} {
		if version, err := h.Accepts(&a); version != 0 || !errors.Is(err, ErrRefused) {
			t.Errorf("%s: version %d, %v", name, version, err)
		}
	}
}
