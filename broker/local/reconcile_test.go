package local

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"chronik/broker/cluster"
	"chronik/broker/config"
	"chronik/broker/partition"
	"chronik/broker/partition/dirs"
	"chronik/internal/vfs"
)

// plan of a topic with these replicas on node 2, told by index and whether
// this node is to lead first.
func planned(s *Set, w Wanted) map[int]bool {
	_, open := s.plan(w)
	out := map[int]bool{}
	for _, o := range open {
		out[o.i] = o.lead
	}
	return out
}

func topic(replicas ...[]int32) *cluster.Topic {
	t := &cluster.Topic{Name: "t", ID: cluster.TopicID{1}}
	for i, r := range replicas {
		t.Partitions = append(t.Partitions, cluster.Partition{GroupID: uint64(16 + i), Replicas: r})
	}
	return t
}

// Only what has a replica here is opened; the first live replica is to lead. A
// topic that grows has its new partitions opened, and one that found no room
// is tried again; one that failed otherwise is not.
func TestPlan(t *testing.T) {
	s := New(Options{NodeID: 2, Resolve: func(string, map[string]string) *config.TopicConfig { return &config.TopicConfig{} }})
	w := Wanted{Version: 1, Topics: []*cluster.Topic{topic([]int32{1, 2}, []int32{3, 2}, []int32{2, 3}, []int32{1, 3})}, Live: map[int32]bool{1: true, 2: true}}
	if got, want := planned(s, w), map[int]bool{0: false, 1: true, 2: true}; !reflect.DeepEqual(got, want) {
		t.Errorf("opens %v, want %v", got, want)
	}
	for index, want := range map[int32]error{0: ErrOpening, 3: ErrElsewhere, 4: ErrUnknown, -1: ErrUnknown} {
		if _, _, err := s.Lookup("t", cluster.TopicID{}, false, index); !errors.Is(err, want) {
			t.Errorf("partition %d: %v, want %v", index, err, want)
		}
	}
	if _, _, err := s.Lookup("", cluster.TopicID{9}, true, 0); !errors.Is(err, ErrUnknownID) {
		t.Errorf("another id: %v", err)
	}
	here := s.topics["t"]
	here.parts[0] = &partition.Partition{}
	here.failed[1], here.failed[2] = errors.Join(ErrFailed, vfs.ErrNoSpace), ErrFailed
	w.Topics = []*cluster.Topic{topic([]int32{1, 2}, []int32{3, 2}, []int32{2, 3}, []int32{1, 3}, []int32{2, 1})}
	if got, want := planned(s, w), map[int]bool{1: true, 4: true}; !reflect.DeepEqual(got, want) {
		t.Errorf("later it opens %v, want %v", got, want)
	}
	if _, p, err := s.Lookup("t", cluster.TopicID{}, false, 0); err != nil || p != here.parts[0] {
		t.Errorf("what is open: %v", err)
	}
}

// A version with another topology is not passed over, and is reached by
// Reconcile alone.
func TestSkip(t *testing.T) {
	s := New(Options{NodeID: 2})
	if s.Skip(1, 1) {
		t.Error("the first version was passed over")
	}
	s.Reconcile(Wanted{Version: 1, Topology: 1})
	progress := s.Progress()
	if !s.Skip(2, 1) || s.Skip(3, 2) {
		t.Error("only the same topology is passed over")
	}
	<-progress
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Await(ended, 2); err != nil {
		t.Errorf("version 2 was passed over: %v", err)
	}
	if err := s.Await(ended, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("version 3 is not reached: %v", err)
	}
}

// A topic whose name would lead out of the directory is not opened, nor is
// anything removed for it.
func TestTopicsNameIsNoPath(t *testing.T) {
	s := New(Options{NodeID: 1, Dir: "data/topics"})
	bad := &Topic{Name: "../../victim"}
	if dir, err := s.partitionDir(bad, 0, 16); !errors.Is(err, dirs.ErrName) || dir != "" {
		t.Errorf("directory %q, %v", dir, err)
	}
	if p, err := s.open(&opening{t: bad, at: cluster.Partition{GroupID: 16, Replicas: []int32{1}}}); !errors.Is(err, dirs.ErrName) || p != nil {
		t.Errorf("opened: %v, %v", p, err)
	}
}
