package broker

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"chronik/broker/group"
	"chronik/broker/lag"
	"chronik/internal/metrics"
)

// coordinator waits for the node that coordinates a group and has loaded it.
func (c *crew) coordinator(name string) (found *mate) {
	c.t.Helper()
	c.until("a coordinator of "+name, func() bool {
		n, err := c.running()[0].FindCoordinator(background, 0, name)
		if err != nil {
			return false
		}
		c.mu.Lock()
		found = c.runs[uint64(n.ID)]
		c.mu.Unlock()
		return found != nil && found.DescribeGroup(name).Err != group.NotCoordinator && found.DescribeGroup(name).Err != group.CoordinatorLoadInProgress
	})
	return found
}

// The lag of a group is told wherever its partitions are: from the replica
// here, leading or not, else by the leaders, which are not asked at each look.
func TestLagOfPartitionsElsewhere(t *testing.T) {
	c := newCrew(t, 3, nil)
	c.create(c.runs[1], "one", 3, 1) // a partition on each node
	c.create(c.runs[1], "all", 3, 3)
	topics := []group.TopicToCommit{{Name: "one"}, {Name: "all"}}
	want := map[string]int64{}
	for i := range topics {
		for part := range int32(3) {
			for n := range part + 2 {
				c.produce(topics[i].Name, part, fmt.Sprint(n))
			}
			topics[i].Partitions = append(topics[i].Partitions, group.OffsetToCommit{Partition: part, Offset: 1, LeaderEpoch: -1})
			want[fmt.Sprint(topics[i].Name, "-", part)] = int64(part) + 1
		}
	}
	at := c.coordinator("g")
	c.until("the commit", func() bool {
		got := at.CommitOffsets(background, group.CommitOffsetsRequest{Group: "g", Generation: -1, Retention: -1, Topics: topics})
		return got.Err == group.None && got.Topics[0].Partitions[0].Err == group.None
	})
	began, looks := time.Now(), 0
	var groups []metrics.Group
	c.until("the lag of all partitions", func() bool {
		got := map[string]int64{}
		if groups = at.GroupStats(); len(groups) == 1 {
			for _, l := range groups[0].Lag {
				got[fmt.Sprint(l.Topic, "-", l.Partition)] = l.Records
			}
		}
		looks++
		return maps.Equal(got, want)
	})
	for range 100 {
		at.GroupStats()
	}
	c.mu.Lock()
	asked, most := at.calls[lag.Method], 2*(1+int(time.Since(began)/(5*time.Second)))
	c.mu.Unlock()
	if asked < 2 || asked > most {
		t.Errorf("leaders were asked %d times at %d looks, want 2 to %d: each of the other two every 5 s", asked, looks+100, most)
	}
	for _, n := range c.running() {
		if got := n.GroupStats(); n != at && len(got) > 0 {
			t.Errorf("node %d, which does not coordinate, tells %+v", n.id, got)
		}
	}
	if _, err := at.Serve(background, 2, lag.Method, make([]byte, 21)); err == nil {
		t.Error("a call of 21 bytes is answered")
	}
}
