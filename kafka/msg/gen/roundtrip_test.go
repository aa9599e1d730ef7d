package main

import (
	"bytes"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

var seed = flag.Uint64("seed", 0, "seed of random tests; 0 takes one from the clock")

// writer makes random canonical bytes of a message straight from its definition, knowing
// nothing of the generated code or of package wire.
type writer struct {
	m   *Message
	v   int
	rng *rand.Rand
}

func (w writer) length(b []byte, n int, flex bool, size int) []byte {
	switch {
	case flex:
		return binary.AppendUvarint(b, uint64(n+1))
	case size == 2:
		return binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		return binary.BigEndian.AppendUint32(b, uint32(n))
	}
}

func (w writer) random(b []byte, n int) []byte {
	for range n {
		b = append(b, byte(w.rng.Uint32()))
	}
	return b
}

// value appends one value, or an element if element is true.
func (w writer) value(b []byte, f *Field, element, tagged bool) []byte {
	flex := tagged || w.v >= w.m.Flex
	null := f.nullable() && f.Null.Lo <= w.v && w.v <= f.Null.Hi && !element && !tagged && w.rng.IntN(3) == 0
	switch {
	case f.Array && !element:
		if null {
			return w.length(b, -1, flex, 4)
		}
		n := w.rng.IntN(4)
		if tagged {
			n++
		}
		b = w.length(b, n, flex, 4)
		for range n {
			b = w.value(b, f, true, false)
		}
		return b
	case f.Struct != nil:
		if f.nullable() && !f.Array {
			if null {
				return append(b, 0xff)
			}
			b = append(b, 1)
		}
		return w.structure(b, f.Struct)
	case f.Type == "string" || f.Type == "bytes" || f.Type == "records":
		size := 4
		if f.Type == "string" {
			size = 2
		}
		if null {
			return w.length(b, -1, flex, size)
		}
		n := w.rng.IntN(200)
		if tagged {
			n++
		}
		return w.random(w.length(b, n, flex, size), n)
	case f.Type == "bool":
		if tagged { // the value that is not the default
			if f.Default == "true" {
				return append(b, 0)
			}
			return append(b, 1)
		}
		return append(b, byte(w.rng.IntN(2)))
	default:
		n := scalars[f.Type].size
		b = w.random(b, n)
		if tagged { // no default is a number between 64 and 127 in its first byte, but MaxInt
			b[len(b)-n] = 64 + byte(w.rng.IntN(32))
		}
		return b
	}
}

func (w writer) structure(b []byte, s *Struct) []byte {
	var tags []*Field
	for _, f := range s.Fields {
		if f.Versions.Lo > w.v || w.v > f.Versions.Hi {
			continue
		}
		if f.Tag < 0 {
			b = w.value(b, f, false, false)
		} else if w.rng.IntN(2) == 0 {
			tags = append(tags, f)
		}
	}
	if w.v < w.m.Flex {
		return b
	}
	slices.SortFunc(tags, func(a, b *Field) int { return a.Tag - b.Tag })
	b = binary.AppendUvarint(b, uint64(len(tags)))
	for _, f := range tags {
		value := w.value(nil, f, false, true)
		b = binary.AppendUvarint(b, uint64(f.Tag))
		b = binary.AppendUvarint(b, uint64(len(value)))
		b = append(b, value...)
	}
	return b
}

// Random bytes that the definition allows decode and encode to themselves, into structs used
// again and again, for every message and version.
func TestRandomRoundTrip(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("replay: go test ./kafka/msg/gen -run TestRandomRoundTrip -args -seed=%d", *seed)
	const rounds = 30
	messages, total := 0, 0
	for _, f := range definitions(t) {
		for _, m := range f.Messages {
			x := newMessage(t, f, m)
			for v := m.Versions.Lo; v <= m.Versions.Hi; v++ {
				messages++
				w := writer{m, v, rand.New(rand.NewPCG(*seed, uint64(messages)))}
				for range rounds {
					total++
					roundTrip(t, x, w.structure(nil, m.Root), m.Root.Name, int16(v))
				}
			}
		}
	}
	t.Logf("%d messages and versions, %d round trips", messages, total)
}

func newMessage(t *testing.T, f *File, m *Message) msg.Message {
	t.Helper()
	switch {
	case m.Kind == "request":
		return msg.Lookup(int16(f.Key)).NewRequest()
	case m.Kind == "response":
		return msg.Lookup(int16(f.Key)).NewResponse()
	}
	for _, x := range types() {
		if x.Name == m.Root.Name {
			return x.New()
		}
	}
	t.Fatalf("%s is in no table", m.Root.Name)
	return nil
}

// types are the messages that are no requests and no responses.
func types() []msg.Type {
	all := slices.Clone(msg.Embedded)
	for _, table := range [][]msg.RecordType{msg.GroupRecords, msg.TransactionRecords, msg.ShareRecords} {
		for _, x := range table {
			all = append(all, x.Key, x.Value)
		}
	}
	return all
}

func roundTrip(t *testing.T, x msg.Message, want []byte, name string, v int16) {
	t.Helper()
	r := wire.NewReader(want)
	x.Decode(&r, v)
	if err := r.Done(); err != nil {
		t.Fatalf("%s v%d: %v\n%x", name, v, err, want)
	}
	var w wire.Writer
	x.Encode(&w, v)
	if w.Err() != nil || !bytes.Equal(w.Bytes(), want) {
		t.Fatalf("%s v%d: %v\n got %x\nwant %x", name, v, w.Err(), w.Bytes(), want)
	}
}
