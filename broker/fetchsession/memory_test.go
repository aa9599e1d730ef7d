package fetchsession

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// client fetches made-up partitions of topics with long names.
type client struct {
	cache  *Cache
	now    time.Time
	topics int
	fetch  Fetch
}

// make asks for n partitions that nobody has named before, in a session or for a new one.
func (c *client) make(session, epoch int32, n int) (int32, error) {
	r := Request{SessionID: session, Epoch: epoch}
	c.topics++
	name := strings.Repeat("n", 300+c.topics)
	for i := range n {
		r.Partitions = append(r.Partitions, Partition{Key: Key{Topic: name, Partition: int32(i)}})
	}
	if err := c.cache.Begin(c.now, r, &c.fetch); err != nil {
		return 0, err
	}
	return c.fetch.Finish(c.now, make([]Result, len(c.fetch.Partitions)), make([]bool, len(c.fetch.Partitions))), nil
}

// Partitions that clients make up are kept for as long as there is memory: then fetches are answered without a session
// (F30), and a session that grows ends (F33). Sessions that nobody has used for two minutes give way (F39).
func TestMadeUpPartitionsAreBounded(t *testing.T) {
	const many = 20_000
	c := &client{cache: New(1000, rand.New(rand.NewPCG(1, 2))), now: time.Unix(1_700_000_000, 0)}
	first, err := c.make(0, EpochInitial, 1)
	if first == 0 || err != nil {
		t.Fatalf("the first session: %d, %v", first, err)
	}
	made := 0
	for ; ; made++ {
		if c.cache.bytes > bytesMax || made > bytesMax/many/partitionBytes {
			t.Fatalf("%d bytes in %d sessions of %d partitions", c.cache.bytes, made, many)
		}
		if id, err := c.make(0, EpochInitial, many); err != nil {
			t.Fatal(err)
		} else if id == 0 {
			break
		}
	}
	if c.cache.bytes < bytesMax*9/10 {
		t.Errorf("no room at %d bytes", c.cache.bytes)
	}
	for epoch := int32(1); err == nil && epoch < 50; epoch++ {
		_, err = c.make(first, epoch, many)
	}
	if !errors.Is(err, ErrNotFound) || c.cache.bytes > bytesMax || c.cache.sessions[first] != nil {
		t.Errorf("a session that grows: %v, %d bytes", err, c.cache.bytes)
	}
	c.now = c.now.Add(EvictAfter + 1)
	if id, err := c.make(0, EpochInitial, many); id == 0 || err != nil {
		t.Errorf("when the others are idle: %d, %v", id, err)
	}
	total := int64(0)
	for _, s := range c.cache.sessions {
		for _, e := range s.byKey {
			total += e.size()
		}
	}
	if total != c.cache.bytes {
		t.Errorf("the cache counts %d bytes of %d", c.cache.bytes, total)
	}
}

// What a session does not hold any more it has no room for either: neither the list nor the map keeps the size that it
// once had.
func TestForgottenPartitionsTakeNoMemory(t *testing.T) {
	const many = 10_000
	c := &client{cache: New(1, rand.New(rand.NewPCG(1, 2))), now: time.Unix(1_700_000_000, 0)}
	id, err := c.make(0, EpochInitial, many)
	if err != nil {
		t.Fatal(err)
	}
	s := c.cache.sessions[id]
	grown := s.byKey // held, so that no other has its address
	keep := s.order[many-2:]
	kept := []Key{keep[0].Key, keep[1].Key}
	for epoch, step := int32(1), many/10; len(s.order) > 2; epoch++ {
		r := Request{SessionID: id, Epoch: epoch}
		for _, e := range s.order[:min(step, len(s.order)-2)] {
			r.Forgotten = append(r.Forgotten, e.Key)
		}
		if err := c.cache.Begin(c.now, r, &c.fetch); err != nil {
			t.Fatal(err)
		}
		n := len(c.fetch.Partitions)
		c.fetch.Finish(c.now, make([]Result, n), make([]bool, n))
		if n := len(s.order); n != len(s.byKey) || cap(s.order) > max(2*n, shrinkFrom) {
			t.Fatalf("%d partitions, %d by key, room for %d", n, len(s.byKey), cap(s.order))
		}
	}
	if reflect.ValueOf(s.byKey).Pointer() == reflect.ValueOf(grown).Pointer() {
		t.Error("the map is the one of all partitions")
	}
	if s.order[0].Key != kept[0] || s.order[1].Key != kept[1] || s.byKey[kept[0]] != s.order[0] || s.byKey[kept[1]] != s.order[1] {
		t.Errorf("kept: %v, %v", s.order[0], s.order[1])
	}
}

// BenchmarkPartitionMemory reports what a partition in a session takes, beside partitionBytes.
func BenchmarkPartitionMemory(b *testing.B) {
	const many = 100_000
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		c := &client{cache: New(1, rand.New(rand.NewPCG(1, 2)))}
		if id, err := c.make(0, EpochInitial, many); id == 0 || err != nil {
			b.Fatal(id, err)
		}
		c.fetch = Fetch{}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(c)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/many, "B/partition")
}

// A session is fetched once at a time, and counts until that is answered even when it is removed: what its requests
// copy is no more than the sessions.
func TestSessionIsFetchedOnceAtATime(t *testing.T) {
	c := &client{cache: New(1000, rand.New(rand.NewPCG(1, 2))), now: time.Unix(1_700_000_000, 0)}
	id, err := c.make(0, EpochInitial, 100)
	if err != nil {
		t.Fatal(err)
	}
	held := c.cache.bytes
	var waiting, second Fetch
	if err := c.cache.Begin(c.now, Request{SessionID: id, Epoch: 1}, &waiting); err != nil {
		t.Fatal(err)
	}
	if err := c.cache.Begin(c.now, Request{SessionID: id, Epoch: 2}, &second); !errors.Is(err, ErrInvalidEpoch) {
		t.Errorf("a second fetch while the first waits: %v", err)
	}
	if err := c.cache.Begin(c.now, Request{SessionID: id, Epoch: EpochFinal}, &second); err != nil {
		t.Fatal(err)
	}
	if c.cache.Len() != 0 || c.cache.bytes != held {
		t.Errorf("%d sessions, %d bytes; want none and %d: a fetch of it waits", c.cache.Len(), c.cache.bytes, held)
	}
	waiting.Finish(c.now, make([]Result, 100), make([]bool, 100))
	if c.cache.bytes != 0 {
		t.Errorf("%d bytes are left", c.cache.bytes)
	}
	if id, err = c.make(0, EpochInitial, 100); err != nil {
		t.Fatal(err)
	}
	for epoch := int32(1); epoch < 4; epoch++ {
		if _, err := c.make(id, epoch, 1); err != nil {
			t.Errorf("epoch %d: %v", epoch, err)
		}
	}
}
