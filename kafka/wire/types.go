package wire

import "fmt"

// NullString is a string that may be null on the wire. The zero value is null;
// {"", true} is the empty string.
type NullString struct {
	String string
	Valid  bool
}

// Str returns a NullString that holds s and is not null.
func Str(s string) NullString { return NullString{s, true} }

// UUID is Kafka's 16-byte id of topics and directories. All zero means none.
type UUID [16]byte

// String is the 8-4-4-4-12 form in hex digits.
func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// Records are the record batches of one partition in a response: slices that follow one
// another on the wire, typically frames of a mapped segment. nil is null; a non-nil
// value without bytes is empty.
type Records [][]byte

// Size is the number of bytes in all slices.
func (r Records) Size() int {
	n := 0
	for _, b := range r {
		n += len(b)
	}
	return n
}

// Resize returns a non-nil slice of n elements. It reuses the memory of s, including
// whatever its elements own, and carries them along when it has to grow.
func Resize[T any](s []T, n int) []T {
	if cap(s) >= n && s != nil {
		return s[:n]
	}
	grown := make([]T, n)
	copy(grown, s[:cap(s)])
	return grown
}

// Extend is Resize to one element more, for a slice that grows element by element: when
// it has to move, it leaves room for more.
func Extend[T any](s []T) []T {
	if len(s) < cap(s) {
		return s[:len(s)+1]
	}
	var zero T
	return append(s, zero)
}
