package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// fingerprint is a hash over records that depends on the order within each key and not on the order between keys: a
// chain of SHA-256 for each key, and the sum of the chains' ends.
type fingerprint struct {
	count  int
	chains map[string][sha256.Size]byte
}

func newFingerprint() *fingerprint { return &fingerprint{chains: map[string][sha256.Size]byte{}} }

func (f *fingerprint) add(key, value []byte) {
	f.count++
	prev := f.chains[string(key)]
	h := sha256.New()
	h.Write(prev[:])
	h.Write(value)
	h.Sum(prev[:0])
	f.chains[string(key)] = prev
}

// sum adds up SHA-256(key, end of its chain) over all keys, in four lanes of 64 bits.
func (f *fingerprint) sum() string {
	var lanes [4]uint64
	for key, end := range f.chains {
		d := sha256.Sum256(append([]byte(key), end[:]...))
		for i := range lanes {
			lanes[i] += binary.BigEndian.Uint64(d[8*i:])
		}
	}
	return fmt.Sprintf("%016x%016x%016x%016x", lanes[0], lanes[1], lanes[2], lanes[3])
}
