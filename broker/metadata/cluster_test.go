package metadata

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"chronik/broker/cluster"
	"chronik/internal/clock"
	"chronik/internal/vfs"
)

func topicOf(i int) *cluster.CreateTopic {
	return &cluster.CreateTopic{Name: fmt.Sprintf("t%d", i), ID: cluster.TopicID{1, byte(i >> 8), byte(i)}, Replicas: [][]int32{{1}}}
}

func mustPropose(t *testing.T, m *Member, c cluster.Command) cluster.Result {
	t.Helper()
	ctx, cancel := testContext(t)
	defer cancel()
	res, _, err := m.Propose(ctx, c)
	if err != nil {
		t.Fatalf("%T: %v", c, err)
	}
	return res
}

// TestNodesJoinInAnyOrder: three nodes become one cluster, whichever is there
// first, and each takes changes.
func TestNodesJoinInAnyOrder(t *testing.T) {
	for _, order := range [][]uint64{{1, 2, 3}, {3, 2, 1}, {2, 1, 3}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			r := newRig(t)
			nodes := map[uint64]*rigNode{}
			var wait sync.WaitGroup
			for _, id := range order {
				n := r.boot(id, vfs.NewMem())
				nodes[id] = n
				if id == 1 {
					n.open(nil)
					n.enter()
				} else {
					wait.Go(func() { n.joinBy("n1:1", "n2:1", "n3:1") })
				}
			}
			wait.Wait()
			for id, n := range nodes {
				n.voters(3)
				topic := topicOf(int(id))
				if res := mustPropose(t, n.m, topic); res.Topic == nil || res.Topic.Name != topic.Name {
					t.Errorf("node %d: created %+v", id, res.Topic)
				}
				n.m.View(func(s *cluster.State) {
					if s.Topic(topic.Name) == nil || s.ClusterID() == "" {
						t.Errorf("node %d does not have what it proposed", id)
					}
				})
				ctx, cancel := testContext(t)
				if _, _, err := n.m.Propose(ctx, topic); !errors.Is(err, cluster.ErrTopicExists) {
					t.Errorf("node %d: the same again: %v", id, err)
				}
				cancel()
			}
			for id, n := range nodes {
				ctx, cancel := testContext(t)
				if err := n.m.Await(ctx); err != nil {
					t.Fatal(err)
				}
				cancel()
				n.m.View(func(s *cluster.State) {
					if len(s.Topics()) != 3 || len(s.Live()) != 3 {
						t.Errorf("node %d: %d topics, %d live brokers", id, len(s.Topics()), len(s.Live()))
					}
				})
			}
		})
	}
}

// three are three nodes in one cluster, all voters.
func three(t *testing.T) (*rig, []*rigNode) {
	t.Helper()
	r := newRig(t)
	nodes := []*rigNode{r.form(), r.join(2, "n1:1"), r.join(3, "n2:1")}
	for _, n := range nodes {
		n.voters(3)
	}
	return r, nodes
}

// TestRestartOfAll: after a power cut of all nodes the cluster is there again,
// from their disks alone.
func TestRestartOfAll(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r, nodes := three(t)
	mustPropose(t, nodes[1].m, topicOf(1))
	var disks []*vfs.Mem
	for i, n := range nodes {
		disks = append(disks, n.kill(seed+uint64(i)))
	}
	for i := range nodes {
		nodes[i] = r.again(uint64(i+1), disks[i])
	}
	for _, n := range nodes {
		n.enter().View(func(s *cluster.State) {
			if s.Topic("t1") == nil {
				t.Errorf("node %d has lost a topic", n.id)
			}
		})
	}
}

// TestIDTaken: a node with an id that another has is told what to do, also by
// a node that does not lead; and the same node may join twice.
func TestIDTaken(t *testing.T) {
	r, nodes := three(t)
	ctx, cancel := testContext(t)
	defer cancel()
	other := &rigNode{r: r, id: 3, addr: "elsewhere:1", known: map[uint64]string{}, die: make(chan struct{})}
	self := nodes[2].self
	self.Dir = [16]byte{99}
	nodes[2].stop()
	other.enlist()
	defer other.leave()
	for _, addr := range []string{"n1:1", "n2:1"} {
		o := JoinOptions{Self: self, Addrs: []string{addr}, Peers: other, Clock: clock.Real, Logger: testLog()}
		if _, err := Join(ctx, o); !errors.Is(err, cluster.ErrBrokerIDTaken) || !strings.Contains(err.Error(), "--node-id") {
			t.Errorf("by %s: %v", addr, err)
		}
		o.Self = nodes[2].self
		if joined, err := Join(ctx, o); err != nil || len(joined.Brokers) != 3 || !slices.Equal(joined.Voters, []uint64{1}) || joined.ClusterID == "" {
			t.Errorf("once more by %s: %+v, %v", addr, joined, err)
		}
	}
	if where := other.where(2); where != "n2:1" {
		t.Errorf("node 2 is taken to be at %q", where)
	}
}

// TestFencing: a broker that is cut off is fenced, and is taken back when it
// can be reached again.
func TestFencing(t *testing.T) {
	r, nodes := three(t)
	leader := leads(t, nodes...)
	var n *rigNode
	for _, o := range nodes {
		if o != leader {
			n = o
		}
	}
	fenced := func(want bool) func() bool {
		return func() bool {
			at := leads(t, slices.DeleteFunc(slices.Clone(nodes), func(o *rigNode) bool { return o == n })...)
			is := false
			at.m.View(func(s *cluster.State) { b, _ := s.Broker(int32(n.id)); is = b.Fenced })
			return is == want
		}
	}
	before := epochOf(leader.m, n.id)
	r.isolate(n.id, true)
	until(t, "the broker to be fenced", fenced(true))
	r.isolate(n.id, false)
	until(t, "the broker to be taken back", fenced(false))
	if after := epochOf(leader.m, n.id); after != before {
		t.Errorf("it has registered anew: epoch %d, before %d", after, before)
	}
}

func epochOf(m *Member, id uint64) (epoch int64) {
	m.View(func(s *cluster.State) { b, _ := s.Broker(int32(id)); epoch = b.Epoch })
	return epoch
}

func (r *rig) isolate(id uint64, cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut[id] = cut
}

// TestHandOver: a leader that is about to leave has another one lead.
func TestHandOver(t *testing.T) {
	_, nodes := three(t)
	n := leads(t, nodes...)
	ctx, cancel := testContext(t)
	defer cancel()
	if err := n.m.HandOver(ctx); err != nil {
		t.Fatal(err)
	}
	if id, ok := n.m.Leader(); !ok || uint64(id) == n.id {
		t.Errorf("node %d leads after it has handed over to another than %d", id, n.id)
	}
	alone := newRig(t).form()
	if err := alone.m.HandOver(ctx); err != nil || !alone.m.Leading() {
		t.Errorf("alone: %v", err)
	}
}

// TestAnotherAddress: a node that comes back elsewhere is found there.
func TestAnotherAddress(t *testing.T) {
	r, nodes := three(t)
	n := nodes[2]
	disk := n.kill(1)
	leads(t, nodes[:2]...)
	moved := r.boot(3, disk)
	moved.moveTo("elsewhere:1")
	moved.open(nil)
	moved.enter()
	mustPropose(t, moved.m, topicOf(1))
	for _, o := range nodes[:2] {
		until(t, "the new address", func() bool { return o.where(3) == "elsewhere:1" })
	}
}

// TestJoinerThatDies: a node that is killed while it joins goes on when it is
// started again, by joining again.
func TestJoinerThatDies(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t)
	first := r.form()
	for i := range 20 {
		mustPropose(t, first.m, topicOf(i))
	}
	disk := vfs.NewMem()
	for range 5 {
		n := r.boot(2, disk)
		ctx, cancel := testContext(t)
		joined, err := Join(ctx, JoinOptions{Self: n.self, Addrs: []string{"n1:1"}, Peers: n, Clock: clock.Real, Logger: testLog()})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if m := n.open(&joined); rnd.IntN(2) == 0 {
			applied := uint64(rnd.IntN(25))
			until(t, "some of the log", func() (some bool) {
				m.View(func(s *cluster.State) { some = s.Version() >= applied })
				return some
			})
		}
		disk = n.kill(rnd.Uint64())
	}
	n := r.boot(2, disk)
	n.joinBy("n1:1")
	mustPropose(t, n.m, topicOf(20))
	n.m.View(func(s *cluster.State) {
		if len(s.Topics()) != 21 {
			t.Errorf("%d topics", len(s.Topics()))
		}
	})
}

// TestRegisterWhileTheLeaderFails: another node's disk is no reason not to
// start. A change that a user asks for is refused.
func TestRegisterWhileTheLeaderFails(t *testing.T) {
	r := newRig(t)
	r.form()
	n := r.join(2, "n1:1")
	ctx, cancel := testContext(t)
	defer cancel()
	n.failing.Store(1)
	if _, _, err := n.m.Propose(ctx, topicOf(1)); !errors.Is(err, ErrStorage) {
		t.Errorf("a change that the leader's disk has no place for: %v", err)
	}
	n.failing.Store(3)
	if err := n.m.Register(ctx); err != nil || n.failing.Load() != 0 {
		t.Errorf("register: %v, %d answers left", err, n.failing.Load())
	}
}
