package compat

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// process stands for the whole test binary where a broker outlives the test that started it. Only the methods that
// harness.Prepare uses are there.
var process = &lifetime{}

type lifetime struct {
	testing.TB
	ends []func()
}

func (l *lifetime) Helper()                    {}
func (l *lifetime) Cleanup(f func())           { l.ends = append(l.ends, f) }
func (l *lifetime) Failed() bool               { return false } // each failed test shows the log itself
func (l *lifetime) Logf(f string, args ...any) { fmt.Printf(f+"\n", args...) }
func (l *lifetime) Fatal(args ...any)          { panic(fmt.Sprint(args...)) }

func TestMain(m *testing.M) {
	status := m.Run()
	slices.Reverse(process.ends)
	for _, f := range process.ends {
		f()
	}
	os.Exit(status)
}

func containsWord(list, word string) bool { return slices.Contains(strings.Split(list, ","), word) }
