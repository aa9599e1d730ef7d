package record

import (
	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// The versions of an offset's value that are written.
const (
	offsetVersionPlain   = 3
	offsetVersionExpires = 1
	offsetVersionTopicID = 4
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
	x := msg.OffsetCommitValue{
		Offset: o.Offset, LeaderEpoch: o.LeaderEpoch, Metadata: o.Metadata,
		CommitTimestamp: o.CommitMs, ExpireTimestamp: o.ExpireMs, TopicId: o.TopicID,
	}
	w := wire.NewWriter(make([]byte, 0, 64+len(o.Metadata)))
	w.Int16(version)
	x.Encode(w, version)
	return encoded(w)
}

// DecodeOffset reads an OffsetCommitValue.
func DecodeOffset(b []byte) (Offset, error) {
	var x msg.OffsetCommitValue
	r := wire.NewReader(b)
	msg.DecodeVersioned(&r, &x)
	if err := failed(&r, "offset value"); err != nil {
		return Offset{}, err
	}
	return Offset{
		Offset: x.Offset, LeaderEpoch: x.LeaderEpoch, Metadata: x.Metadata,
		CommitMs: x.CommitTimestamp, ExpireMs: x.ExpireTimestamp, TopicID: x.TopicId,
	}, nil
}
