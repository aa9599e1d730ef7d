package cluster

import (
	"fmt"
	"testing"
)

// large is a state of 10,000 partitions with three replicas each.
func large(b *testing.B) *State {
	s := New()
	do := func(c Command) {
		if _, err := s.Apply(c); err != nil {
			b.Fatal(err)
		}
	}
	for id := range int32(5) {
		do(&RegisterBroker{ID: id + 1, Host: "broker.example.com", Port: 9092, RaftAddr: "broker.example.com:5001", Dir: [16]byte{byte(id + 1)}})
	}
	for i := range 1000 {
		parts, err := s.Spread(10, 3, nil)
		if err != nil {
			b.Fatal(err)
		}
		do(&CreateTopic{Name: fmt.Sprintf("team-%d.topic-of-some-length-%d", i%20, i), ID: TopicID{byte(i >> 8), byte(i)}, Replicas: parts, Configs: map[string]string{"retention.ms": "86400000"}})
	}
	for _, t := range s.Topics() {
		for _, p := range t.Partitions {
			leader, _ := s.Broker(p.Replicas[0])
			do(&SetLeadership{Node: leader.ID, BrokerEpoch: leader.Epoch, Items: []Leadership{{Group: p.GroupID, Leader: leader.ID, Epoch: 7, ISR: p.Replicas}}})
		}
	}
	return s
}

// BenchmarkImage: what an image of 10,000 partitions takes; the figures stand
// in docs/adr/0003-metadata-is-compacted-by-an-image.md.
func BenchmarkImage(b *testing.B) {
	s := large(b)
	payload := Proposed{Command: s.Image(1)}.Append(nil)
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			payload = Proposed{Command: s.Image(1)}.Append(nil)
		}
		b.ReportMetric(float64(len(payload)), "bytes/image")
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			p, _, err := Decode(payload)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := New().Apply(p.Command); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("passed-over", func(b *testing.B) { // where it was made: applying changes nothing
		for b.Loop() {
			p, _, err := Decode(payload)
			if err != nil {
				b.Fatal(err)
			}
			same := *s
			if !same.Of(payload) {
				b.Fatal("the image is of another state")
			}
			if _, err := same.Apply(p.Command); err != nil {
				b.Fatal(err)
			}
		}
	})
}
