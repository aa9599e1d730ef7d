// Command gen writes the Go code of kafka/msg from the definitions in kafka/msg/def.
//
// It runs in the directory of package msg: go generate ./kafka/msg. The output depends on the
// definitions alone. With -check it writes nothing and fails if a file on disk differs from
// what it would write.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

func main() {
	check := flag.Bool("check", false, "compare with the files on disk instead of writing them")
	dir := flag.String("dir", ".", "directory of package msg")
	flag.Parse()
	if err := run(*dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	files, err := generate(dir)
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*_gen.go"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if _, ok := files[filepath.Base(path)]; ok {
			continue
		}
		if check {
			return fmt.Errorf("%s has no definition", path)
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	for name, code := range files {
		path := filepath.Join(dir, name)
		have, err := os.ReadFile(path)
		if err == nil && bytes.Equal(have, code) {
			continue
		}
		if check {
			return fmt.Errorf("%s is not what its definition says; run go generate ./kafka/msg", path)
		}
		if err := os.WriteFile(path, code, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the generated files of the definitions in dir/def, by name.
func generate(dir string) (map[string][]byte, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "def", "*.def"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no definitions in %s/def", dir)
	}
	out := map[string][]byte{}
	types := map[string]string{}
	var defs []*File
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		f, err := parse(filepath.Base(path), string(text))
		if err != nil {
			return nil, err
		}
		for _, m := range f.Messages {
			for _, s := range m.Structs {
				if other := types[s.Name]; other != "" {
					return nil, fmt.Errorf("%s: struct %s stands in %s too", f.Path, s.Name, other)
				}
				types[s.Name] = f.Path
			}
		}
		code, err := emit(f)
		if err != nil {
			return nil, err
		}
		out[strings.TrimSuffix(f.Path, ".def")+"_gen.go"] = code
		defs = append(defs, f)
	}
	sort.SliceStable(defs, func(i, j int) bool { return defs[i].Key < defs[j].Key })
	if out["apis_gen.go"], err = emitTable(defs); err != nil {
		return nil, err
	}
	out["types_gen.go"], err = emitTypes(defs)
	return out, err
}
