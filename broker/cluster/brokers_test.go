package cluster

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestBrokerIDs(t *testing.T) {
	s := New()
	apply(t, s, &RegisterBroker{ID: 1, Host: "old"}) // by a release that did not tell its directory
	mine, other := [16]byte{1}, [16]byte{2}
	first := apply(t, s, &RegisterBroker{ID: 1, Host: "a", RaftAddr: "a:5001", Dir: mine}).First
	if _, err := s.Apply(&RegisterBroker{ID: 1, Host: "b", Dir: other}); !errors.Is(err, ErrBrokerIDTaken) || !strings.Contains(err.Error(), "--node-id") || !strings.Contains(err.Error(), "a:5001") {
		t.Errorf("an id that is taken: %v", err)
	}
	if _, err := s.Apply(&RegisterBroker{ID: 1, Host: "b"}); !errors.Is(err, ErrBrokerIDTaken) {
		t.Errorf("an id that is taken, by a node without identity: %v", err)
	}
	if _, err := s.Apply(&RegisterBroker{ID: -1}); !errors.Is(err, ErrBrokerID) {
		t.Errorf("id -1: %v", err)
	}
	again := apply(t, s, &RegisterBroker{ID: 1, Host: "c", RaftAddr: "c:5001", Dir: mine}).First
	b, _ := s.Broker(1)
	if want := (Broker{ID: 1, Host: "c", RaftAddr: "c:5001", Dir: mine, Epoch: again}); b != want || again <= first || again != int64(s.Version()) {
		t.Errorf("registered again: %+v, epochs %d and %d", b, first, again)
	}
	if id, ok := s.First(); id != 1 || !ok {
		t.Errorf("first is %d, %v", id, ok)
	}
}

func TestFencing(t *testing.T) {
	s := brokersIn(t, 3, 0)
	b, _ := s.Broker(2)
	at, topology := s.BrokersVersion(), s.Topology()
	for _, c := range []Command{&FenceBroker{2, b.Epoch + 1}, &UnfenceBroker{2, b.Epoch - 1}, &DrainBroker{9, b.Epoch}} {
		if _, err := s.Apply(c); !errors.Is(err, ErrBrokerEpoch) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if s.BrokersVersion() != at {
		t.Error("refused commands moved the version of the brokers")
	}
	apply(t, s, &FenceBroker{2, b.Epoch})
	if got := ids(s.Live()); !slices.Equal(got, []int32{1, 3}) || s.BrokersVersion() == at {
		t.Errorf("live are %v", got)
	}
	apply(t, s, &DrainBroker{2, b.Epoch})
	apply(t, s, &UnfenceBroker{2, b.Epoch})
	if now, _ := s.Broker(2); now.Fenced || !now.Draining || now.Epoch != b.Epoch {
		t.Errorf("%+v", now)
	}
	apply(t, s, &FenceBroker{2, b.Epoch})
	apply(t, s, Register(b))
	if now, _ := s.Broker(2); now.Fenced || now.Draining || now.Epoch == b.Epoch {
		t.Errorf("registered again: %+v", now)
	}
	if s.Topology() != topology {
		t.Error("brokers moved the topology")
	}
}

func TestLeadership(t *testing.T) {
	s := brokersIn(t, 3, 0)
	topic := apply(t, s, &CreateTopic{Name: "t", ID: TopicID{1}, Replicas: [][]int32{{1, 2}, {2, 3}}}).Topic
	topology := s.Topology()
	group := topic.Partitions[0].GroupID
	epoch := func(id int32) int64 { b, _ := s.Broker(id); return b.Epoch }
	tell := func(node int32, items ...Leadership) error {
		_, err := s.Apply(&SetLeadership{Node: node, BrokerEpoch: epoch(node), Items: items})
		return err
	}
	is := func(when string, want Leadership) {
		t.Helper()
		if got, _ := s.Leadership(group); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	if _, ok := s.Leadership(group); ok {
		t.Error("a leader before one has told")
	}
	first := Leadership{group, 1, 4, []int32{1, 2}}
	if err := tell(1, first, Leadership{999, 1, 1, []int32{1}}); err != nil {
		t.Fatal(err)
	}
	is("told", first)
	for when, l := range map[string]Leadership{
		"an older epoch":           {group, 2, 3, []int32{2}},
		"another in the same":      {group, 2, 4, []int32{2}},
		"ISR without the leader":   {group, 2, 5, []int32{1}},
		"ISR beyond the replicas":  {group, 2, 5, []int32{2, 3}},
		"a replica twice":          {group, 2, 5, []int32{2, 2}},
		"a leader without replica": {group, 3, 5, []int32{3}},
		"a negative epoch":         {group, 2, -1, []int32{2}},
	} {
		if err := tell(2, l); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		is(when, first)
	}
	smaller := Leadership{group, 1, 4, []int32{1}}
	if err := tell(1, smaller); err != nil {
		t.Fatal(err)
	}
	is("a smaller ISR", smaller)
	if _, err := s.Apply(&SetLeadership{Node: 2, BrokerEpoch: epoch(2) + 1, Items: []Leadership{{group, 2, 6, []int32{2}}}}); !errors.Is(err, ErrBrokerEpoch) {
		t.Errorf("another registration: %v", err)
	}
	apply(t, s, &FenceBroker{2, epoch(2)})
	if err := tell(2, Leadership{group, 2, 6, []int32{2}}); !errors.Is(err, ErrBrokerEpoch) {
		t.Errorf("fenced: %v", err)
	}
	is("refused", smaller)
	if s.Topology() != topology {
		t.Error("leadership moved the topology")
	}
	if owner, p, ok := s.Group(group); !ok || owner.Name != "t" || p != &owner.Partitions[0] {
		t.Errorf("group %d is %v, %v", group, owner, p)
	}
	apply(t, s, &DeleteTopic{ID: topic.ID})
	_, told := s.Leadership(group)
	if _, _, ok := s.Group(group); ok || told || s.Topology() == topology {
		t.Error("what is known of a deleted topic stays")
	}
}

func TestTopologyCountsWhatChangesTopics(t *testing.T) {
	s := brokersIn(t, 1, 0)
	for _, c := range []Command{
		&CreateTopic{Name: "t", ID: TopicID{1}, Replicas: [][]int32{{1}}},
		&AddPartitions{ID: TopicID{1}, From: 1, Replicas: [][]int32{{1}}},
		&SetConfig{Resource: Resource{ResourceTopic, "t"}, Values: map[string]string{"k": "v"}},
		&DeleteTopic{ID: TopicID{1}},
	} {
		before := s.Topology()
		apply(t, s, c)
		moved := s.Topology()
		if _, err := s.Apply(&AddPartitions{ID: TopicID{9}}); err == nil || moved == before || s.Topology() != moved {
			t.Errorf("%T: topology %d, then %d, and %d behind one that failed", c, before, moved, s.Topology())
		}
	}
}
