package fetchsession

import (
	"errors"
	"math/rand/v2"
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
