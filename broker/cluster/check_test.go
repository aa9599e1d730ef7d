package cluster

import (
	"errors"
	"strings"
	"testing"
)

// TestCheck: what no broker proposes is refused before it is in the log.
func TestCheck(t *testing.T) {
	long := strings.Repeat("h", addrBytesMax)
	for _, test := range []struct {
		c    Command
		want error
	}{
		{&CreateTopic{Name: "a", Replicas: [][]int32{{1, 2}, {2}}}, nil},
		{&CreateTopic{Name: "../../victim", Replicas: [][]int32{{1}}}, ErrInvalidTopicName},
		{&CreateTopic{Name: "..", Replicas: [][]int32{{1}}}, ErrInvalidTopicName},
		{&CreateTopic{Replicas: [][]int32{{1}}}, ErrInvalidTopicName},
		{&CreateTopic{Name: "a", Replicas: [][]int32{{1}, {}}}, ErrAssignment},
		{&CreateTopic{Name: "a", Replicas: [][]int32{{1, 2, 1}}}, ErrAssignment},
		{&CreateTopic{Name: "a", Replicas: [][]int32{{0}}}, ErrAssignment},
		{&AddPartitions{Replicas: [][]int32{{-1}}}, ErrAssignment},
		{&AddPartitions{Replicas: [][]int32{{7, 8}}}, nil},
		{&SetConfig{Values: map[string]string{"a": strings.Repeat("v", 32767)}}, nil},
		{&SetConfig{Values: map[string]string{"a": strings.Repeat("v", 32768)}}, ErrTooLarge},
		{&CreateTopic{Name: "a", Configs: map[string]string{"a": strings.Repeat("v", 32768)}, Replicas: [][]int32{{1}}}, ErrTooLarge},
		{&RegisterBroker{ID: 1, Host: long, RaftAddr: long, Rack: long}, nil},
		{&RegisterBroker{ID: 1, RaftAddr: long + "h"}, ErrMalformed},
		{&RegisterBroker{}, ErrBrokerID},
		{&RegisterBroker{ID: -1}, ErrBrokerID},
	} {
		if err := Check(test.c); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%+v: %v, want %v", test.c, err, test.want)
		}
	}
}

// TestCheckPeer: a broker speaks for itself, and of brokers there are.
func TestCheckPeer(t *testing.T) {
	s := New()
	apply(t, s, &RegisterBroker{ID: 1})
	apply(t, s, &RegisterBroker{ID: 2})
	for _, test := range []struct {
		node  int32
		c     Command
		known bool
		want  error
	}{
		{2, &AllocateProducerIDs{Count: 1}, true, nil},
		{3, &AllocateProducerIDs{Count: 1}, false, nil},
		{2, &CreateTopic{Name: "a", Replicas: [][]int32{{1, 2}}}, true, nil},
		{2, &CreateTopic{Name: "a", Replicas: [][]int32{{1, 3}}}, false, nil},
		{2, &AddPartitions{Replicas: [][]int32{{1}, {9}}}, false, nil},
		{2, &CreateTopic{Name: "a/b", Replicas: [][]int32{{1, 2}}}, false, ErrInvalidTopicName},
		{2, &RegisterBroker{ID: 2}, true, nil},
		{2, &RegisterBroker{ID: 1}, false, ErrMalformed},
		{2, &DrainBroker{ID: 2}, true, nil},
		{2, &DrainBroker{ID: 1}, false, ErrMalformed},
		{2, &SetLeadership{Node: 1}, false, ErrMalformed},
		{2, &FenceBroker{ID: 2}, false, ErrMalformed},
		{2, &UnfenceBroker{ID: 2}, false, ErrMalformed},
		{2, &Image{}, false, ErrMalformed},
	} {
		known, err := s.CheckPeer(Proposed{Node: test.node, Command: test.c})
		if known != test.known || !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("node %d: %T%+v: %v, %v", test.node, test.c, test.c, known, err)
		}
	}
}
