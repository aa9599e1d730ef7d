package record

import (
	"fmt"

	"chronik/kafka/wire"
)

const (
	offsetVersionMax     = 4
	offsetVersionPlain   = 3
	offsetVersionExpires = 1
	offsetVersionTopicID = 4
	flexibleFrom         = 4
	tagTopicID           = 0
)

// Offset is an OffsetCommitValue: one committed offset.
type Offset struct {
	Offset      int64
	LeaderEpoch int32 // -1 none
	Metadata    string
	CommitMs    int64    // when it was committed, Unix ms
	ExpireMs    int64    // when it expires, Unix ms; -1: by the group's retention
	TopicID     [16]byte // zero when not known
}

// Encode gives the value in the version Kafka would write.
func (o *Offset) Encode() []byte {
	switch {
	case o.ExpireMs >= 0:
		return o.encode(offsetVersionExpires)
	case o.TopicID != [16]byte{}:
		return o.encode(offsetVersionTopicID)
	default:
		return o.encode(offsetVersionPlain)
	}
}

func (o *Offset) encode(version int16) []byte {
	w, flex := wire.NewWriter(make([]byte, 0, 48+len(o.Metadata))), version >= flexibleFrom
	w.Int16(version)
	w.Int64(o.Offset)
	if version >= 3 {
		w.Int32(o.LeaderEpoch)
	}
	w.String(o.Metadata, flex)
	w.Int64(o.CommitMs)
	if version == 1 {
		w.Int64(o.ExpireMs)
	}
	switch {
	case !flex:
	case o.TopicID == [16]byte{}:
		w.NoTags()
	default:
		w.Uvarint(1) // one tagged field: number 0, of 16 bytes
		w.Uvarint(tagTopicID)
		w.Uvarint(uint32(len(o.TopicID)))
		w.UUID(o.TopicID)
	}
	return encoded(w)
}

// DecodeOffset reads an OffsetCommitValue.
func DecodeOffset(b []byte) (o Offset, err error) {
	r := wire.NewReader(b)
	version := r.Int16()
	if r.Err() == nil && (version < 0 || version > offsetVersionMax) {
		return o, fmt.Errorf("%w: offset value of version %d", ErrMalformed, version)
	}
	flex := version >= flexibleFrom
	o = Offset{LeaderEpoch: -1, ExpireMs: -1, Offset: r.Int64()}
	if version >= 3 {
		o.LeaderEpoch = r.Int32()
	}
	o.Metadata = r.String(flex)
	o.CommitMs = r.Int64()
	if version == 1 {
		o.ExpireMs = r.Int64()
	}
	if flex {
		o.decodeTags(&r)
	}
	return o, failed(&r, "offset value")
}

// decodeTags takes the topic id and skips tagged fields that are not known.
func (o *Offset) decodeTags(r *wire.Reader) {
	for n := r.Uvarint(); n > 0 && r.Err() == nil; n-- {
		tag, size := r.Uvarint(), int(r.Uvarint())
		if size > r.Len() || tag == tagTopicID && size != len(o.TopicID) {
			r.Fail(wire.ErrTag)
			return
		}
		if tag == tagTopicID {
			o.TopicID = r.UUID()
		} else {
			*r = wire.NewReader(r.Rest()[size:])
		}
	}
}
