package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ban is a call that is not made, and what is done instead.
type ban struct {
	rule    string
	pkg     string   // import path
	names   []string // of functions; empty: all
	except  []string // functions that may be called, when names is empty
	allowed []string // directories, with what is below them
	tests   bool     // holds for tests too
	instead string
}

var bans = []ban{
	{rule: "clock", pkg: "time", names: []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
		allowed: []string{"internal/clock", "cmd"}, instead: "take a clock.Clock"},
	{rule: "sleep", pkg: "time", names: []string{"Sleep"}, tests: true, instead: "poll with a deadline, or move a clock by hand"},
	{rule: "rand", pkg: "math/rand", instead: "use math/rand/v2 with a source that comes in"},
	{rule: "rand", pkg: "math/rand/v2", except: []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8"},
		instead: "take a *rand.Rand"},
	{rule: "print", pkg: "fmt", names: []string{"Print", "Println", "Printf"}, allowed: []string{"cmd", "kafka/msg/gen"}, instead: "log with slog, or take an io.Writer"},
	{rule: "log", pkg: "log", instead: "log with slog"},
	{rule: "exit", pkg: "os", names: []string{"Exit"}, allowed: []string{"cmd", "kafka/msg/gen"}, instead: "return an error"},
	{rule: "files", pkg: "os", names: []string{"Open", "OpenFile", "OpenRoot", "Create", "CreateTemp", "ReadFile", "WriteFile", "ReadDir", "Mkdir", "MkdirAll", "MkdirTemp",
		"Remove", "RemoveAll", "Rename", "Truncate", "Stat", "Lstat", "Link", "Symlink", "Chmod", "Chtimes", "NewFile", "DirFS"},
		allowed: []string{"internal/vfs", "internal/config", "cmd", "kafka/msg/gen"}, instead: "take a vfs.FS"},
}

func TestBans(t *testing.T) {
	tr, e := readTree(t), readExceptions(t)
	calls := 0
	for _, f := range tr.files {
		if isBeside(f.dir) && !f.test {
			continue
		}
		counts := map[string]int{}
		where := map[string][]string{}
		names := importNames(f.syntax)
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			ident, ok := selector.X.(*ast.Ident)
			if !ok || names[ident.Name] == "" {
				return true
			}
			calls++
			for i := range bans {
				if bans[i].hits(f, names[ident.Name], selector.Sel.Name) {
					rule := bans[i].rule
					counts[rule]++
					where[rule] = append(where[rule], fmt.Sprintf("line %d: %s.%s: %s",
						tr.fset.Position(selector.Pos()).Line, names[ident.Name], selector.Sel.Name, bans[i].instead))
				}
			}
			return true
		})
		for rule, n := range counts {
			e.check(t, rule, f.path, n, 0, strings.Join(where[rule], "; "))
		}
	}
	for _, rule := range []string{"clock", "sleep", "rand", "print", "log", "exit", "files"} {
		e.finish(t, rule)
	}
	t.Logf("bans: %d references to other packages against %d rules", calls, len(bans))
}

func (b *ban) hits(f *goFile, pkg, name string) bool {
	if pkg != b.pkg || (f.test && !b.tests) || !ast.IsExported(name) {
		return false
	}
	for _, dir := range b.allowed {
		if f.dir == dir || strings.HasPrefix(f.dir, dir+"/") {
			return false
		}
	}
	if len(b.names) > 0 {
		return slices.Contains(b.names, name)
	}
	return !slices.Contains(b.except, name)
}

// importNames maps the names under which a file knows packages to their paths.
func importNames(f *ast.File) map[string]string {
	names := map[string]string{}
	for _, spec := range f.Imports {
		full, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(full)
		if name == "v2" || name == "v3" || name == "v4" {
			name = path.Base(path.Dir(full))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = full
	}
	return names
}

// TestPanicsSayBug holds that we panic only for broken invariants of our own.
func TestPanicsSayBug(t *testing.T) {
	tr, e := readTree(t), readExceptions(t)
	panics := 0
	for _, f := range tr.files {
		if f.test || f.generated {
			continue
		}
		bad := 0
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if ident, ok := call.Fun.(*ast.Ident); ok && ident.Name == "panic" && len(call.Args) == 1 {
				panics++
				_, again := call.Args[0].(*ast.Ident) // what was recovered, and is not ours
				if !again && !strings.HasPrefix(firstString(call.Args[0]), "BUG:") {
					bad++
				}
			}
			return true
		})
		e.check(t, "panic", f.path, bad, 0, fmt.Sprintf("%d panics whose message does not begin with BUG: return an error, or say whose fault it is", bad))
	}
	e.finish(t, "panic")
	t.Logf("panics: %d, each for a broken invariant", panics)
}

// firstString is the string literal that an expression begins with.
func firstString(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.BasicLit:
		if x.Kind == token.STRING {
			text, _ := strconv.Unquote(x.Value)
			return text
		}
	case *ast.BinaryExpr:
		return firstString(x.X)
	case *ast.CallExpr: // fmt.Sprintf, errors.New, fmt.Errorf
		if len(x.Args) > 0 {
			return firstString(x.Args[0])
		}
	}
	return ""
}

func TestPackageNamesSaySomething(t *testing.T) {
	tr := readTree(t)
	for _, dir := range tr.packages() {
		if slices.Contains([]string{"types", "common", "util", "utils", "helpers", "misc", "shared"}, path.Base(dir)) {
			t.Errorf("%s: the name says nothing of what is in it", dir)
		}
	}
	t.Logf("names: %d packages", len(tr.packages()))
}
