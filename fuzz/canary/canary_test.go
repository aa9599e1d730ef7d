// Package canary holds a fuzz target that must fail: the smoke run ends with an error unless the fuzzer finds what is
// wrong here. It imports nothing of ours, because it is run from a copy outside of the repository.
package canary

import (
	"encoding/binary"
	"testing"
)

// uvarint reads an unsigned varint of at most three bytes, and has a mistake: the third byte goes where the second went.
func uvarint(b []byte) (v uint64, n int) {
	for n < len(b) && n < 3 {
		v |= uint64(b[n]&0x7f) << min(7*n, 7)
		n++
		if b[n-1] < 0x80 {
			return v, n
		}
	}
	return 0, 0
}

// FuzzCanary holds uvarint against the standard library.
//
// Property checked: the same value and the same length. No seed has three bytes: the fuzzer has to make them.
func FuzzCanary(f *testing.F) {
	f.Add([]byte{5})
	f.Add([]byte{0x85, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, n := uvarint(b); n > 0 {
			if want, _ := binary.Uvarint(b); v != want {
				t.Fatalf("%x is %d, want %d", b, v, want)
			}
		}
	})
}
