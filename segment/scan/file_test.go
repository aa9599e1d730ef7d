package scan

import (
	"encoding/binary"
	"testing"

	"chronik/internal/vfs"
	"chronik/segment"
)

// TestLengthIsNotBelieved claims payloads of up to 1 GiB in a file of 4 MiB.
func TestLengthIsNotBelieved(t *testing.T) {
	b := make([]byte, 4<<20)
	binary.LittleEndian.PutUint32(b[4096+segment.MagicAt:], segment.FrameMagic)
	for _, claimed := range []uint32{1 << 20, 3 << 20, 1 << 30, 1<<32 - 1} {
		binary.LittleEndian.PutUint32(b[4096+16:], claimed)
		m := vfs.NewMem()
		if err := m.MkdirAll("/log"); err != nil {
			t.Fatal(err)
		}
		if err := vfs.ReplaceFile(m, "/log", "tmp", "file", b); err != nil {
			t.Fatal(err)
		}
		f, err := openFile(m, "/log/file")
		if err != nil {
			t.Fatal(err)
		}
		if _, err = f.frame(4096, f.size, 0); err == nil {
			t.Fatalf("payload of %d: no error", claimed)
		}
		if cap(f.buf) > wholeBytes+4096 {
			t.Errorf("payload of %d: %d bytes of memory", claimed, cap(f.buf))
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
