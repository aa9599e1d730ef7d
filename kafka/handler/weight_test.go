package handler

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// names is a Metadata of n topics whose names have so many letters.
func names(n, letters int) *msg.MetadataRequest {
	q := &msg.MetadataRequest{AllowAutoTopicCreation: true}
	for i := range n {
		q.Topics = append(q.Topics, msg.MetadataRequestTopic{Name: wire.Str(fmt.Sprintf("%09d", i)[9-letters:])})
	}
	return q
}

// Lists of empty names are refused, those that somebody may mean are not.
func TestRequestsOfManyElements(t *testing.T) {
	r := newRig(t, &fakeBroker{})
	for _, c := range []struct {
		n, letters int
		refused    bool
	}{{100, 0, false}, {10_000, 0, true}, {60, 1, false}, {500, 2, false}, {5000, 3, false}, {5000, 9, false}} {
		for v := int16(1); v <= 13; v++ {
			_, err := r.serve(r.frame(names(c.n, c.letters), v))
			refused := c.refused && v < 10 // an id, too, from 10
			if errors.Is(err, wire.ErrMemory) != refused || (err != nil) != refused {
				t.Errorf("version %d: %d names of %d letters: %v", v, c.n, c.letters, err)
			}
		}
	}
}

// A Produce weighs what its topics and partitions do, whatever their bytes, and what it claims if it is cut off.
func TestWeightOfProduce(t *testing.T) {
	r := newRig(t, &fakeBroker{})
	q := &msg.ProduceRequest{Acks: -1}
	partitions := 0
	for i := range 5 {
		topic := msg.TopicProduceData{}
		for j := range i {
			topic.PartitionData = append(topic.PartitionData, msg.PartitionProduceData{Index: int32(j), Records: make([]byte, 1000*j)})
			partitions++
		}
		q.TopicData = append(q.TopicData, topic)
	}
	for v := int16(3); v <= 13; v++ {
		for i := range q.TopicData {
			q.TopicData[i].Name, q.TopicData[i].TopicId = "topic", wire.UUID{}
			if v >= 13 {
				q.TopicData[i].Name, q.TopicData[i].TopicId = "", wire.UUID{1}
			}
		}
		frame := r.frame(q, v)
		want := int64(5*produceTopicBytes + partitions*producePartitionBytes)
		if got := r.session.Weight(frame); got != want {
			t.Errorf("version %d weighs %d, want %d", v, got, want)
		}
		for n := range len(frame) {
			if got := r.session.Weight(frame[:n]); got > want {
				t.Errorf("version %d: %d bytes of it weigh %d", v, n, got)
			}
		}
	}
	claim := r.frame(&msg.ProduceRequest{TopicData: []msg.TopicProduceData{{Name: "t", PartitionData: []msg.PartitionProduceData{{}}}}}, 3)
	binary.BigEndian.PutUint32(claim[len(claim)-12:], 1000)
	claim = append(claim, make([]byte, 8000)...)
	copy(claim[len(claim)-8000-4:], "\x7f\xff\xff\xff") // the first one's records are not there
	if got, want := r.session.Weight(claim), int64(produceTopicBytes+1000*producePartitionBytes); got != want {
		t.Errorf("a claim of 1000 partitions weighs %d, want %d", got, want)
	}
}

// Others weigh by their bytes; a key alone tells.
func TestWeightByKey(t *testing.T) {
	s := newRig(t, &fakeBroker{}).session
	for key, factor := range map[int16]int64{
		msg.KeyFetch: fetchFactor, msg.KeyJoinGroup: groupFactor, msg.KeySyncGroup: groupFactor, msg.KeyMetadata: otherFactor, 1234: otherFactor,
	} {
		frame := binary.BigEndian.AppendUint16(nil, uint16(key))
		if got := s.Weight(append(frame, make([]byte, 998)...)); got != 1000*factor {
			t.Errorf("1000 bytes of key %d weigh %d", key, got)
		}
	}
	if got := s.Weight([]byte{0}); got != 0 {
		t.Errorf("half a key weighs %d", got)
	}
}
