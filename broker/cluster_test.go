package broker

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"chronik/broker/follow"
	"chronik/broker/group"
	"chronik/kafka/batch"
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
				c.until(fmt.Sprintf("an answer of node %d", n.id), func() bool {
					got, err := c.values(n, "t", 0)
					whole := slices.Equal(got, []string{"a", "b"})
					switch {
					case policy == follow.None && !errors.Is(err, ErrNotLeader):
						t.Errorf("node %d: %v, %v, want %v", n.id, got, err, ErrNotLeader)
					case policy == follow.Safe && err == nil && !whole: // it may refuse until it knows the leader
						t.Errorf("node %d: %v is old", n.id, got)
					}
					return policy == follow.None || err == nil && whole
				})
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

// Committed offsets are there when another node coordinates; the node that did
// says so.
func TestCoordinatorMoves(t *testing.T) {
	c := newCrew(t, 3, nil)
	c.create(c.runs[1], "t", 1, 3)
	find := func() (found *mate) {
		c.until("a coordinator that has loaded", func() bool {
			n, err := c.running()[0].FindCoordinator(background, 0, "g")
			if err != nil {
				return false
			}
			c.mu.Lock()
			found = c.runs[uint64(n.ID)]
			c.mu.Unlock()
			return found != nil && found.DescribeGroup("g").Err != group.NotCoordinator && found.DescribeGroup("g").Err != group.CoordinatorLoadInProgress
		})
		return found
	}
	commit := func(n *mate, offset int64) (errs []group.Error) {
		got := n.CommitOffsets(background, group.CommitOffsetsRequest{Group: "g", Generation: -1, Retention: -1, Topics: []group.TopicToCommit{
			{Name: "t", Partitions: []group.OffsetToCommit{{Offset: offset, LeaderEpoch: -1}}},
		}})
		return []group.Error{got.Err, got.Topics[0].Partitions[0].Err}
	}
	fine := []group.Error{group.None, group.None}
	offset := func(n *mate) int64 {
		got := n.FetchOffsets(group.FetchOffsetsRequest{Group: "g", Topics: []group.TopicPartitions{{Name: "t", Partitions: []int32{0}}}})
		if got.Err != group.None {
			return -1
		}
		return got.Topics[0].Partitions[0].Offset
	}
	for round := range int64(2) {
		c.until("a commit", func() bool { return slices.Equal(commit(find(), 10+round), fine) })
		old := find()
		if round == 0 {
			disk := old.kill()
			c.until("the commit is known", func() bool { return offset(find()) == 10 })
			c.start(old.id, disk)
			continue
		}
		if err := old.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.until("the commit is known", func() bool { n := find(); return n != old && offset(n) == 11 })
		c.until("the old one knows that it does not coordinate", func() bool {
			return old.DescribeGroup("g").Err == group.NotCoordinator
		})
	}
}

// What was deleted while a node was down is removed when it is back, and what
// was created is there.
func TestTopicsChangeWhileANodeIsDown(t *testing.T) {
	c := newCrew(t, 3, nil)
	c.create(c.runs[1], "old", 2, 3)
	c.produce("old", 0, "a")
	disk := c.runs[3].kill()
	if got := c.runs[2].DeleteTopics(background, []TopicRef{{Name: "old"}}, DefaultTimeout)[0]; got.Err != nil {
		t.Fatal(got.Err)
	}
	c.until("node 3 is fenced", func() bool { return len(c.runs[1].Nodes()) == 2 })
	c.create(c.runs[1], "new", 1, 2)
	if n, all := c.runs[2].Nodes(), c.runs[2].AllNodes(); len(n) != 2 || len(all) != 3 || !all[2].Fenced {
		t.Errorf("nodes %+v of %+v", n, all)
	}
	n := c.start(3, disk)
	if names, err := n.fs.ReadDir("data/topics"); err != nil || len(names) != 0 {
		t.Errorf("left on node 3: %v, %v", names, err)
	}
	c.until("node 3 is ready", func() bool { return n.NotReady() == nil })
	leader := c.leader("new", 0)
	if got := c.try(n, "new", 0, "a"); !errors.Is(got.Err, ErrNotLeader) {
		t.Errorf("a produce to a node without a replica: %v, want %v", got.Err, ErrNotLeader)
	}
	if got := c.try(leader, "new", 0, "a"); got.Err != nil {
		t.Error(got.Err)
	}
}

// A leader that is cut off acknowledges nothing, and is told so by its long
// polls; another leads.
func TestLeaderIsCutOff(t *testing.T) {
	c := newCrew(t, 3, nil)
	c.create(c.runs[1], "t", 1, 3)
	c.produce("t", 0, "a")
	old := c.leader("t", 0)
	poll := make(chan error, 1)
	go func() {
		q := &FetchRequest{ReplicaID: -1, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 10 * time.Minute, Partitions: []FetchPartition{at("t", 0, 1)}}
		old.Fetch(background, q).Release()
		poll <- q.Partitions[0].Err
	}()
	c.isolate(old.id, true)
	cut := old.Produce(background, &ProduceRequest{Version: 9, Acks: -1, Timeout: time.Minute, Partitions: []ProducePartition{
		{TopicPartition: TopicPartition{Topic: "t"}, Records: recordsOf(t, batch.Plain(batch.None), "lost")},
	}})
	for what, done := range map[string]func() error{
		"produce": func() error { <-cut.Done(); return cut.Partitions[0].Err },
		"poll":    func() error { return <-poll },
	} {
		if err := done(); !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrRequestTimedOut) {
			t.Errorf("%s at a leader that is cut off: %v", what, err)
		}
	}
	var next *mate
	c.until("another leader", func() bool {
		for _, n := range c.running() {
			if l, _ := n.PartitionLeader(TopicPartition{Topic: "t"}); n != old && uint64(l.ID) == n.id {
				next = n
			}
		}
		return next != nil
	})
	c.until("an acknowledgement", func() bool { return c.try(next, "t", 0, "b").Err == nil })
	c.isolate(old.id, false)
	c.produce("t", 0, "c")
	got, err := c.values(c.leader("t", 0), "t", 0)
	if got = slices.Compact(got); err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("read %v, %v", got, err)
	}
}
