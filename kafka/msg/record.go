package msg

import "chronik/kafka/wire"

// Type describes a message that is no request and no response.
type Type struct {
	Name         string
	Min, Max     int16 // versions, inclusive
	FlexibleFrom int16 // first flexible version, or NeverFlexible
	New          func() Message
}

// Has reports whether the type has version v.
func (t *Type) Has(v int16) bool { return v >= t.Min && v <= t.Max }

// RecordType describes one type of the records that a coordinator keeps in its topic. Its
// number opens the key, whose only version is 0; the value's version opens the value.
type RecordType struct {
	Number     int16
	Key, Value Type
}

// RecordByNumber returns the type with the number from a coordinator's table, or nil.
func RecordByNumber(table []RecordType, number int16) *RecordType {
	for i := range table {
		if table[i].Number == number {
			return &table[i]
		}
	}
	return nil
}

// EncodeRecordKey appends the key of a record: its type's number, then its fields.
func EncodeRecordKey(w *wire.Writer, number int16, key Message) {
	w.Int16(number)
	key.Encode(w, 0)
}

// EncodeVersioned appends a message behind its version, as it stands in the value of a
// coordinator's record and in what consumers put inside of JoinGroup and SyncGroup.
func EncodeVersioned(w *wire.Writer, v int16, m Message) {
	w.Int16(v)
	m.Encode(w, v)
}

// DecodeVersioned reads a version and a message of that version behind it. A version that
// the message has not is wire.ErrVersion.
func DecodeVersioned(r *wire.Reader, m Message) (v int16) {
	if v = r.Int16(); r.Err() == nil {
		m.Decode(r, v)
	}
	return v
}
