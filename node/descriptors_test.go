package node

import (
	"errors"
	"net"
	"os"
	"testing"

	"chronik/internal/vfs"
)

func TestDescriptorsKept(t *testing.T) {
	for limit, want := range map[int]int{64: 32, 256: 64, 1024: 128, 20000: 2500} {
		if got := descriptorsKept(limit); got != want {
			t.Errorf("of %d are kept %d, want %d", limit, got, want)
		}
	}
}

func TestFull(t *testing.T) {
	defer func() { descriptorsLeft = vfs.Descriptors }()
	for _, c := range []struct {
		open, limit   int
		err           error
		full, halfway bool
	}{
		{open: 192, limit: 256},
		{open: 193, limit: 256, full: true},
		{open: 224, limit: 256, full: true},
		{open: 225, limit: 256, full: true, halfway: true},
		{open: 256, limit: 256, err: errors.New("no /proc")},
	} {
		descriptorsLeft = func() (int, int, error) { return c.open, c.limit, c.err }
		if full() != c.full || fewerLeft(2) != c.halfway {
			t.Errorf("%d of %d: full %v and halfway %v, want %v and %v", c.open, c.limit, full(), fewerLeft(2), c.full, c.halfway)
		}
	}
}

// What the system says follows what is opened.
func TestDescriptorsAreCounted(t *testing.T) {
	before, limit, err := vfs.Descriptors()
	if err != nil || limit < before || before < 3 {
		t.Fatalf("%d of %d open, %v", before, limit, err)
	}
	const more = 200
	for range more {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	// Other descriptors of this process come and go meanwhile, a few of them.
	if now, _, err := vfs.Descriptors(); err != nil || now < before+more/2 || now > before+2*more {
		t.Errorf("%d open after %d more than %d were opened, %v", now, more, before, err)
	}
}

func TestSparingListener(t *testing.T) {
	defer func() { descriptorsLeft = vfs.Descriptors }()
	short := true
	descriptorsLeft = func() (int, int, error) {
		if short {
			short = false
			return 250, 256, nil
		}
		return 10, 256, nil
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	first, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	got, err := sparing{inner}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if got.RemoteAddr().String() != second.LocalAddr().String() {
		t.Errorf("accepted %v, want the second, %v", got.RemoteAddr(), second.LocalAddr())
	}
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the first was not closed")
	}
}
