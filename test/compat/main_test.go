package compat

import (
	"os"
	"slices"
	"strings"
	"testing"

	"chronik/test/harness"
)

// process is the lifetime of the shared broker: the whole test binary.
var process = harness.Outside()

func TestMain(m *testing.M) {
	status := m.Run()
	process.End()
	os.Exit(status)
}

func containsWord(list, word string) bool { return slices.Contains(strings.Split(list, ","), word) }
