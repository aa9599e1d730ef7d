package batch

import "encoding/binary"

// ControlType is the type of a control record. Readers skip those they do
// not know.
type ControlType int16

const (
	Abort        ControlType = 0
	Commit       ControlType = 1
	LeaderChange ControlType = 2
)

// ParseControl reads the key of a control record: its version and type. Keys
// of later versions keep these first four bytes.
func ParseControl(key []byte) (version int16, typ ControlType, err error) {
	if len(key) < 4 {
		return 0, 0, errorf(InvalidRecord, "a control record key of %d bytes", len(key))
	}
	if version = int16(binary.BigEndian.Uint16(key)); version < 0 {
		return 0, 0, errorf(InvalidRecord, "a control record key of version %d", version)
	}
	return version, ControlType(binary.BigEndian.Uint16(key[2:])), nil
}

// ParseEndTxn reads the value of an Abort or Commit record and returns the
// epoch of the transaction coordinator that wrote it. Longer values of later
// versions are accepted.
func ParseEndTxn(value []byte) (coordinatorEpoch int32, err error) {
	if len(value) < 6 {
		return 0, errorf(InvalidRecord, "an end of transaction value of %d bytes", len(value))
	}
	if version := int16(binary.BigEndian.Uint16(value)); version < 0 {
		return 0, errorf(InvalidRecord, "an end of transaction value of version %d", version)
	}
	return int32(binary.BigEndian.Uint32(value[2:])), nil
}

// AppendEndTxn appends a transaction marker to dst: a batch of its own,
// transactional, control, not compressed, without a sequence.
func AppendEndTxn(dst []byte, typ ControlType, producerID int64, producerEpoch int16, coordinatorEpoch int32, timestamp int64) []byte {
	key := binary.BigEndian.AppendUint16(make([]byte, 2, 4), uint16(typ))
	value := binary.BigEndian.AppendUint32(make([]byte, 2, 6), uint32(coordinatorEpoch))
	o := Plain(None)
	o.ProducerID, o.ProducerEpoch, o.Transactional, o.Control = producerID, producerEpoch, true, true
	var b Builder
	b.Add(timestamp, key, value)
	dst, err := b.Build(dst, o)
	if err != nil {
		panic("BUG: a marker cannot be built: " + err.Error())
	}
	return dst
}

// EndTxn reads the first record of a control batch: its type, and of an Abort or
// Commit the epoch of the coordinator that wrote it.
func EndTxn(v View) (typ ControlType, coordinatorEpoch int32, err error) {
	if !v.Attributes().Control() || v.Codec() != None {
		return 0, 0, errorf(InvalidRecord, "not a control batch that is not compressed")
	}
	for r, err := range Records(v, nil) {
		if err != nil {
			return 0, 0, err
		}
		if _, typ, err = ParseControl(r.Key); err == nil && (typ == Abort || typ == Commit) {
			coordinatorEpoch, err = ParseEndTxn(r.Value)
		}
		return typ, coordinatorEpoch, err
	}
	return 0, 0, errorf(InvalidRecord, "a control batch without a record")
}
