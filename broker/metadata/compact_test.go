package metadata

import (
	"fmt"
	"strings"
	"testing"

	"chronik/broker/cluster"
)

// TestJoinBehindAnImage: the log is shortened while the cluster works; a node
// that joins then, and one that was away, have the whole state all the same.
func TestJoinBehindAnImage(t *testing.T) {
	r := newRig(t)
	r.compact, r.segment = 20_000, 64<<10
	nodes := []*rigNode{r.form(), r.join(2, "n1:1"), r.join(3, "n1:1")}
	for _, n := range nodes {
		n.voters(3)
	}
	mustPropose(t, nodes[1].m, topicOf(1))
	r.isolate(3, true)
	for i := range 150 {
		mustPropose(t, nodes[0].m, bulky(i))
	}
	leader := leads(t, nodes[:2]...)
	until(t, "a log that begins later", func() bool { return leader.m.log.FirstIndex() > 100 })
	r.isolate(3, false)
	nodes = append(nodes, r.join(4, "n2:1", "n1:1"))
	mustPropose(t, nodes[3].m, topicOf(2))
	for _, n := range nodes {
		until(t, "all that was changed", func() (all bool) {
			n.m.View(func(s *cluster.State) {
				all = s.Topic("t1") != nil && s.Topic("t2") != nil && s.Config(cluster.Resource{Type: cluster.ResourceBroker})["k"] == bulky(149).Values["k"]
			})
			return all
		})
	}
	disk := nodes[0].kill(1)
	again := r.again(1, disk)
	again.enter().View(func(s *cluster.State) {
		if s.Topic("t1") == nil || s.Topic("t2") == nil {
			t.Error("lost in a restart over a shortened log")
		}
	})
}

// bulky is a change that takes room in the log, and replaces the one before.
func bulky(i int) *cluster.SetConfig {
	return &cluster.SetConfig{Resource: cluster.Resource{Type: cluster.ResourceBroker}, Values: map[string]string{"k": strings.Repeat(fmt.Sprint(i, " "), 500)}}
}
