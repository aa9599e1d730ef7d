package lint

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// module is the path that imports of our own packages begin with.
const module = "chronik/"

// goFile is one parsed Go file of the main module.
type goFile struct {
	path      string // from the root, with slashes
	dir       string // the package: path's directory
	test      bool
	generated bool
	lines     int
	syntax    *ast.File
}

// tree is what the rules look at.
type tree struct {
	fset  *token.FileSet
	files []*goFile
	texts map[string][]byte // every text file of the repository, by path
	// modules are directories with a go.mod of their own: their Go files are
	// read as text only.
	modules []string
}

// skipped are directories that are not part of the repository.
var skipped = []string{".git", "bin", "data", "node_modules", "__pycache__", ".cache", "testdata"}

func readTree(t *testing.T) *tree {
	t.Helper()
	tr := &tree{fset: token.NewFileSet(), texts: map[string][]byte{}}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.IsDir() {
			if rel != "." && slices.Contains(skipped, entry.Name()) {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && rel != "." {
				tr.modules = append(tr.modules, rel+"/")
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		return tr.add(name, rel)
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func (tr *tree) add(name, rel string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
		return nil // not text
	}
	tr.texts[rel] = text
	if !strings.HasSuffix(rel, ".go") || slices.ContainsFunc(tr.modules, func(dir string) bool { return strings.HasPrefix(rel, dir) }) {
		return nil
	}
	syntax, err := parser.ParseFile(tr.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	tr.files = append(tr.files, &goFile{
		path: rel, dir: path.Dir(rel), syntax: syntax,
		test:      strings.HasSuffix(rel, "_test.go"),
		generated: strings.HasSuffix(rel, "_gen.go"),
		lines:     bytes.Count(text, []byte("\n")),
	})
	return nil
}

// packages are the directories with Go files that are no tests, sorted.
func (tr *tree) packages() []string {
	var dirs []string
	for _, f := range tr.files {
		if !f.test && !slices.Contains(dirs, f.dir) {
			dirs = append(dirs, f.dir)
		}
	}
	slices.Sort(dirs)
	return dirs
}
