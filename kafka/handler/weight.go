package handler

import (
	"encoding/binary"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// What a request may be decoded into, and what it weighs: the memory that it is decoded into, carried through the
// broker in, and answered with.
//
// Arrays of a request may allocate arrayBytesFree and arrayFactor times its frame's bytes. With names of three letters
// and more the least elements take 8 times their bytes in memory (a topic of Metadata), 7 (a setting of
// IncrementalAlterConfigs), 6.3 (a topic of OffsetFetch), 4 (a partition of Fetch), others less. What is free is for
// shorter names: there are few. Produce, JoinGroup and SyncGroup carry batches, metadata and assignments; once is enough.
//
// Of memory, one element decoded, in the broker and in the answer, takes: a partition of Produce 256 bytes and its
// message, one of Fetch 430 and 60 in the answer (16 to 33 in the frame), a protocol of JoinGroup and an assignment of
// SyncGroup 80, a topic of Metadata 214 as measured, which is 43 times a frame's bytes.
const (
	arrayBytesFree, arrayFactor              = 4 << 10, 8
	producePartitionBytes, produceTopicBytes = 400, 200
	fetchFactor, groupFactor, otherFactor    = 16, 2, 48
)

func carriesBytes(key int16) bool {
	return key == msg.KeyProduce || key == msg.KeyJoinGroup || key == msg.KeySyncGroup
}

// arrayBytesMax is what the arrays of a request may allocate.
func arrayBytesMax(key int16, frameBytes int) int {
	if carriesBytes(key) {
		return arrayBytesFree + frameBytes
	}
	return arrayBytesFree + arrayFactor*frameBytes
}

// Weight is the memory that serving the request takes at most, its frame apart.
func (s *Session) Weight(frame []byte) int64 {
	if len(frame) < 2 {
		return 0
	}
	n := int64(len(frame))
	switch key := int16(binary.BigEndian.Uint16(frame)); {
	case key == msg.KeyProduce:
		return produceWeight(frame)
	case key == msg.KeyFetch:
		return n * fetchFactor
	case carriesBytes(key):
		return n * groupFactor
	}
	return n * otherFactor
}

// produceWeight counts the topics and partitions that a Produce claims, as far as its decoder will believe them.
func produceWeight(frame []byte) int64 {
	r := wire.NewReader(frame)
	var header msg.RequestHeader
	header.Decode(&r)
	v := header.ApiVersion
	if r.Err() != nil || v < 3 || v > 13 {
		return 0 // refused
	}
	flex := v >= 9
	tags := r.SkipTags
	if !flex {
		tags = func() {}
	}
	r.NullString(flex, true)
	r.Int16()
	r.Int32()
	topics := r.ArrayLen(flex, 3)
	weight := int64(topics) * produceTopicBytes
	for i := 0; i < topics && r.Err() == nil; i++ {
		if v >= 13 {
			r.UUID()
		} else {
			r.String(flex)
		}
		partitions := r.ArrayLen(flex, 6)
		weight += int64(partitions) * producePartitionBytes
		for j := 0; j < partitions && r.Err() == nil; j++ {
			r.Int32()
			r.NullBytes(flex, true)
			tags()
		}
		tags()
	}
	return weight
}
