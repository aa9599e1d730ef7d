package lint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// exceptions are the lines of exceptions.txt: rule, subject, measure, reason.
// The measure is how much of it there is: lines of a function, calls in a file.
type exceptions struct {
	allowed map[string]int // "rule subject" to measure
	used    map[string]int
}

func readExceptions(t *testing.T) *exceptions {
	t.Helper()
	text, err := os.ReadFile("exceptions.txt")
	if err != nil {
		t.Fatal(err)
	}
	e := &exceptions{allowed: map[string]int{}, used: map[string]int{}}
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 4 {
			t.Fatalf("exceptions.txt:%d: want: rule subject measure reason", i+1)
		}
		measure, err := strconv.Atoi(fields[2])
		if err != nil {
			t.Fatalf("exceptions.txt:%d: the measure %q is no number", i+1, fields[2])
		}
		e.allowed[fields[0]+" "+fields[1]] = measure
	}
	return e
}

// check compares what a rule measured with what is allowed without an
// exception, and reports what is too much.
func (e *exceptions) check(t *testing.T, rule, subject string, measure, free int, what string) {
	t.Helper()
	if measure <= free {
		return
	}
	key := rule + " " + subject
	e.used[key] = measure
	allowed, ok := e.allowed[key]
	switch {
	case !ok:
		t.Errorf("%s: %s", subject, what)
	case measure > allowed:
		t.Errorf("%s: %s; its exception allows %d", subject, what, allowed)
	}
}

// finish reports exceptions of the rule that are needed less than they allow.
func (e *exceptions) finish(t *testing.T, rule string) {
	t.Helper()
	for key, allowed := range e.allowed {
		name, subject, _ := strings.Cut(key, " ")
		if used := e.used[key]; name == rule && used < allowed {
			remedy := fmt.Sprintf("lower it to %d", used)
			if used == 0 {
				remedy = "remove it"
			}
			t.Errorf("exceptions.txt: %s %s allows %d and %d is used: %s", rule, subject, allowed, used, remedy)
		}
	}
}
