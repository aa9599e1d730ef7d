package broker

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chronik/broker/group"
	"chronik/broker/local"
	"chronik/internal/vfs"
	"chronik/kafka/batch"
)

// A disk that takes no new files: the topic is in the metadata, but no
// partition can be used. That is no success. With room they can, without a
// restart, and deleting the topic leaves nothing behind.
func TestTopicsOnAFullDisk(t *testing.T) {
	r := newRig(t)
	r.stop()
	var full atomic.Bool
	disk := r.fs
	r.fs = vfs.NewFaulty(disk, func(op vfs.Op, name string) error {
		if full.Load() && op == vfs.OpWrite && strings.Contains(name, topicsDir) {
			return vfs.ErrNoSpace
		}
		return nil
	})
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	r.create("grows", 1)
	full.Store(true)
	created := r.CreateTopics(background, []NewTopic{{Name: "full", Partitions: 3, ReplicationFactor: 1}}, time.Minute, false)[0]
	if !errors.Is(created.Err, ErrStorage) {
		t.Errorf("create on a full disk: %v, want %v", created.Err, ErrStorage)
	}
	grown := r.CreatePartitions(background, []NewPartitions{{Topic: "grows", Count: 2}}, time.Minute, false)[0]
	if !errors.Is(grown, ErrStorage) {
		t.Errorf("more partitions on a full disk: %v, want %v", grown, ErrStorage)
	}
	if p := r.produce("grows", 0, -1, recordsOf(t, batch.Plain(batch.None), "v")); !errors.Is(p.Err, ErrStorage) && p.Err != nil {
		t.Errorf("produce to the partition that was there: %v", p.Err)
	}
	full.Store(false)
	r.clock.Advance(time.Second) // it is tried again then
	parts := func(topic string) int {
		n := 0
		for _, p := range r.Metadata(background, MetadataRequest{Topics: []TopicRef{{Name: topic}}})[0].Partitions {
			if p.Err == nil {
				n++
			}
		}
		return n
	}
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for limit := time.Now().Add(time.Minute); parts("full") < 3 || parts("grows") < 2; <-poll.C {
		if time.Now().After(limit) {
			t.Fatalf("with room %d and %d partitions are open", parts("full"), parts("grows"))
		}
		r.clock.Advance(time.Second)
	}
	for _, topic := range []string{"full", "grows"} {
		if p := r.produce(topic, 1, -1, recordsOf(t, batch.Plain(batch.None), "v")); p.Err != nil {
			t.Errorf("produce to %s with room: %v", topic, p.Err)
		}
	}
	if deleted := r.DeleteTopics(background, []TopicRef{{Name: "full"}}, time.Minute)[0]; deleted.Err != nil {
		t.Fatal(deleted.Err)
	}
	left, err := disk.ReadDir("data/" + topicsDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range left {
		if strings.HasPrefix(name, "full-") {
			t.Errorf("%s is left of a deleted topic", name)
		}
	}
}

// What is not open here is told apart: a partition that is being opened or is
// elsewhere is not a broken disk, clients ask again.
func TestErrorsOfPartitionsThatAreNotOpen(t *testing.T) {
	for from, want := range map[error]error{
		local.ErrOpening: ErrNotLeader, local.ErrElsewhere: ErrNotLeader, local.ErrFailed: ErrStorage,
		local.ErrUnknown: ErrUnknownTopicOrPartition, local.ErrUnknownID: ErrUnknownTopicID,
	} {
		if got := fromBelow(from); !errors.Is(got, want) || want != ErrStorage && errors.Is(got, ErrStorage) {
			t.Errorf("%v: %v, want %v", from, got, want)
		}
	}
}

// A full disk: appends, commits and changes are refused with what clients try again, reads go on, and without a restart
// everything works again when there is room.
func TestEverythingOnAFullDisk(t *testing.T) {
	r := newRig(t)
	disk := r.fs.(*vfs.Mem)
	r.create("t", 1)
	r.coordinator("g")
	big := strings.Repeat("x", 20_000)
	produce := func() error { return r.produce("t", 0, -1, recordsOf(t, batch.Plain(batch.None), big)).Err }
	if err := produce(); err != nil {
		t.Fatal(err)
	}
	r.commitOffset("g", "t", 0, 1)
	u, err := disk.Usage("data")
	if err != nil {
		t.Fatal(err)
	}
	disk.SetCapacity(u.Total - u.Free)
	acked := int64(1)
	for ; ; acked++ {
		if err = produce(); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrStorage) || !errors.Is(err, vfs.ErrNoSpace) {
		t.Fatalf("produce: %v", err)
	}
	id, _ := r.TopicID("t")
	commit := func(n int64) group.Error {
		return r.CommitOffsets(background, group.CommitOffsetsRequest{Group: "g", Generation: -1, Retention: -1, Topics: []group.TopicToCommit{
			{Name: "t", ID: id, Partitions: []group.OffsetToCommit{{Partition: 0, Offset: n, LeaderEpoch: -1, Metadata: strings.Repeat("m", 3000)}}},
		}}).Topics[0].Partitions[0].Err
	}
	committed := int64(1)
	for code := group.None; code == group.None; {
		if code = commit(committed + 1); code == group.None {
			committed++
		} else if code != group.NotCoordinator { // what Kafka says for its storage error
			t.Fatalf("commit: %v", code)
		}
	}
	if got := r.committedOffset("g", "t", 0); got != committed {
		t.Errorf("committed offset %d, want %d", got, committed)
	}
	if created := r.CreateTopics(background, []NewTopic{{Name: "new", Partitions: 1, ReplicationFactor: 1}}, time.Minute, false)[0]; !errors.Is(created.Err, ErrStorage) {
		t.Errorf("create: %v", created.Err)
	}
	r.readsOn("t", acked)
	disk.SetCapacity(0)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	limit := time.Now().Add(time.Minute)
	for what, try := range map[string]func() bool{
		"produce": func() bool { return produce() == nil },
		"commit":  func() bool { return commit(committed+7) == group.None },
		"create": func() bool {
			err := r.CreateTopics(background, []NewTopic{{Name: "other", Partitions: 1, ReplicationFactor: 1}}, time.Minute, false)[0].Err
			return err == nil || errors.Is(err, ErrTopicExists)
		},
	} {
		for ; !try(); <-poll.C {
			if time.Now().After(limit) {
				t.Fatalf("%s does not work with room", what)
			}
		}
	}
	r.reopen()
	r.coordinator("g")
	if got := r.committedOffset("g", "t", 0); got != committed+7 {
		t.Errorf("committed offset %d after a restart, want %d", got, committed+7)
	}
}

// readsOn checks that what has been acknowledged in partition 0 of a topic, up to an offset, can be read and is described.
func (r *rig) readsOn(topic string, acked int64) {
	r.t.Helper()
	q, got := r.fetch(0, 1, at(topic, 0, acked-1))
	if p := q.Partitions[0]; p.Err != nil || p.HighWatermark < acked {
		r.t.Errorf("fetch: %v, high watermark %d, acknowledged %d", p.Err, p.HighWatermark, acked)
	}
	got.Release()
	if at, err := r.ListOffset(background, ListOffset{TopicPartition: TopicPartition{Topic: topic}, CurrentLeaderEpoch: -1, Timestamp: -1}); err != nil || at.Offset < acked {
		r.t.Errorf("list offsets: %+v, %v", at, err)
	}
	if info := r.Metadata(background, MetadataRequest{Topics: []TopicRef{{Name: topic}}})[0]; info.Err != nil || info.Partitions[0].Leader.ID != 1 {
		r.t.Errorf("metadata: %+v", info)
	}
}
