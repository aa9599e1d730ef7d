package config

import (
	"fmt"
	"strings"
)

// peers makes the list of peers from the file's entries under cluster.peers:
// [[cluster.peers]] with id and addr, or [cluster.peers] with nodes, an array
// of {id, addr}.
func (l *loader) peers(file string, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	type parts struct{ id, addr string }
	var order []string
	byElement := map[string]*parts{}
	for _, e := range entries {
		at := fmt.Sprintf("%s:%d", file, e.line)
		rest := strings.TrimPrefix(strings.TrimPrefix(e.name(), "cluster.peers"), ".nodes")
		element, field, ok := strings.Cut(rest, "].")
		switch {
		case rest == "" || (e.kind == "table" && strings.HasSuffix(rest, "]")):
			continue // the header of a table, or the array itself
		case !ok || !strings.HasPrefix(element, "["):
			return fmt.Errorf("%s: unknown %s; did you mean cluster.peers.nodes?", at, described(e))
		case byElement[element] == nil:
			order = append(order, element)
			byElement[element] = &parts{}
		}
		switch {
		case field == "id" && e.kind == "integer":
			byElement[element].id = e.text
		case field == "addr" && e.kind == "string":
			byElement[element].addr = e.text
		case field == "id" || field == "addr":
			return fmt.Errorf("%s: %s is %s here; want id = 2 and addr = \"node2:5002\"", at, e.name(), article(e.kind))
		default:
			return fmt.Errorf("%s: unknown key %s; did you mean %s?", at, e.name(), Nearest(field, []string{"id", "addr"}))
		}
	}
	list := make([]string, len(order))
	for i, element := range order {
		list[i] = byElement[element].id + "@" + byElement[element].addr
	}
	at := fmt.Sprintf("%s:%d", file, entries[0].line)
	return l.set(find("cluster.peers"), strings.Join(list, ","), at, at+": cluster.peers")
}
