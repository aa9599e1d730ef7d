package cluster

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
)

func encoded(s *State) []byte { return s.bytes() }

// throughBytes is the image of a state as another node gets it.
func throughBytes(t *testing.T, s *State) *Image {
	t.Helper()
	payload := Proposed{Node: 1, Command: s.Image(9)}.Append(nil)
	if ordinal, ok := ImageOrdinal(payload); !ok || ordinal != 9 {
		t.Fatalf("ordinal %d, %v", ordinal, ok)
	}
	p, rest, err := Decode(payload)
	if err != nil || len(rest) > 0 || !s.Of(payload) {
		t.Fatalf("%d bytes left, %v; of the state: %v", len(rest), err, s.Of(payload))
	}
	return p.Command.(*Image)
}

// TestImageStandsForTheCommandsBefore: a state that begins at an image is the
// same, after any commands behind it, as one that had them all.
func TestImageStandsForTheCommandsBefore(t *testing.T) {
	rnd := random(t)
	for range 50 {
		all := New()
		randomCommands(rnd, 200, func(c Command) { _, _ = all.Apply(c) })
		image := throughBytes(t, all)
		late := New()
		if rnd.IntN(2) == 0 {
			randomCommands(rnd, 20, func(c Command) { _, _ = late.Apply(c) }) // of another history
		}
		for _, s := range []*State{all, late} {
			if _, err := s.Apply(image); err != nil {
				t.Fatal(err)
			}
		}
		randomCommands(rnd, 100, func(c Command) {
			res, err := all.Apply(c)
			again, errAgain := late.Apply(c)
			if !reflect.DeepEqual(res, again) || (err == nil) != (errAgain == nil) {
				t.Fatalf("%+v: %+v %v, from the image %+v %v", c, res, err, again, errAgain)
			}
		})
		if !all.Equal(late) || !reflect.DeepEqual(all, late) {
			t.Fatal("the states differ")
		}
	}
}

func TestImageThatCameLateIsPassedOver(t *testing.T) {
	s := sample()
	image := throughBytes(t, s)
	apply(t, s, &AllocateProducerIDs{Count: 1})
	if s.Of(Proposed{Command: image}.Append(nil)) {
		t.Error("an image of the state before is of this one")
	}
	before := s.nextProducerID
	if _, err := s.Apply(image); !errors.Is(err, ErrStaleImage) || s.nextProducerID != before || s.Version() != image.State.Version()+2 {
		t.Errorf("%v, next producer id %d, version %d", err, s.nextProducerID, s.Version())
	}
}

// TestImageIsACopy: what is applied later does not reach an image made before.
func TestImageIsACopy(t *testing.T) {
	rnd := random(t)
	s := sample()
	image := s.Image(1)
	before := encoded(image.State)
	randomCommands(rnd, 300, func(c Command) { _, _ = s.Apply(c) })
	if !bytes.Equal(encoded(image.State), before) {
		t.Error("the image changed")
	}
	other := New()
	apply(t, other, image)
	randomCommands(rnd, 300, func(c Command) { _, _ = other.Apply(c) })
	if !bytes.Equal(encoded(image.State), before) {
		t.Error("a state that began at the image changed it")
	}
}

// TestImageOrdinalLooksAtImagesOnly: it is asked of every payload.
func TestImageOrdinalLooksAtImagesOnly(t *testing.T) {
	for _, c := range commands() {
		b := Proposed{Command: c}.Append(nil)
		_, is := c.(*Image)
		if _, ok := ImageOrdinal(b); ok != is {
			t.Errorf("%T: %v", c, ok)
		}
		for n := range min(len(b), 24) {
			if _, ok := ImageOrdinal(b[:n]); ok && !is {
				t.Errorf("%T cut to %d bytes is an image", c, n)
			}
		}
	}
}

// randomCommands hands out commands that are often carried out and often not.
func randomCommands(rnd *rand.Rand, n int, do func(Command)) {
	names := []string{"a", "b", "c.d", "c_d", "e"}
	ids := func() (out []int32) {
		for i := range 1 + rnd.IntN(3) {
			out = append(out, int32((i+rnd.IntN(3))%4))
		}
		return out
	}
	for range n {
		name, id, broker, epoch := names[rnd.IntN(len(names))], TopicID{byte(rnd.IntN(8))}, int32(rnd.IntN(4)), int64(rnd.IntN(n))
		switch rnd.IntN(11) {
		case 0:
			do(&CreateTopic{Name: name, ID: id, Replicas: [][]int32{ids(), ids()}, Configs: map[string]string{"n": name}})
		case 1:
			do(&DeleteTopic{ID: id})
		case 2:
			do(&AddPartitions{ID: id, From: int32(1 + rnd.IntN(3)), Replicas: [][]int32{ids()}})
		case 3:
			do(&SetConfig{Resource: Resource{ResourceTopic, name}, Values: map[string]string{"k": name}})
		case 4:
			do(&AllocateProducerIDs{Count: int32(rnd.IntN(10) - 1)})
		case 5:
			do(&RegisterBroker{ID: broker, Host: name, Rack: name, Dir: [16]byte{byte(rnd.IntN(2))}})
		case 6:
			do(&FenceBroker{ID: broker, Epoch: epoch})
		case 7:
			do(&UnfenceBroker{ID: broker, Epoch: epoch})
		case 8:
			do(&DrainBroker{ID: broker, Epoch: epoch})
		case 9:
			do(&SetLeadership{Node: broker, BrokerEpoch: epoch, Items: []Leadership{{Group: uint64(FirstGroupID + rnd.IntN(20)), Leader: broker, Epoch: int32(rnd.IntN(5)), ISR: ids()}}})
		case 10:
			do(&SetConfig{Resource: Resource{ResourceBroker, ""}, Values: nil})
		}
	}
}
