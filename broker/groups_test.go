package broker

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"chronik/broker/group"
	"chronik/kafka/batch"
)

// coordinator finds the coordinator of a group and waits until it has loaded.
func (r *rig) coordinator(id string) Node {
	r.t.Helper()
	n, err := r.FindCoordinator(background, 0, id)
	if err != nil {
		r.t.Fatalf("find the coordinator of %s: %v", id, err)
	}
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for limit := time.After(time.Minute); ; {
		if d := r.DescribeGroup(id); d.Err != group.CoordinatorLoadInProgress && d.Err != group.NotCoordinator {
			return n
		}
		select {
		case <-poll.C:
		case <-limit:
			r.t.Fatal("the coordinator does not load")
		}
	}
}

func (r *rig) commitOffset(id, topic string, partition int32, offset int64) {
	r.t.Helper()
	tid, _ := r.TopicID(topic)
	got := r.CommitOffsets(background, group.CommitOffsetsRequest{Group: id, Generation: -1, Retention: -1, Topics: []group.TopicToCommit{
		{Name: topic, ID: tid, Partitions: []group.OffsetToCommit{{Partition: partition, Offset: offset, LeaderEpoch: -1}}},
	}})
	if got.Err != group.None || got.Topics[0].Partitions[0].Err != group.None {
		r.t.Fatalf("commit: %+v", got)
	}
}

func (r *rig) committedOffset(id, topic string, partition int32) int64 {
	r.t.Helper()
	tid, _ := r.TopicID(topic)
	got := r.FetchOffsets(group.FetchOffsetsRequest{Group: id, Topics: []group.TopicPartitions{
		{Name: topic, ID: tid, Partitions: []int32{partition}},
	}})
	if got.Err != group.None {
		r.t.Fatalf("fetch offsets: %v", got.Err)
	}
	return got.Topics[0].Partitions[0].Offset
}

// TestC1KeyTypes: groups and transactional ids.
func TestC1KeyTypes(t *testing.T) {
	r := newRig(t)
	for _, keyType := range []int8{2, -1, 3} {
		if _, err := r.FindCoordinator(background, keyType, "x"); !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("key type %d: %v", keyType, err)
		}
	}
	if _, ok := r.TopicID(offsetsTopic); ok {
		t.Error("asking for those created the topic")
	}
}

// TestC3CoordinatorCreatesItsTopic, compacted, with the partitions and replicas that the settings and brokers allow;
// the empty group id is as good as another (C5). Until then no group is coordinated here.
func TestC3CoordinatorCreatesItsTopic(t *testing.T) {
	r := newRig(t)
	if got := r.JoinGroup(background, group.JoinRequest{Group: "g"}); got.Err != group.NotCoordinator {
		t.Errorf("join without the topic: %v", got.Err)
	}
	if groups, err := r.ListGroups(); err != group.None || len(groups) != 0 {
		t.Errorf("list without the topic: %v, %v", groups, err)
	}
	for _, id := range []string{"g", ""} {
		if n := r.coordinator(id); n != (Node{ID: 1, Host: "localhost", Port: 9092}) {
			t.Errorf("coordinator of %q is %+v", id, n)
		}
	}
	info := r.Metadata(background, MetadataRequest{Topics: []TopicRef{{Name: offsetsTopic}}})[0]
	if info.Err != nil || !info.Internal || len(info.Partitions) != 4 || len(info.Partitions[0].Replicas) != 1 {
		t.Errorf("the topic is %+v", info)
	}
	if c := r.local.Topic(offsetsTopic).Config(); !c.Compact || c.DeleteExpired {
		t.Errorf("compact %v, delete %v: offsets must not expire with time", c.Compact, c.DeleteExpired)
	}
}

// TestGroupsOutliveTheProcess: members, assignment and offsets are there after a restart, whichever partition a
// group is in.
func TestGroupsOutliveTheProcess(t *testing.T) {
	r := newRig(t, "group.initial.rebalance.delay.ms=0")
	r.create("t", 2)
	for i := range 8 {
		id := fmt.Sprintf("g%d", i)
		r.coordinator(id)
		joined := r.JoinGroup(background, group.JoinRequest{
			Group: id, ClientID: "c", ClientHost: "/h", SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute,
			ProtocolType: "consumer", Protocols: []group.Protocol{{Name: "range", Metadata: []byte("m")}},
		})
		if joined.Err != group.None {
			t.Fatalf("join %s: %v", id, joined.Err)
		}
		synced := r.SyncGroup(background, group.SyncRequest{
			Group: id, Generation: joined.Generation, MemberID: joined.MemberID,
			Assignments: []group.Assignment{{MemberID: joined.MemberID, Bytes: []byte(id)}},
		})
		if synced.Err != group.None || string(synced.Assignment) != id {
			t.Fatalf("sync %s: %+v", id, synced)
		}
		tid, _ := r.TopicID("t")
		got := r.CommitOffsets(background, group.CommitOffsetsRequest{
			Group: id, Generation: joined.Generation, MemberID: joined.MemberID, Retention: -1,
			Topics: []group.TopicToCommit{{Name: "t", ID: tid, Partitions: []group.OffsetToCommit{{Partition: 1, Offset: int64(i), Metadata: id}}}},
		})
		if got.Err != group.None {
			t.Fatalf("commit %s: %v", id, got.Err)
		}
	}
	r.reopen()
	for i := range 8 {
		id := fmt.Sprintf("g%d", i)
		r.coordinator(id)
		d := r.DescribeGroup(id)
		if d.State != group.Stable || len(d.Members) != 1 || string(d.Members[0].Assignment) != id || d.Members[0].ClientHost != "/h" {
			t.Fatalf("after a restart %s is %+v", id, d)
		}
		if err := r.Heartbeat(group.HeartbeatRequest{Group: id, Generation: 1, MemberID: d.Members[0].MemberID}); err != group.None {
			t.Errorf("heartbeat of %s: %v", id, err)
		}
		if got := r.committedOffset(id, "t", 1); got != int64(i) {
			t.Errorf("offset of %s is %d, want %d", id, got, i)
		}
	}
	if groups, err := r.ListGroups(); err != group.None || len(groups) != 8 {
		t.Errorf("list: %v, %v", groups, err)
	}
}

// TestO15DeletedTopic: its offsets go with it, in this life and the next, and a topic made anew has none.
func TestO15DeletedTopic(t *testing.T) {
	r := newRig(t)
	r.create("gone", 1)
	r.create("stays", 1)
	r.coordinator("g")
	r.commitOffset("g", "gone", 0, 5)
	r.commitOffset("g", "stays", 0, 6)
	if got := r.DeleteTopics(background, []TopicRef{{Name: "gone"}}, time.Minute)[0]; got.Err != nil {
		t.Fatal(got.Err)
	}
	if got := r.committedOffset("g", "gone", 0); got != -1 {
		t.Errorf("the deleted topic has %d", got)
	}
	r.create("gone", 1)
	if got := r.committedOffset("g", "gone", 0); got != -1 {
		t.Errorf("the new topic has %d", got)
	}
	r.commitOffset("g", "gone", 0, 1)
	r.reopen()
	r.coordinator("g")
	if a, b := r.committedOffset("g", "gone", 0), r.committedOffset("g", "stays", 0); a != 1 || b != 6 {
		t.Errorf("after a restart the topics have %d and %d", a, b)
	}
}

// TestGroupStats is what the metrics show.
func TestGroupStats(t *testing.T) {
	r := newRig(t)
	r.create("t", 2)
	r.coordinator("g")
	for range 3 {
		if p := r.produce("t", 1, -1, recordsOf(t, batch.Plain(batch.None), "a", "b")); p.Err != nil {
			t.Fatal(p.Err)
		}
	}
	r.commitOffset("g", "t", 1, 4)
	r.commitOffset("g", "t", 0, 9) // beyond the end: no negative lag
	got := r.GroupStats()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for limit := time.Now().Add(time.Minute); len(got) == 0 && time.Now().Before(limit); got = r.GroupStats() {
		<-poll.C // another partition is still being loaded
	}
	if len(got) != 1 || got[0].Name != "g" || got[0].State != "Empty" || got[0].Members != 0 || len(got[0].Lag) != 2 {
		t.Fatalf("stats: %+v", got)
	}
	for _, l := range got[0].Lag {
		if want := map[int32]int64{0: 0, 1: 2}[l.Partition]; l.Topic != "t" || l.Records != want {
			t.Errorf("lag %+v, want %d", l, want)
		}
	}
}

// TestOffsetsLogIsShortened: what groups have written over and over does not stay for ever, and what counts does.
func TestOffsetsLogIsShortened(t *testing.T) {
	r := newRig(t, "offsets.topic.num.partitions=1")
	r.create("t", 1)
	r.coordinator("g")
	r.commitOffset("other", "t", 0, 77)
	start := func() int64 {
		_, p, err := r.lookup(&TopicPartition{Topic: offsetsTopic}, false)
		if err != nil {
			t.Fatal(err)
		}
		return p.State().LogStart
	}
	var n int64
	for ; start() == 0; n++ {
		if n == 10_000 { // 40 MB
			t.Fatal("the log is never shortened")
		}
		got := r.CommitOffsets(background, group.CommitOffsetsRequest{Group: "g", Generation: -1, Retention: -1, Topics: []group.TopicToCommit{
			{Name: "t", Partitions: []group.OffsetToCommit{{Offset: n, Metadata: strings.Repeat("m", 4096)}}},
		}})
		if got.Err != group.None {
			t.Fatal(got.Err)
		}
	}
	if start() < 1000 || start() > n+1 {
		t.Errorf("after %d commits the log starts at %d", n, start())
	}
	r.reopen()
	r.coordinator("g")
	if a, b := r.committedOffset("g", "t", 0), r.committedOffset("other", "t", 0); a != n-1 || b != 77 {
		t.Errorf("after a restart the offsets are %d and %d, want %d and 77", a, b, n-1)
	}
}
