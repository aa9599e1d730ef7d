package metadata

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/metadata/calls"
	"chronik/segment"
)

// callers have changes made on several nodes at a time, and note what they were
// told.
type callers struct {
	t    *testing.T
	stop chan struct{}
	wait sync.WaitGroup

	mu      sync.Mutex
	members []*Member // by node
	made    map[int64]bool
	unclear int
}

// eachAtOnce is how many calls of a node are under way.
const eachAtOnce = 8

func callOn(t *testing.T, nodes []*rigNode) *callers {
	c := &callers{t: t, stop: make(chan struct{}), made: map[int64]bool{}}
	for _, n := range nodes {
		c.members = append(c.members, n.m)
	}
	for i := range nodes {
		for range eachAtOnce {
			c.wait.Go(func() { c.run(i) })
		}
	}
	return c
}

func (c *callers) run(node int) {
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	var dead *Member
	for !closedNow(c.stop) {
		c.mu.Lock()
		m := c.members[node]
		c.mu.Unlock()
		if m == dead {
			<-poll.C
			continue
		}
		ctx, cancel := testContext(c.t)
		res, _, err := m.Propose(ctx, &cluster.AllocateProducerIDs{Count: 1})
		cancel()
		c.mu.Lock()
		switch {
		case err == nil && c.made[res.First]:
			c.t.Errorf("node %d: id %d was given before", node+1, res.First)
		case err == nil:
			c.made[res.First] = true
		case errors.Is(err, ErrClosed): // it was killed with this call under way
			dead = m
			c.unclear++
		default:
			c.t.Errorf("node %d: %v", node+1, err)
		}
		c.mu.Unlock()
	}
}

// TestChangesDuringFailover: while leaders are killed, each change that was
// reported is there, none is carried out twice, and on nodes that live none is
// lost sight of.
func TestChangesDuringFailover(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r, nodes := three(t)
	c := callOn(t, nodes)
	for round := range 4 {
		n := leads(t, nodes...)
		disk := n.kill(seed + uint64(round))
		others := slices.DeleteFunc(slices.Clone(nodes), func(o *rigNode) bool { return o == n })
		mustPropose(t, leads(t, others...).m, topicOf(round))
		back := r.again(n.id, disk)
		back.enter()
		nodes[n.id-1] = back
		c.mu.Lock()
		c.members[n.id-1] = back.m
		c.mu.Unlock()
	}
	close(c.stop)
	c.wait.Wait()
	given := mustPropose(t, nodes[0].m, &cluster.AllocateProducerIDs{Count: 1}).First
	t.Logf("%d ids given, %d reported, %d not known", given, len(c.made), c.unclear)
	if over := int(given) - len(c.made); over < 0 || over > c.unclear {
		t.Errorf("%d ids were given, %d reported, %d not known", given, len(c.made), c.unclear)
	}
	for at, times := range inLog(t, nodes[0].m) {
		if times > 1 {
			t.Errorf("command %x of node %d stands in the log %d times", at.Seq, at.Node, times)
		}
	}
}

// inLog counts how often each command stands in what is committed of the log.
func inLog(t *testing.T, m *Member) map[calls.Mark]int {
	t.Helper()
	counts := map[calls.Mark]int{}
	for i := m.log.FirstIndex(); i <= m.Status().Commit; {
		entries, err := m.log.Entries(i, m.Status().Commit+1, 1<<20, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			for rest := e.Payload; e.Kind == segment.KindData && len(rest) > 0; {
				p, tail, err := cluster.Decode(rest)
				if err != nil {
					t.Fatal(err)
				}
				counts[calls.Mark{Node: p.Node, Seq: p.Seq}]++
				rest = tail
			}
		}
		i = entries[len(entries)-1].Index + 1
	}
	return counts
}

func closedNow(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
