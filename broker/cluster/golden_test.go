package cluster

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// golden reads a file of commands, written by a release with that version.
// These files are never written anew.
func golden(t *testing.T, version int8) (names []string, encoded [][]byte) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("testdata/commands-v%d.txt", version))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		name, text, _ := strings.Cut(lines.Text(), " ")
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		names, encoded = append(names, name), append(encoded, b)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return names, encoded
}

// TestGoldenCommands: what each version wrote is read, and means the same.
func TestGoldenCommands(t *testing.T) {
	for version := int8(1); version <= formatVersion; version++ {
		names, encoded := golden(t, version)
		want := map[string]Command{}
		for _, c := range commands() {
			if r, ok := c.(*RegisterBroker); ok && version == 1 {
				r.RaftAddr, r.Dir, r.FeatureLevel = "", [16]byte{}, 0
			}
			want[strings.TrimPrefix(fmt.Sprintf("%T", c), "*cluster.")] = c
		}
		for i, name := range names {
			p, rest, err := Decode(encoded[i])
			if err != nil || len(rest) > 0 || p.Node != 7 || p.Seq != uint64(i) || !reflect.DeepEqual(p.Command, want[name]) {
				t.Errorf("version %d, %s: read %+v of node %d, %d; %v", version, name, p.Command, p.Node, p.Seq, err)
			}
			delete(want, name)
		}
		if version == formatVersion && len(want) > 0 {
			t.Errorf("no golden bytes of version %d for %v", version, want)
		}
	}
}

// TestGoldenBytes: this release writes the present version as it was when it
// was released.
func TestGoldenBytes(t *testing.T) {
	_, encoded := golden(t, formatVersion)
	for i, c := range commands() {
		b := Proposed{Node: 7, Seq: uint64(i), Command: c}.Append(nil)
		if i >= len(encoded) || string(encoded[i]) != string(b) {
			t.Errorf("%T is written as %x", c, b)
		}
	}
}
