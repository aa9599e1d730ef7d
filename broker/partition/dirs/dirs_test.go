package dirs

import (
	"errors"
	"testing"
)

// TestNamesAreNoPaths: whatever a topic is called, its directory is one of those
// beside it, and tells its raft group.
func TestNamesAreNoPaths(t *testing.T) {
	for _, topic := range []string{"", ".", "..", "../victim", "a/b", `a\b`, "a\x00", "a@1"} {
		if name, err := Name(topic, 0, 16); !errors.Is(err, ErrName) || name != "" {
			t.Errorf("topic %q: %q, %v", topic, name, err)
		}
	}
	name, err := Name("a..b", 3, 16)
	if group, ok := GroupOf(name); name != "a..b-3@16" || err != nil || group != 16 || !ok {
		t.Errorf("%q, %v, group %d, %v", name, err, group, ok)
	}
}
