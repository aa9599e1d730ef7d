package record

import (
	"errors"
	"fmt"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// Kind is what a key is the key of.
type Kind uint8

const (
	KindOther  Kind = iota // a type this package does not know
	KindOffset             // Group, Topic, Partition
	KindGroup              // Group
)

// The numbers of record types that open a key.
const (
	numberOffsetLegacy = 0
	numberOffset       = 1
	numberGroup        = 2
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
	case numberOffsetLegacy, numberOffset: // the same fields
		var x msg.OffsetCommitKey
		x.Decode(&r, 0)
		k = Key{Kind: KindOffset, Group: x.Group, Topic: x.Topic, Partition: x.Partition}
	case numberGroup:
		var x msg.GroupMetadataKey
		x.Decode(&r, 0)
		k = Key{Kind: KindGroup, Group: x.Group}
	}
	if err := failed(&r, "key"); err != nil {
		return Key{}, err
	}
	return k, nil
}

// OffsetKey is the key of a committed offset.
func OffsetKey(group, topic string, partition int32) []byte {
	w := wire.NewWriter(make([]byte, 0, 2+wire.StringRoom+len(group)+wire.StringRoom+len(topic)+4))
	w.Int16(numberOffset)
	(&msg.OffsetCommitKey{Group: group, Topic: topic, Partition: partition}).Encode(w, 0)
	return encoded(w)
}

// GroupKey is the key of a classic group.
func GroupKey(group string) []byte {
	w := wire.NewWriter(make([]byte, 0, 2+wire.StringRoom+len(group)))
	w.Int16(numberGroup)
	(&msg.GroupMetadataKey{Group: group}).Encode(w, 0)
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
