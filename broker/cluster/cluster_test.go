package cluster

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
)

func commands() []Command {
	return []Command{
		&SetClusterID{ID: "abcdefghijklmnopqrstuv"},
		&RegisterBroker{ID: 1, Host: "localhost", Port: 9092, Rack: "r1", RaftAddr: "localhost:5001", Dir: [16]byte{1, 2}, FeatureLevel: 1},
		&CreateTopic{Name: "orders", ID: TopicID{1}, Replicas: [][]int32{{1}, {1}}, Configs: map[string]string{"retention.ms": "5", "a": "b"}},
		&AddPartitions{ID: TopicID{1}, From: 2, Replicas: [][]int32{{1}}},
		&SetConfig{Resource: Resource{ResourceTopic, "orders"}, Values: map[string]string{"segment.bytes": "1048576"}},
		&AllocateProducerIDs{Count: 1000},
		&DeleteTopic{ID: TopicID{1}},
		&FenceBroker{ID: 1, Epoch: 2},
		&UnfenceBroker{ID: 1, Epoch: 2},
		&DrainBroker{ID: 1, Epoch: 2},
		&SetLeadership{Node: 1, BrokerEpoch: 2, Items: []Leadership{{Group: 16, Leader: 1, Epoch: 3, ISR: []int32{1, 2}}}},
		&Image{Ordinal: 4, State: sample()},
	}
}

// sample is a state with something of everything in it.
func sample() *State {
	s := New()
	for _, c := range []Command{
		&SetClusterID{ID: "abcdefghijklmnopqrstuv"},
		&RegisterBroker{ID: 1, Host: "a", Port: 9092, Rack: "r1", RaftAddr: "a:5001", Dir: [16]byte{1, 2}, FeatureLevel: 1},
		&RegisterBroker{ID: 2, Host: "b", Port: 9092, Rack: "r2", RaftAddr: "b:5001", Dir: [16]byte{2}},
		&RegisterBroker{ID: 3},
		&FenceBroker{ID: 2, Epoch: 3},
		&DrainBroker{ID: 3, Epoch: 4},
		&CreateTopic{Name: "b.c", ID: TopicID{2}, Replicas: [][]int32{{1, 2}, {2, 1}}, Configs: map[string]string{"x": "1", "a": "2"}},
		&CreateTopic{Name: "a", ID: TopicID{3}, Replicas: [][]int32{{2}}},
		&AddPartitions{ID: TopicID{3}, From: 1, Replicas: [][]int32{{1, 2, 3}}},
		&SetLeadership{Node: 1, BrokerEpoch: 2, Items: []Leadership{{Group: 16, Leader: 1, Epoch: 5, ISR: []int32{1}}, {Group: 19, Leader: 1, Epoch: 0, ISR: []int32{3, 1}}}},
		&SetConfig{Resource: Resource{ResourceBroker, ""}, Values: map[string]string{"k": "v"}},
		&AllocateProducerIDs{Count: 1000},
	} {
		if _, err := s.Apply(c); err != nil {
			panic(err)
		}
	}
	return s
}

func TestCommandsSurviveEncoding(t *testing.T) {
	var log []byte
	for i, c := range commands() {
		log = Proposed{Node: 7, Seq: uint64(i), Command: c}.Append(log)
	}
	for i, want := range commands() {
		p, rest, err := Decode(log)
		if err != nil {
			t.Fatal(err)
		}
		if p.Node != 7 || p.Seq != uint64(i) || !reflect.DeepEqual(p.Command, want) {
			t.Errorf("command %d: got %+v, want %+v", i, p.Command, want)
		}
		log = rest
	}
	if len(log) != 0 {
		t.Errorf("%d bytes left", len(log))
	}
}

func TestDecodeRefusesEveryTruncationAndNewerVersions(t *testing.T) {
	for _, c := range commands() {
		b := Proposed{Command: c}.Append(nil)
		for n := range b {
			if _, _, err := Decode(b[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%T cut to %d bytes: %v", c, n, err)
			}
		}
		_, prefix := binary.Uvarint(b)
		b[prefix] = byte(formatVersion + 1)
		if _, _, err := Decode(b); !errors.Is(err, ErrNewerVersion) {
			t.Errorf("%T of a newer version: %v", c, err)
		}
	}
}

func TestApply(t *testing.T) {
	s := New()
	must := func(c Command) Result {
		t.Helper()
		r, err := s.Apply(c)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	fails := func(c Command, want error) {
		t.Helper()
		if _, err := s.Apply(c); !errors.Is(err, want) {
			t.Errorf("%+v: %v, want %v", c, err, want)
		}
	}
	must(&SetClusterID{ID: "one"})
	fails(&SetClusterID{ID: "two"}, ErrClusterID)
	first := must(&CreateTopic{Name: "a.b", ID: TopicID{1}, Replicas: [][]int32{{1}, {2}}, Configs: map[string]string{"x": "1"}}).Topic
	if first.Partitions[0].GroupID != FirstGroupID || first.Partitions[1].GroupID != FirstGroupID+1 {
		t.Errorf("group ids %+v", first.Partitions)
	}
	fails(&CreateTopic{Name: "a.b", ID: TopicID{2}, Replicas: [][]int32{{1}}}, ErrTopicExists)
	fails(&CreateTopic{Name: "a_b", ID: TopicID{2}, Replicas: [][]int32{{1}}}, ErrTopicCollides)
	fails(&AddPartitions{ID: TopicID{1}, From: 1, Replicas: [][]int32{{1}}}, ErrPartitions)
	fails(&AddPartitions{ID: TopicID{9}, From: 1, Replicas: [][]int32{{1}}}, ErrUnknownTopic)
	grown := must(&AddPartitions{ID: TopicID{1}, From: 2, Replicas: [][]int32{{3}}}).Topic
	if len(first.Partitions) != 2 || len(grown.Partitions) != 3 || s.Topic("a.b") != grown || s.TopicByID(TopicID{1}) != grown {
		t.Errorf("growing changed the old value or was not seen: %d, %d", len(first.Partitions), len(grown.Partitions))
	}
	if got := s.Config(Resource{ResourceTopic, "a.b"})["x"]; got != "1" {
		t.Errorf("config x = %q", got)
	}
	fails(&SetConfig{Resource: Resource{ResourceTopic, "none"}, Values: map[string]string{"x": "1"}}, ErrUnknownTopic)
	must(&DeleteTopic{ID: TopicID{1}})
	fails(&DeleteTopic{ID: TopicID{1}}, ErrUnknownTopic)
	if s.Config(Resource{ResourceTopic, "a.b"}) != nil {
		t.Error("a deleted topic's config is still there")
	}
	again := must(&CreateTopic{Name: "a_b", ID: TopicID{2}, Replicas: [][]int32{{1}}}).Topic
	if again.Partitions[0].GroupID != FirstGroupID+3 {
		t.Errorf("group id %d was used before", again.Partitions[0].GroupID)
	}
	if a, b := must(&AllocateProducerIDs{Count: 1000}).First, must(&AllocateProducerIDs{Count: 1000}).First; a != 0 || b != 1000 {
		t.Errorf("producer id blocks start at %d and %d", a, b)
	}
}

// Equal commands give equal states, through the encoding as well.
func TestApplyIsDeterministic(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d: set it in the source to replay", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	a, b := New(), New()
	names := []string{"a", "b", "c.d", "c_d", "e"}
	for range 2000 {
		var c Command
		name, id := names[rnd.IntN(len(names))], TopicID{byte(rnd.IntN(8))}
		switch rnd.IntN(5) {
		case 0:
			c = &CreateTopic{Name: name, ID: id, Replicas: [][]int32{{1}}}
			if a.TopicByID(id) != nil {
				continue // ids are random in life: never taken
			}
		case 1:
			c = &DeleteTopic{ID: id}
		case 2:
			c = &AddPartitions{ID: id, From: int32(1 + rnd.IntN(3)), Replicas: [][]int32{{1}, {2}}}
		case 3:
			c = &SetConfig{Resource: Resource{ResourceTopic, name}, Values: map[string]string{"k": name}}
		case 4:
			c = &AllocateProducerIDs{Count: int32(rnd.IntN(10))}
		}
		ra, erra := a.Apply(c)
		p, _, err := Decode(Proposed{Command: c}.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		rb, errb := b.Apply(p.Command)
		if !reflect.DeepEqual(ra, rb) || (erra == nil) != (errb == nil) {
			t.Fatalf("%+v: %+v %v, %+v %v", c, ra, erra, rb, errb)
		}
	}
	if !reflect.DeepEqual(a, b) {
		t.Fatal("states differ")
	}
}
