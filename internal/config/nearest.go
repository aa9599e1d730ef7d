package config

import (
	"slices"
	"strings"
)

// Nearest is the candidate with the smallest edit distance to word; the first
// of equals. It is "" when there are no candidates.
func Nearest(word string, candidates []string) string {
	best, distance := "", -1
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(word), strings.ToLower(c)); distance < 0 || d < distance {
			best, distance = c, d
		}
	}
	return best
}

// nearestSetting is the known key or table that looks most like an entry's. A
// key in the wrong table counts as one letter off.
func nearestSetting(e entry) string {
	if e.kind == "table" {
		return "[" + Nearest(e.name(), tables()) + "]"
	}
	table := strings.Join(e.path[:len(e.path)-1], ".")
	key := e.path[len(e.path)-1]
	best, distance := "", -1
	for i := range settings {
		s := &settings[i]
		d := editDistance(e.name(), s.name())
		if s.table != table {
			d = min(d, editDistance(key, s.key)+1)
		}
		if distance < 0 || d < distance {
			best, distance = s.name(), d
		}
	}
	return best
}

// editDistance is Levenshtein's: insertions, deletions and replacements.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// find is the setting with that full name, or nil.
func find(name string) *setting {
	for i := range settings {
		if settings[i].name() == name {
			return &settings[i]
		}
	}
	return nil
}

// tables are the names of the file's tables.
func tables() []string {
	names := []string{}
	for i := range settings {
		if !slices.Contains(names, settings[i].table) {
			names = append(names, settings[i].table)
		}
	}
	return append(names, "cluster.peers", "kafka")
}

func isTable(name string) bool { return slices.Contains(tables(), name) }
