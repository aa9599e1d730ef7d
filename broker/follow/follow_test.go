package follow

import (
	"testing"

	"chronik/broker/cluster"
)

// KIP-392: a consumer in another rack than the leader's is sent to a replica
// in its own, if that is in sync, in contact, and answers consumers.
func TestNearer(t *testing.T) {
	s := cluster.New()
	for id, rack := range map[int32]string{1: "a", 2: "b", 3: "c", 4: "d"} {
		if _, err := s.Apply(&cluster.RegisterBroker{ID: id, Rack: rack}); err != nil {
			t.Fatal(err)
		}
	}
	fenced, _ := s.Broker(3)
	if _, err := s.Apply(&cluster.FenceBroker{ID: 3, Epoch: fenced.Epoch}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		rack  string
		reads Reads
		want  int32
	}{
		{"b", Safe, 2}, {"b", Unsafe, 2}, {"b", None, -1},
		{"", Safe, -1}, {"a", Safe, -1}, // the leader's own
		{"c", Safe, -1}, // fenced
		{"d", Safe, -1}, // not in sync
		{"e", Safe, -1}, // nobody's
	} {
		p := Policy{Reads: c.reads, NodeID: 1, Rack: "a"}
		if got, ok := p.Nearer(s, c.rack, []int32{1, 2, 3}); got != c.want || ok != (c.want >= 0) {
			t.Errorf("rack %q, policy %s: %d, %v; want %d", c.rack, c.reads, got, ok, c.want)
		}
	}
}
