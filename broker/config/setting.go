package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Type is a setting's type, numbered as in DescribeConfigs (CF3).
type Type int8

const (
	Boolean Type = 1
	String  Type = 2
	Int     Type = 3
	Short   Type = 4
	Long    Type = 5
	Double  Type = 6
	List    Type = 7
)

func (t Type) String() string {
	return [...]string{Boolean: "boolean", String: "string", Int: "int", Short: "short", Long: "long", Double: "double", List: "list"}[t]
}

// Setting is one row of a table.
type Setting struct {
	Name    string
	Type    Type
	Default string // see NoDefault
	// NoDefault: the default is null; the synonyms decide, or the node.
	NoDefault bool
	Ranges    []Range  // of numbers; empty: all of the type
	Values    []string // of strings and the elements of lists; empty: all
	valid     func(string) error
	Synonyms  []Synonym // settings of the broker to fall back to, in order
	Doc       string

	Acts      bool   // the broker acts on it; otherwise it is reported only
	Dynamic   bool   // broker settings: can change at run time
	Sensitive bool   // never shown
	Flag      string // broker settings: the command line flag that governs it instead
}

// Range is an inclusive range of numbers.
type Range struct{ Min, Max int64 }

// Synonym is a broker setting that stands in for another, in units of Scale:
// the value in milliseconds of log.retention.hours is 3600000 times its own.
// A negative number means without limit in any unit. Synonyms with a scale are
// of type int, so that no value overflows.
type Synonym struct {
	Name  string
	Scale int64
}

// convert turns a synonym's value into that of the setting.
func (s Synonym) convert(value string) string {
	if s.Scale == 1 {
		return value
	}
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return value // refused by check
	case n < 0:
		return "-1"
	}
	return strconv.FormatInt(n*s.Scale, 10)
}

// Valid says what values are valid, in words.
func (s *Setting) Valid() string {
	switch {
	case len(s.Values) > 0 && s.Type == List:
		return "a list of " + strings.Join(s.Values, ", ")
	case len(s.Values) > 0:
		return "one of " + strings.Join(s.Values, ", ")
	case s.Type == Boolean:
		return "true or false"
	case len(s.Ranges) == 0:
		return "any " + s.Type.String()
	}
	var parts []string
	for _, r := range s.Ranges {
		switch {
		case r.Min == r.Max:
			parts = append(parts, strconv.FormatInt(r.Min, 10))
		case r.Max == math.MaxInt64:
			parts = append(parts, fmt.Sprintf("at least %d", r.Min))
		default:
			parts = append(parts, fmt.Sprintf("%d to %d", r.Min, r.Max))
		}
	}
	return strings.Join(parts, " or ")
}

// valueBytesMax is what a string of Kafka's protocol holds. A list that is
// appended to could grow beyond.
const valueBytesMax = 1<<15 - 1

// Check returns an error of kind InvalidConfig unless the value is valid.
func (s *Setting) Check(value string) error {
	value = strings.TrimSpace(value)
	if len(value) > valueBytesMax {
		return invalidConfig(s.Name, "%s has %d bytes, at most %d can be kept", s.Name, len(value), valueBytesMax)
	}
	ok, want := true, "valid is "
	switch s.Type {
	case Boolean:
		_, ok = parseBool(value)
	case Int, Short, Long:
		bits := map[Type]int{Int: 32, Short: 16, Long: 64}[s.Type]
		n, err := strconv.ParseInt(value, 10, bits)
		if errors.Is(err, strconv.ErrSyntax) {
			want = "want a whole number, "
		}
		ok = err == nil && (len(s.Ranges) == 0 || slices.ContainsFunc(s.Ranges, func(r Range) bool { return r.Min <= n && n <= r.Max }))
	case Double:
		f, err := strconv.ParseFloat(value, 64)
		ok = err == nil && !slices.ContainsFunc(s.Ranges, func(r Range) bool { return !(float64(r.Min) <= f && f <= float64(r.Max)) })
	case String:
		ok = len(s.Values) == 0 || slices.Contains(s.Values, value)
	case List:
		seen := map[string]bool{}
		for _, e := range parseList(value) {
			ok = ok && e != "" && !seen[e] && (len(s.Values) == 0 || slices.Contains(s.Values, e))
			seen[e] = true
		}
	}
	if ok && s.valid != nil {
		if err := s.valid(value); err != nil {
			return invalidConfig(s.Name, "%s = %q: %v", s.Name, value, err)
		}
	}
	if !ok {
		return invalidConfig(s.Name, "%s = %q: %s%s", s.Name, value, want, s.Valid())
	}
	return nil
}

func parseBool(s string) (v, ok bool) {
	switch strings.ToLower(s) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

// parseList splits at commas; the empty string is the empty list.
func parseList(s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// ErrorKind says what a change failed for. Its number is the Kafka error code.
type ErrorKind int16

const (
	InvalidConfig  ErrorKind = 40 // an unknown name or a bad value
	InvalidRequest ErrorKind = 42 // an operation that makes no sense, or a setting that cannot change at run time
)

// Error is a refused setting.
type Error struct {
	Kind ErrorKind
	Name string // of the setting, "" when it is about several
	Msg  string
}

func (e *Error) Error() string { return e.Msg }

func invalidConfig(name, format string, args ...any) error {
	return &Error{Kind: InvalidConfig, Name: name, Msg: fmt.Sprintf(format, args...)}
}

func invalidRequest(name, format string, args ...any) error {
	return &Error{Kind: InvalidRequest, Name: name, Msg: fmt.Sprintf(format, args...)}
}

// table is settings by name.
type table struct {
	rows   []Setting // sorted by name
	byName map[string]*Setting
}

func newTable(rows []Setting) *table {
	slices.SortFunc(rows, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
	t := &table{rows: rows, byName: make(map[string]*Setting, len(rows))}
	for i := range rows {
		if t.byName[rows[i].Name] != nil {
			panic("BUG: two rows for " + rows[i].Name)
		}
		t.byName[rows[i].Name] = &rows[i]
	}
	return t
}

// find returns a setting, or an error that names the nearest one.
func (t *table) find(name string) (*Setting, error) {
	if s := t.byName[name]; s != nil {
		return s, nil
	}
	near, off := t.nearest(name)
	switch {
	case near == "": // an empty table
		return nil, invalidConfig(name, "unknown setting %q", name)
	case off > max(2, len(name)/3): // hardly a misspelling
		return nil, invalidConfig(name, "unknown setting %q: the nearest there is, is %q", name, near)
	}
	return nil, invalidConfig(name, "unknown setting %q: did you mean %q?", name, near)
}

// nearest is the name with the smallest edit distance, and that.
func (t *table) nearest(name string) (best string, bestDistance int) {
	bestDistance = math.MaxInt
	for i := range t.rows {
		if d := distance(name, t.rows[i].Name); d < bestDistance {
			best, bestDistance = t.rows[i].Name, d
		}
	}
	return best, bestDistance
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
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

// TopicSettings and BrokerSettings are the tables, sorted by name. They must
// not be changed.
func TopicSettings() []Setting  { return topicTable.rows }
func BrokerSettings() []Setting { return brokerTable.rows }
