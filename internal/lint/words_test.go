package lint

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"testing"
)

// words that do not belong in the repository. The expressions are written so
// that they do not find themselves.
var words = []struct {
	rule string
	form *regexp.Regexp
	why  string
}{
	{"unfinished", regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`), "work left undone: do it, or say in the README that it is not built"},
	{"machine", regexp.MustCompile(`(^|[\s"'=(:` + "`" + `])/(wo` + `rk|ro` + `ot|ho` + `me)/`), "a path of one machine"},
	{"conflict", regexp.MustCompile(`(?m)^(<<<` + `<<<<|>>>` + `>>>>) `), "a merge that was not finished"},
}

func TestWords(t *testing.T) {
	tr, e := readTree(t), readExceptions(t)
	lines := 0
	for name, text := range tr.texts {
		if path.Base(name) == "go.sum" || name == "LICENSE" {
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			lines++
			for _, w := range words {
				if found := w.form.FindString(line); found != "" {
					e.check(t, w.rule, fmt.Sprintf("%s:%d", name, i+1), 1, 0, fmt.Sprintf("%q: %s", strings.TrimSpace(found), w.why))
				}
			}
		}
	}
	for _, w := range words {
		e.finish(t, w.rule)
	}
	t.Logf("words: %d lines of %d files", lines, len(tr.texts))
}
