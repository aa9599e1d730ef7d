package cluster

import (
	"bytes"
	"reflect"
	"testing"

	"chronik/kafka/wire"
)

// FuzzCommand takes bytes as commands of the log, and carries them out.
//
// Invariants checked:
//   - nothing panics, and what is read takes memory of the size of its bytes;
//   - what decodes encodes to something that decodes to the same;
//   - equal states stay equal, and a command that fails changes nothing but
//     the version;
//   - the state at the end survives being written as an image, and equal
//     states have equal bytes.
func FuzzCommand(f *testing.F) {
	var log []byte
	for _, c := range commands() {
		f.Add(Proposed{Command: c}.Append(nil))
		log = Proposed{Command: c}.Append(log)
	}
	f.Add(log)
	f.Fuzz(func(t *testing.T, b []byte) {
		one, other := New(), New()
		for len(b) > 0 {
			p, rest, err := Decode(b)
			if err != nil {
				break
			}
			b = rest
			q, rest, err := Decode(p.Append(nil))
			if err != nil || len(rest) != 0 || !reflect.DeepEqual(p, q) {
				t.Fatalf("%+v became %+v: %v", p, q, err)
			}
			before := one.clone()
			res, err := one.Apply(p.Command)
			again, errAgain := other.Apply(q.Command)
			if !reflect.DeepEqual(res, again) || (err == nil) != (errAgain == nil) {
				t.Fatalf("%+v: %+v %v, and %+v %v", p.Command, res, err, again, errAgain)
			}
			if before.version++; err != nil && !before.Equal(one) {
				t.Fatalf("%+v failed, and changed the state: %v", p.Command, err)
			}
		}
		if !reflect.DeepEqual(one, other) || !bytes.Equal(encoded(one), encoded(other)) {
			t.Fatal("the states differ")
		}
		fresh := New()
		apply(t, fresh, throughBytes(t, one))
		if fresh.version--; fresh.version != one.version || !fresh.Equal(one) {
			t.Fatal("the image is of another state")
		}
	})
}

// FuzzImage takes bytes as a state.
//
// Invariants checked: nothing panics; what is read is in no way different when
// it is written and read again, and is written in no more bytes.
func FuzzImage(f *testing.F) {
	f.Add(encoded(New()))
	f.Add(encoded(sample()))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := readState(b)
		if err != nil {
			return
		}
		if n := len(encoded(s)); n > len(b) {
			t.Fatalf("%x is written as %d bytes", b, n)
		}
		if u, err := readState(encoded(s)); err != nil || !reflect.DeepEqual(s, u) {
			t.Fatalf("read again: %v", err)
		}
	})
}

func readState(b []byte) (*State, error) {
	s, r := New(), wire.NewReader(b)
	s.decode(&r)
	return s, r.Done()
}
