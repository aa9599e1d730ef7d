package record

import (
	"errors"
	"fmt"

	"chronik/kafka/wire"
)

// Kind is what a key is the key of.
type Kind uint8

const (
	KindOther  Kind = iota // a type this package does not know
	KindOffset             // Group, Topic, Partition
	KindGroup              // Group
)

// The record types that open a key.
const (
	typeOffsetLegacy = 0
	typeOffset       = 1
	typeGroup        = 2
)

// ErrMalformed is under every error of this package: bytes that do not decode.
var ErrMalformed = errors.New("malformed coordinator record")

// Key is a decoded key; the fields that Kind does not name are zero.
type Key struct {
	Kind      Kind
	Group     string
	Topic     string
	Partition int32
}

// DecodeKey reads a key.
func DecodeKey(b []byte) (k Key, err error) {
	r := wire.NewReader(b)
	switch r.Int16() {
	case typeOffsetLegacy, typeOffset:
		k = Key{Kind: KindOffset, Group: r.String(false), Topic: r.String(false), Partition: r.Int32()}
	case typeGroup:
		k = Key{Kind: KindGroup, Group: r.String(false)}
	}
	if err := failed(&r, "key"); err != nil {
		return Key{}, err
	}
	return k, nil
}

// OffsetKey is the key of a committed offset.
func OffsetKey(group, topic string, partition int32) []byte {
	w := wire.NewWriter(make([]byte, 0, 2+2+len(group)+2+len(topic)+4))
	w.Int16(typeOffset)
	w.String(group, false)
	w.String(topic, false)
	w.Int32(partition)
	return encoded(w)
}

// GroupKey is the key of a classic group.
func GroupKey(group string) []byte {
	w := wire.NewWriter(make([]byte, 0, 2+2+len(group)))
	w.Int16(typeGroup)
	w.String(group, false)
	return encoded(w)
}

// encoded is the writer's output. Strings over 32,767 bytes fit into no version of a record: they are kept out of
// groups (requests cannot carry them either), so an error here is ours.
func encoded(w *wire.Writer) []byte {
	if err := w.Err(); err != nil {
		panic(fmt.Sprintf("BUG: record: does not encode: %v", err))
	}
	return w.Bytes()
}

// failed is the reader's error, if any. Trailing bytes are none: a later minor version may add them.
func failed(r *wire.Reader, what string) error {
	if err := r.Err(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, what, err)
	}
	return nil
}
