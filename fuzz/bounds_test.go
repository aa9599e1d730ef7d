package fuzz

import (
	"runtime/metrics"
	"testing"
	"time"
)

// Recovery may allocate this many bytes and so many times its input: the file
// system in memory copies files when it maps them, and a frame of 64 bytes has
// a row of 16.
const (
	allocBytesMin = 2 << 20
	allocFactor   = 12
	hangAfter     = time.Minute // far beyond what any input takes on any machine
)

// bounded runs f, which is given n bytes of input, and fails the test when it
// allocates more than that warrants. A hang ends the process.
func bounded(t *testing.T, n int, f func()) {
	t.Helper()
	watch := time.AfterFunc(hangAfter, func() { panic("no answer in " + hangAfter.String()) })
	defer watch.Stop()
	before := allocated()
	f()
	if got, most := allocated()-before, uint64(allocBytesMin+allocFactor*n); got > most {
		t.Errorf("%d bytes allocated for an input of %d, want at most %d", got, n, most)
	}
}

// allocated is how many bytes this process has allocated so far. Other
// goroutines count too: allocBytesMin has room for what the fuzzer does beside.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// TestBoundedSeesTooMuch: an allocation beyond the bound is seen.
func TestBoundedSeesTooMuch(t *testing.T) {
	before := allocated()
	sink = make([]byte, 2*allocBytesMin)
	if got := allocated() - before; got < 2*allocBytesMin {
		t.Errorf("%d bytes seen of %d", got, 2*allocBytesMin)
	}
}

var sink []byte
