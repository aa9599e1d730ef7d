package lint

import (
	"fmt"
	"go/ast"
	"testing"
)

// The budgets, in lines.
const (
	functionLinesMax = 70
	fileLinesMax     = 500
	packageLinesMax  = 2000
)

func TestBudgets(t *testing.T) {
	tr, e := readTree(t), readExceptions(t)
	perPackage := map[string]int{}
	functions := 0
	for _, f := range tr.files {
		if f.generated {
			continue
		}
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			functions++
			lines := tr.fset.Position(fn.End()).Line - tr.fset.Position(fn.Pos()).Line + 1
			e.check(t, "function", f.path+":"+functionName(fn), lines, functionLinesMax,
				fmt.Sprintf("%d lines; a function has at most %d", lines, functionLinesMax))
		}
		if f.test {
			continue
		}
		e.check(t, "file", f.path, f.lines, fileLinesMax, fmt.Sprintf("%d lines; a file has at most %d", f.lines, fileLinesMax))
		perPackage[f.dir] += f.lines
	}
	for dir, lines := range perPackage {
		e.check(t, "package", dir, lines, packageLinesMax, fmt.Sprintf("%d lines; a package has at most %d", lines, packageLinesMax))
	}
	for _, rule := range []string{"function", "file", "package"} {
		e.finish(t, rule)
	}
	t.Logf("budgets: %d functions of at most %d lines, %d packages of at most %d", functions, functionLinesMax, len(perPackage), packageLinesMax)
}

// functionName is a function's name, with its receiver's type in front.
func functionName(fn *ast.FuncDecl) string {
	if receiver := receiverName(fn); receiver != "" {
		return receiver + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// receiverName is the name of a method's type, "" for a function.
func receiverName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	receiver := fn.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr:
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.Ident:
			return r.Name
		default:
			return ""
		}
	}
}
