package config

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// entry is one value of a TOML file, or the header of one of its tables.
type entry struct {
	path []string // names from the top; an element of an array is "[0]"
	line int
	kind string // string, integer, boolean, table, or what else TOML has
	text string // the value, unquoted
}

// name is the entry's path as it is written in messages.
func (e *entry) name() string {
	return strings.ReplaceAll(strings.Join(e.path, "."), ".[", "[")
}

// parseFile reads a TOML document into its entries, in the order of the file.
// The error is one line that begins with the file and line.
func parseFile(file string, data []byte) ([]entry, error) {
	var whole map[string]any
	if err := toml.Unmarshal(data, &whole); err != nil {
		var bad *toml.DecodeError
		if errors.As(err, &bad) {
			line, _ := bad.Position()
			return nil, fmt.Errorf("%s:%d: %s", file, line, strings.TrimPrefix(bad.Error(), "toml: "))
		}
		return nil, fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "toml: "))
	}
	// The document is sound; walk it again for the lines, which the decoder
	// does not tell.
	w := walker{data: data, seen: map[string]int{}}
	w.parser.Reset(data)
	for w.parser.NextExpression() {
		w.expression(w.parser.Expression())
	}
	if err := w.parser.Error(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return w.entries, nil
}

type walker struct {
	parser  unstable.Parser
	data    []byte
	table   []string
	seen    map[string]int // arrays of tables: how many there were
	entries []entry
}

func (w *walker) expression(node *unstable.Node) {
	switch node.Kind {
	case unstable.Table, unstable.ArrayTable:
		path, line := w.key(node.Key())
		w.entries = append(w.entries, entry{path: path, line: line, kind: "table"})
		if node.Kind == unstable.ArrayTable {
			name := strings.Join(path, ".")
			path = append(path, fmt.Sprintf("[%d]", w.seen[name]))
			w.seen[name]++
		}
		w.table = path
	case unstable.KeyValue:
		w.keyValue(w.table, node)
	}
}

// key is a dotted key's parts and the line of the first.
func (w *walker) key(parts unstable.Iterator) (path []string, line int) {
	for parts.Next() {
		if path == nil {
			offset := int(parts.Node().Raw.Offset)
			line = 1 + bytes.Count(w.data[:offset], []byte("\n"))
		}
		path = append(path, string(parts.Node().Data))
	}
	return path, line
}

func (w *walker) keyValue(table []string, node *unstable.Node) {
	key, line := w.key(node.Key())
	path := append(append([]string{}, table...), key...)
	w.value(path, line, node.Value())
}

func (w *walker) value(path []string, line int, node *unstable.Node) {
	e := entry{path: path, line: line, text: string(node.Data)}
	switch node.Kind {
	case unstable.InlineTable:
		e.kind, e.text = "table", ""
		w.entries = append(w.entries, e)
		for children := node.Children(); children.Next(); {
			w.keyValue(path, children.Node())
		}
		return
	case unstable.Array:
		e.kind, e.text = "array", ""
		w.entries = append(w.entries, e)
		i := 0
		for children := node.Children(); children.Next(); i++ {
			w.value(append(append([]string{}, path...), fmt.Sprintf("[%d]", i)), line, children.Node())
		}
		return
	case unstable.String:
		e.kind = "string"
	case unstable.Bool:
		e.kind = "boolean"
	case unstable.Integer:
		e.kind = "integer"
		if n, err := strconv.ParseInt(e.text, 0, 64); err == nil {
			e.text = strconv.FormatInt(n, 10)
		}
	case unstable.Float:
		e.kind = "float"
	default:
		e.kind = "date or time"
	}
	w.entries = append(w.entries, e)
}
