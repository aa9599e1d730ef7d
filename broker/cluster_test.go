package broker

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"chronik/broker/follow"
)

// What is acknowledged by all replicas is there after the leader has lost its
// power, from whichever node a topic was created.
func TestLeaderLosesPower(t *testing.T) {
	c := newCrew(t, 3, nil)
	c.create(c.runs[3], "t", 2, 3)
	var want []string
	write := func(n int) {
		for range n {
			v := fmt.Sprint(len(want))
			c.produce("t", 1, v)
			want = append(want, v)
		}
	}
	write(5)
	for range 2 {
		lost := c.leader("t", 1)
		disk := lost.kill()
		write(5)
		c.start(lost.id, disk)
		write(2)
	}
	leader := c.leader("t", 1)
	got, err := c.values(leader, "t", 1)
	if err != nil {
		t.Fatal(err)
	}
	if got = slices.Compact(got); !slices.Equal(got, want) { // what was tried again may be there twice
		t.Errorf("read %v, want %v", got, want)
	}
}

// ISRs shrink, are told to every node, and return.
func TestInSyncReplicas(t *testing.T) {
	c := newCrew(t, 3, nil)
	c.create(c.runs[2], "t", 1, 3, ConfigValue{Name: "min.insync.replicas", Value: "3"})
	isr := func(n int) func() bool {
		return func() bool {
			for _, m := range c.running() {
				info := m.Metadata(background, MetadataRequest{Topics: []TopicRef{{Name: "t"}}})[0]
				if len(info.Partitions) != 1 || len(info.Partitions[0].ISR) != n {
					return false
				}
			}
			return true
		}
	}
	c.until("three in sync", isr(3))
	c.produce("t", 0, "a")
	leader := c.leader("t", 0)
	other := c.running()[0]
	if other == leader {
		other = c.running()[1]
	}
	disk := other.kill()
	c.until("two in sync", isr(2))
	if p := c.try(leader, "t", 0, "b"); !errors.Is(p.Err, ErrNotEnoughReplicas) {
		t.Errorf("with two of three in sync: %v, want %v", p.Err, ErrNotEnoughReplicas)
	}
	c.start(other.id, disk)
	c.until("three in sync again", isr(3))
	c.produce("t", 0, "c")
}

// Who stops hands over first; what it led is led by others when Drain returns,
// and preferred replicas lead again when asked to.
func TestDrainAndElect(t *testing.T) {
	c := newCrew(t, 3, nil)
	c.create(c.runs[1], "t", 6, 3)
	for p := range int32(6) {
		c.produce("t", p, "a")
	}
	n := c.leader("t", 0)
	if err := n.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for p := range int32(6) {
		if l, _ := n.PartitionLeader(TopicPartition{Topic: "t", Partition: p}); l.ID < 0 || l.ID == n.opt.NodeID {
			t.Errorf("partition %d is led by %d after node %d has drained", p, l.ID, n.id)
		}
		c.produce("t", p, "b")
	}
	if n.meta.Leading() {
		t.Error("it still leads the metadata")
	}
	n.stop()
	n = c.start(n.id, n.fs)
	res, err := c.runs[n.id%3+1].ElectLeaders(background, true, nil, 0, DefaultTimeout)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range res {
		if r.Err != nil {
			t.Errorf("%s-%d: %v", r.Topic, r.Partition, r.Err)
		}
	}
	for p := range int32(6) {
		leader, preferred := c.leader("t", p), n.topic(TopicRef{Name: "t"}).Partitions[p].Replicas[0]
		if int32(leader.id) != preferred {
			t.Errorf("partition %d is led by %d, not by %d", p, leader.id, preferred)
		}
	}
}

func TestFollowerReads(t *testing.T) {
	for _, policy := range []follow.Reads{follow.None, follow.Unsafe, follow.Safe} {
		t.Run(string(policy), func(t *testing.T) {
			c := newCrew(t, 3, func(o *Options) { o.FollowerReads = policy })
			c.create(c.runs[1], "t", 1, 3)
			c.produce("t", 0, "a")
			c.produce("t", 0, "b")
			leader := c.leader("t", 0)
			for _, n := range c.running() {
				if n == leader {
					continue
				}
				got, err := c.values(n, "t", 0)
				switch {
				case policy == follow.None && !errors.Is(err, ErrNotLeader):
					t.Errorf("node %d: %v, want %v", n.id, err, ErrNotLeader)
				case policy == follow.Safe && (err != nil || !slices.Equal(got, []string{"a", "b"})):
					t.Errorf("node %d: %v, %v", n.id, got, err)
				case policy == follow.Unsafe:
					c.until("what is committed", func() bool {
						got, err := c.values(n, "t", 0)
						return err == nil && slices.Equal(got, []string{"a", "b"})
					})
				}
			}
			for _, id := range []uint64{1, 2, 3} { // KIP-392
				near, want := at("t", 0, 0), int32(id)
				if id == leader.id || policy == follow.None {
					want = -1
				}
				c.until("all in sync", func() bool {
					l, _ := leader.leadersISR("t", 0)
					return len(l) == 3
				})
				q := &FetchRequest{ReplicaID: -1, MaxBytes: 1 << 20, ReplicaRead: true, ClientRack: fmt.Sprintf("r%d", id), Partitions: []FetchPartition{near}}
				leader.Fetch(background, q).Release()
				if got := q.Partitions[0].PreferredReplica; got != want {
					t.Errorf("a consumer in r%d is sent to %d, want %d", id, got, want)
				}
			}
		})
	}
}

func (n *mate) leadersISR(topic string, partition int32) ([]int32, error) {
	info := n.describeTopic(TopicRef{Name: topic})
	return info.Partitions[partition].ISR, info.Err
}
