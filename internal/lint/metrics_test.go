package lint

import (
	"go/ast"
	"slices"
	"testing"
)

// metricsOwners are the structs of internal/metrics whose exported fields and
// methods are what others set.
var metricsOwners = []string{"Metrics", "Kafka", "API", "Storage", "Raft", "peers", "RPC", "Snapshot", "Partition", "Follower", "Group", "GroupLag"}

// TestEverySeriesIsSet holds that whatever internal/metrics offers to be set
// is set by somebody: a series that is registered and never set is a lie.
func TestEverySeriesIsSet(t *testing.T) {
	tr, e := readTree(t), readExceptions(t)
	offered := map[string]bool{}
	used := map[string]bool{}
	for _, f := range tr.files {
		if f.test {
			continue
		}
		if f.dir == "internal/metrics" {
			for _, name := range settable(f.syntax) {
				offered[name] = true
			}
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				used[n.Sel.Name] = true
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok {
					used[key.Name] = true
				}
			}
			return true
		})
	}
	for name := range offered {
		unset := 0
		if !used[name] {
			unset = 1
		}
		e.check(t, "metric", name, unset, 0, "internal/metrics has it and nothing sets it: set it, or remove it")
	}
	e.finish(t, "metric")
	t.Logf("metrics: %d fields and functions that others set", len(offered))
}

// settable are the exported fields and methods of metricsOwners in one file.
func settable(f *ast.File) []string {
	var names []string
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv != nil && d.Name.IsExported() && slices.Contains(metricsOwners, receiverName(d)) {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				named, ok := spec.(*ast.TypeSpec)
				if !ok || !slices.Contains(metricsOwners, named.Name.Name) {
					continue
				}
				structure, ok := named.Type.(*ast.StructType)
				if !ok {
					continue
				}
				for _, field := range structure.Fields.List {
					for _, name := range field.Names {
						if name.IsExported() {
							names = append(names, name.Name)
						}
					}
				}
			}
		}
	}
	return names
}
