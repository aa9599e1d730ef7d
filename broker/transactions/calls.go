package transactions

import (
	"encoding/binary"
	"errors"
	"fmt"

	"chronik/broker/group/effect"
	"chronik/broker/transaction"
)

// Methods that nodes call. MethodMarkers has markers written to partitions that
// the node leads: a row for each, and a byte for each in the answer, 0 written,
// 1 to be tried again, 2 refused for good. MethodVerify asks the node that
// coordinates a transactional id whether a partition is in its transaction; the
// answer is the name of an error, or NONE.
//
//	marker:  producer id 8, epoch 2, coordinator epoch 4, commit 1, partition 4, length of the topic 2, topic
//	verify:  producer id 8, epoch 2, partition 4, length of the topic 2, topic, transactional id (the rest)
const (
	MethodMarkers uint8 = 65
	MethodVerify  uint8 = 66
)

// ErrMalformed is a call, or an answer, that cannot be read.
var ErrMalformed = errors.New("the call is malformed")

// Marker is one marker for one partition.
type Marker struct {
	ProducerID       int64
	Epoch            int16
	CoordinatorEpoch int32
	Commit           bool
	Bumped           bool // of others, through WriteTxnMarkers: see partition.Marker; the calls between nodes have it not
	Partition        transaction.Partition
}

// outcome is what became of a marker.
type outcome byte

const (
	written outcome = iota
	again
	fenced
)

func encodeMarkers(ms []Marker) (b []byte) {
	for _, m := range ms {
		b = binary.BigEndian.AppendUint64(b, uint64(m.ProducerID))
		b = binary.BigEndian.AppendUint16(b, uint16(m.Epoch))
		b = binary.BigEndian.AppendUint32(b, uint32(m.CoordinatorEpoch))
		commit := byte(0)
		if m.Commit {
			commit = 1
		}
		b = append(b, commit)
		b = appendPartition(b, m.Partition)
	}
	return b
}

const (
	markerBytes = 8 + 2 + 4 + 1
	markersMax  = 10_000 // of one call; this release sends sendMax
)

func decodeMarkers(b []byte) (out []Marker, err error) {
	for len(b) > 0 {
		if len(b) < markerBytes || b[14] > 1 {
			return nil, fmt.Errorf("%w: %d bytes of a marker", ErrMalformed, len(b))
		}
		m := Marker{
			ProducerID: int64(binary.BigEndian.Uint64(b)), Epoch: int16(binary.BigEndian.Uint16(b[8:])),
			CoordinatorEpoch: int32(binary.BigEndian.Uint32(b[10:])), Commit: b[14] == 1,
		}
		if m.Partition, b, err = takePartition(b[markerBytes:]); err != nil {
			return nil, err
		}
		if out = append(out, m); len(out) > markersMax {
			return nil, fmt.Errorf("%w: more than %d markers", ErrMalformed, markersMax)
		}
	}
	return out, nil
}

func appendPartition(b []byte, p transaction.Partition) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(p.Index))
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.Topic)))
	return append(b, p.Topic...)
}

func takePartition(b []byte) (p transaction.Partition, rest []byte, err error) {
	if len(b) < 6 {
		return p, nil, fmt.Errorf("%w: %d bytes of a partition", ErrMalformed, len(b))
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if p.Index = int32(binary.BigEndian.Uint32(b)); len(b)-6 < n {
		return p, nil, fmt.Errorf("%w: a topic of %d bytes in %d", ErrMalformed, n, len(b)-6)
	}
	p.Topic = string(b[6 : 6+n])
	return p, b[6+n:], nil
}

func encodeOutcomes(out []outcome) []byte {
	b := make([]byte, len(out))
	for i, o := range out {
		b[i] = byte(o)
	}
	return b
}

func decodeOutcomes(b []byte, n int) ([]outcome, error) {
	if len(b) != n {
		return nil, fmt.Errorf("%w: %d answers to %d markers", ErrMalformed, len(b), n)
	}
	out := make([]outcome, n)
	for i := range b {
		if out[i] = outcome(b[i]); out[i] > fenced {
			return nil, fmt.Errorf("%w: answer %d", ErrMalformed, b[i])
		}
	}
	return out, nil
}

func encodeVerify(p transaction.Producer, part transaction.Partition) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(p.ProducerID))
	b = binary.BigEndian.AppendUint16(b, uint16(p.Epoch))
	return append(appendPartition(b, part), p.ID...)
}

func decodeVerify(b []byte) (p transaction.Producer, part transaction.Partition, err error) {
	if len(b) < 10 {
		return p, part, fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	p.ProducerID, p.Epoch = int64(binary.BigEndian.Uint64(b)), int16(binary.BigEndian.Uint16(b[8:]))
	part, b, err = takePartition(b[10:])
	p.ID = string(b)
	return p, part, err
}

func encodeVerified(e effect.Error) []byte { return []byte(e.Error()) }

func decodeVerified(b []byte) error {
	for e := effect.None; e < effect.ErrorCount; e++ {
		if e.Error() == string(b) {
			return asError(e)
		}
	}
	return fmt.Errorf("%w: answer %q", ErrMalformed, b[:min(len(b), 100)])
}
