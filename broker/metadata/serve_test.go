package metadata

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"chronik/broker/cluster"
	"chronik/broker/metadata/calls"
)

// proposeAs calls the leader in the name of a node.
func proposeAs(t *testing.T, n *rigNode, id int32, c cluster.Command) calls.ProposeAnswer {
	t.Helper()
	n.m.mu.RLock()
	term := n.m.term
	n.m.mu.RUnlock()
	q := calls.ProposeRequest{Term: term, Command: cluster.Proposed{Node: id, Seq: 1, Command: c}.Append(nil)}
	b, err := n.m.Serve(t.Context(), uint64(id), calls.MethodPropose, q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	a, err := calls.DecodeProposeAnswer(b)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestProposalsOfStrangers: whoever has not joined has nothing carried out, and
// is not remembered.
func TestProposalsOfStrangers(t *testing.T) {
	n := newRig(t).form()
	before := n.m.Status().Applied
	for id := int32(1000); id < 1100; id++ {
		if a := proposeAs(t, n, id, &cluster.AllocateProducerIDs{Count: 1 << 20}); a.Code != calls.NotLeader || !strings.Contains(a.Text, "not registered") {
			t.Fatalf("node %d: %+v", id, a)
		}
	}
	n.m.mu.RLock()
	defer n.m.mu.RUnlock()
	if len(n.m.admitted) != 0 || len(n.m.queue) != 0 || n.m.applied != before {
		t.Errorf("%d nodes are remembered, %d commands wait, applied %d, before %d", len(n.m.admitted), len(n.m.queue), n.m.applied, before)
	}
}

// TestProposalsAreChecked: what a node that has joined proposes is looked at
// before it is in the log of all.
func TestProposalsAreChecked(t *testing.T) {
	n := newRig(t).form()
	if _, _, err := n.m.Propose(t.Context(), &cluster.RegisterBroker{ID: 2}); err != nil {
		t.Fatal(err)
	}
	version := func() (v uint64) { n.m.View(func(s *cluster.State) { v = s.Version() }); return v }
	before := version()
	for _, test := range []struct {
		c    cluster.Command
		want error
	}{
		{&cluster.CreateTopic{Name: "../../victim", ID: cluster.TopicID{1}, Replicas: [][]int32{{1}}}, cluster.ErrInvalidTopicName},
		{&cluster.CreateTopic{Name: "a", ID: cluster.TopicID{1}, Replicas: [][]int32{{}}}, cluster.ErrAssignment},
		{&cluster.CreateTopic{Name: "a", ID: cluster.TopicID{1}, Replicas: [][]int32{{7}}}, ErrNotLeader},
		{&cluster.RegisterBroker{ID: 1}, cluster.ErrMalformed},
		{&cluster.FenceBroker{ID: 1}, cluster.ErrMalformed},
	} {
		a := proposeAs(t, n, 2, test.c)
		if !errors.Is(a.Err(), test.want) || a.Refused() != (test.want != ErrNotLeader) {
			t.Errorf("%T%+v: %+v", test.c, test.c, a)
		}
	}
	if _, _, err := n.m.Propose(t.Context(), &cluster.CreateTopic{Name: "../../victim", Replicas: [][]int32{{1}}}); !errors.Is(err, cluster.ErrInvalidTopicName) {
		t.Errorf("the leader's own: %v", err)
	}
	if after := version(); after != before {
		t.Errorf("%d commands were carried out", after-before)
	}
}

// TestLargeChangesAreRefused: by every node, and at once, though only another
// one has to bring them to the leader in a call.
func TestLargeChangesAreRefused(t *testing.T) {
	_, nodes := three(t)
	const values = calls.CommandBytesMax/30_000 + 1
	large := &cluster.SetConfig{Resource: cluster.Resource{Type: cluster.ResourceBroker}, Values: map[string]string{}}
	for i := range values {
		large.Values[strconv.Itoa(i)] = strings.Repeat("v", 30_000)
	}
	for _, n := range nodes {
		if _, _, err := n.m.Propose(t.Context(), large); !errors.Is(err, cluster.ErrTooLarge) {
			t.Errorf("node %d: %v", n.id, err)
		}
	}
	large.Values["0"] = strings.Repeat("v", calls.CommandBytesMax-(values-1)*30_010)
	for _, n := range nodes {
		if _, _, err := n.m.Propose(t.Context(), large); err != nil {
			t.Errorf("node %d: of almost that size: %v", n.id, err)
		}
	}
}

// TestBrokersAreBounded: beyond the bound nobody is let in, but those who are in.
func TestBrokersAreBounded(t *testing.T) {
	n := newRig(t).form()
	var all sync.WaitGroup
	for id := int32(2); id <= cluster.BrokersMax; id++ {
		all.Go(func() {
			if _, _, err := n.m.Propose(t.Context(), &cluster.RegisterBroker{ID: id}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	join := func(id int32) error {
		b, err := n.m.Serve(t.Context(), uint64(id), calls.MethodJoin, calls.JoinRequest{Self: cluster.Broker{ID: id, RaftAddr: "x:1"}}.Encode())
		if err != nil {
			t.Fatal(err)
		}
		a, err := calls.DecodeJoinAnswer(b)
		if err != nil {
			t.Fatal(err)
		}
		return calls.ErrorOf(a.Code, a.Text)
	}
	if err := join(cluster.BrokersMax + 1); !errors.Is(err, cluster.ErrTooManyBrokers) {
		t.Errorf("one more: %v", err)
	}
	if err := join(0); !errors.Is(err, cluster.ErrBrokerID) {
		t.Errorf("node 0: %v", err)
	}
	if err := join(5); err != nil {
		t.Errorf("one of them: %v", err)
	}
}

// TestNodesJoinAtOnce: each waits for the change that lets another in, and none
// is refused for it.
func TestNodesJoinAtOnce(t *testing.T) {
	r := newRig(t)
	n := r.form()
	ctx, cancel := testContext(t)
	defer cancel()
	var all []*cluster.RegisterBroker
	for id := int32(2); id <= 40; id++ {
		all = append(all, cluster.Register(cluster.Broker{ID: id, Host: "h", Port: 9, RaftAddr: "nowhere:1", Dir: [16]byte{byte(id)}}))
		mustPropose(t, n.m, all[len(all)-1]) // so that the changes of members come together
	}
	var joins sync.WaitGroup
	begin := make(chan struct{})
	for _, c := range all {
		joins.Go(func() {
			<-begin
			if a := n.m.serveJoin(ctx, c); a.Code != calls.OK {
				t.Errorf("node %d: code %d, %s", c.ID, a.Code, a.Text)
			}
		})
	}
	close(begin)
	joins.Wait()
	until(t, "all of them are learners", func() bool { return len(n.m.group.Status().Learners) == len(all) })
}
