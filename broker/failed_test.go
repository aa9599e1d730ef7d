package broker

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// A partition that is being opened is not a broken disk: clients ask again.
func TestPartitionBeingOpened(t *testing.T) {
	r := newRig(t)
	r.create("t", 1)
	r.mu.Lock()
	kept := r.topics["t"].parts[0]
	r.topics["t"].parts[0], r.topics["t"].failed[0] = nil, errOpening
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.topics["t"].parts[0] = kept
		r.mu.Unlock()
	}()
	if p := r.produce("t", 0, -1, recordsOf(t, batch.Plain(batch.None), "v")); !errors.Is(p.Err, ErrNotLeader) || errors.Is(p.Err, ErrStorage) {
		t.Errorf("produce: %v, want %v", p.Err, ErrNotLeader)
	}
}
