package config

import (
	"fmt"
	"os"
)

// CheckDataDir makes sure that dir is a directory in which this process may
// make files; it makes the directory if need be. The error is one line that
// says what is wrong and what would be right.
func CheckDataDir(dir string) error {
	const want = "want a directory that this process may write (--data-dir)"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("data directory %s: %w; %s", dir, reason(err), want)
	}
	probe, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return fmt.Errorf("data directory %s: %w; %s", dir, reason(err), want)
	}
	_ = probe.Close()
	if err := os.Remove(probe.Name()); err != nil {
		return fmt.Errorf("data directory %s: %w; %s", dir, reason(err), want)
	}
	return nil
}
