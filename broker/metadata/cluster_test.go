package metadata

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"chronik/broker/cluster"
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
