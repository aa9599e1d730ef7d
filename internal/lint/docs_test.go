package lint

import (
	"flag"
	"fmt"
	"go/doc"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the packages' sentences into docs/ARCHITECTURE.md")

const architecture = "docs/ARCHITECTURE.md"

// tableHead is the header of the package list in docs/ARCHITECTURE.md.
const tableHead = "| level | package | sentence |\n|---|---|---|\n"

// TestSentences holds that every package opens its doc.go with one sentence,
// which stands in the architecture's list of packages.
func TestSentences(t *testing.T) {
	tr := readTree(t)
	var rows []string
	for _, dir := range tr.packages() {
		if isBeside(dir) || tr.isTool(dir) {
			continue
		}
		sentence := tr.sentence(t, dir)
		rows = append(rows, fmt.Sprintf("| %d | `%s` | %s |", table[dir].level/10, dir, sentence))
	}
	slices.SortStableFunc(rows, func(a, b string) int { return strings.Compare(b[:4], a[:4]) }) // highest level first
	want := strings.Join(rows, "\n") + "\n"

	text := string(tr.texts[architecture])
	before, after, ok := strings.Cut(text, tableHead)
	if !ok {
		t.Fatalf("%s has no list of packages: want the header\n%s", architecture, tableHead)
	}
	end := 0
	for line := range strings.Lines(after) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		end += len(line)
	}
	if *rewrite {
		text = before + tableHead + want + after[end:]
		if err := os.WriteFile(filepath.Join(root, architecture), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have := strings.Split(strings.TrimSuffix(after[:end], "\n"), "\n")
	for _, row := range rows {
		if !slices.Contains(have, row) {
			t.Errorf("%s lacks the line (go test ./internal/lint -run Sentences -rewrite writes it)\n%s", architecture, row)
		}
	}
	for _, row := range have {
		if row != "" && !slices.Contains(rows, row) {
			t.Errorf("%s has a line that no doc.go says\n%s", architecture, row)
		}
	}
	t.Logf("sentences: %d packages", len(rows))
}

// isTool reports whether a directory holds a program that is no part of the
// product, as a generator.
func (tr *tree) isTool(dir string) bool {
	for _, f := range tr.files {
		if f.dir == dir && !f.test {
			return f.syntax.Name.Name == "main" && !strings.HasPrefix(dir, "cmd/")
		}
	}
	return false
}

// sentence is the first sentence of a package's doc.go, without the words
// "Package x".
func (tr *tree) sentence(t *testing.T, dir string) string {
	t.Helper()
	for _, f := range tr.files {
		if f.path != dir+"/doc.go" {
			continue
		}
		synopsis := new(doc.Package).Synopsis(f.syntax.Doc.Text())
		for _, opening := range []string{"Package " + f.syntax.Name.Name + " ", "Command " + path.Base(dir) + " "} {
			if rest, ok := strings.CutPrefix(synopsis, opening); ok && strings.HasSuffix(rest, ".") {
				return rest
			}
		}
		t.Errorf("%s opens with %q: want one whole sentence that begins with Package %s or Command %s",
			f.path, synopsis, f.syntax.Name.Name, path.Base(dir))
		return ""
	}
	t.Errorf("%s has no doc.go", dir)
	return ""
}

var (
	linkForm    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingForm = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	fenceForm   = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	codeForm    = regexp.MustCompile("`[^`\n]*`")
)

// TestLinks holds that relative links in documents lead to a file, and to a
// heading where they name one.
func TestLinks(t *testing.T) {
	tr := readTree(t)
	links, documents := 0, 0
	for name, text := range tr.texts {
		if path.Ext(name) != ".md" {
			continue
		}
		documents++
		prose := codeForm.ReplaceAll(fenceForm.ReplaceAll(text, nil), nil)
		for _, match := range linkForm.FindAllSubmatch(prose, -1) {
			target, anchor, _ := strings.Cut(string(match[1]), "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			file := name
			if target != "" {
				file = path.Join(path.Dir(name), target)
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, match[1])
			} else if anchor != "" && !hasHeading(tr.texts[file], anchor) {
				t.Errorf("%s links to %s, which has no such heading", name, match[1])
			}
		}
	}
	t.Logf("links: %d in %d documents", links, documents)
}

// hasHeading reports whether a document has a heading of that anchor, as the
// usual renderers make anchors of headings.
func hasHeading(document []byte, anchor string) bool {
	for _, match := range headingForm.FindAllSubmatch(document, -1) {
		made := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
				return r
			}
			return -1
		}, strings.ToLower(string(match[1])))
		if made == anchor {
			return true
		}
	}
	return false
}
