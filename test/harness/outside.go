package harness

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// Lifetime stands for a test where there is none, or where a broker outlives the test that started it: it has the
// methods of testing.TB that this package uses, and End runs what Cleanup gathered, last first.
type Lifetime struct {
	testing.TB
	mu   sync.Mutex
	ends []func()
}

// Outside returns a Lifetime. Its Fatal panics.
func Outside() *Lifetime { return &Lifetime{} }

// End runs the clean-ups.
func (l *Lifetime) End() {
	l.mu.Lock()
	ends := l.ends
	l.ends = nil
	l.mu.Unlock()
	slices.Reverse(ends)
	for _, f := range ends {
		f()
	}
}

func (l *Lifetime) Cleanup(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends = append(l.ends, f)
}

func (l *Lifetime) Helper()                           {}
func (l *Lifetime) Failed() bool                      { return false }
func (l *Lifetime) Logf(format string, args ...any)   { fmt.Printf(format+"\n", args...) }
func (l *Lifetime) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (l *Lifetime) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (l *Lifetime) Skipf(format string, args ...any)  { panic(fmt.Sprintf(format, args...)) }
