package history

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Partition names a partition.
type Partition struct {
	Topic string
	Index int32
}

func (p Partition) String() string { return fmt.Sprintf("%s-%d", p.Topic, p.Index) }

// Producer is one producer session: an idempotent one has one producer id.
type Producer struct {
	Client     int
	Session    int
	Idempotent bool
}

// Value is the identity of a record.
type Value struct {
	Producer  Producer
	Partition Partition
	N         int // counts up from 0
}

func (v Value) String() string {
	kind := "plain"
	if v.Producer.Idempotent {
		kind = "idempotent"
	}
	return fmt.Sprintf("%s/%d/%d/%s/%d/%d", kind, v.Producer.Client, v.Producer.Session, v.Partition.Topic, v.Partition.Index, v.N)
}

// Parse reads what String wrote.
func Parse(s string) (v Value, err error) {
	var kind string
	fields := make([]any, 0, 6)
	parts := splitN(s)
	if len(parts) != 6 {
		return v, fmt.Errorf("not a value: %q", s)
	}
	kind, v.Partition.Topic = parts[0], parts[3]
	fields = append(fields, &v.Producer.Client, &v.Producer.Session, &v.Partition.Index, &v.N)
	for i, at := range []int{1, 2, 4, 5} {
		if _, err := fmt.Sscan(parts[at], fields[i]); err != nil {
			return v, fmt.Errorf("not a value: %q", s)
		}
	}
	v.Producer.Idempotent = kind == "idempotent"
	if v.String() != s {
		return v, fmt.Errorf("not a value: %q", s)
	}
	return v, nil
}

// Ack is an acknowledged batch.
type Ack struct {
	First  Value // the others follow
	Count  int
	Offset int64 // of the first
	All    bool  // acks=all
	Epoch  int32 // of the leader, as the client knew it: it may have been a later one
}

// Record is one record at its place.
type Record struct {
	Offset int64
	Value  string
}

// Read is one answered fetch.
type Read struct {
	Consumer      string
	Partition     Partition
	Node          uint64
	Safe          bool // of a follower, policy safe
	Epoch         int32
	Known         int64 // what Known told before it began
	Offset        int64 // asked for
	HighWatermark int64
	Records       []Record
}

// Batch is a batch in a replica's log.
type Batch struct {
	Base    int64
	Epoch   int32
	Records []Record
	Bytes   string // all of it
}

// Log is the log of one replica in the end.
type Log struct {
	Node    uint64
	Batches []Batch
}

// History collects.
type History struct {
	mu         sync.Mutex
	acks       []Ack
	sent       map[Producer]map[Partition]int // how many were sent
	seen       map[Partition]map[int64]string
	known      map[Partition]int64 // offset below which all is committed, as told to somebody
	consumers  map[string]*consumer
	topics     map[string]string
	deleted    map[string]bool
	commits    map[string]int64 // the latest acknowledged, by group
	leaders    map[term]uint64
	matched    map[follower]uint64 // the last entry it told the leader of the term to have
	violations []string
	broken     map[string]int // how often, by rule
	reads      int
	followed   int
}

type consumer struct {
	epoch int32
	high  int64
}

type (
	term     struct{ group, term uint64 }
	follower struct {
		term
		node uint64
	}
)

// New is an empty history.
func New() *History {
	return &History{sent: map[Producer]map[Partition]int{}, seen: map[Partition]map[int64]string{}, known: map[Partition]int64{},
		consumers: map[string]*consumer{}, topics: map[string]string{}, deleted: map[string]bool{}, commits: map[string]int64{}, leaders: map[term]uint64{}, matched: map[follower]uint64{}, broken: map[string]int{}}
}

// tellMax is how many violations of a rule are told in full.
const tellMax = 4

// Violate records a broken rule.
func (h *History) Violate(rule, format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.violateLocked(rule, format, args...)
}

func (h *History) violateLocked(rule, format string, args ...any) {
	h.broken[rule]++
	if h.broken[rule] <= tellMax {
		h.violations = append(h.violations, rule+": "+fmt.Sprintf(format, args...))
	}
}

// Violations are the broken rules so far.
func (h *History) Violations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := append([]string(nil), h.violations...)
	for _, rule := range slices.Sorted(maps.Keys(h.broken)) {
		if n := h.broken[rule]; n > tellMax {
			out = append(out, fmt.Sprintf("%s: %d in all", rule, n))
		}
	}
	return out
}

// Counts are how much was acknowledged, in records, how often was read, and how
// often of that from a follower.
func (h *History) Counts() (acked, reads, followed int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.acks {
		acked += h.acks[i].Count
	}
	return acked, h.reads, h.followed
}

// Sending notes that records are being sent, those up to first+count.
func (h *History) Sending(first Value, count int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.sent[first.Producer]
	if m == nil {
		m = map[Partition]int{}
		h.sent[first.Producer] = m
	}
	m[first.Partition] = max(m[first.Partition], first.N+count)
}

// Acked notes an acknowledgement.
func (h *History) Acked(a Ack) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acks = append(h.acks, a)
	if a.All {
		h.knowLocked(a.First.Partition, a.Offset+int64(a.Count))
	}
}

func (h *History) knowLocked(p Partition, offset int64) {
	h.known[p] = max(h.known[p], offset)
}

// Known is the offset below which everything is known to be committed, by
// somebody.
func (h *History) Known(p Partition) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known[p]
}

// Read judges an answered fetch.
func (h *History) Read(r Read) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads++
	if r.Safe {
		h.followed++
	}
	if r.Safe && r.HighWatermark < r.Known {
		h.violateLocked("stale", "%s read %s at node %d up to %d, and %d was known to be committed", r.Consumer, r.Partition, r.Node, r.HighWatermark, r.Known)
	}
	if !r.Safe {
		h.leaderReadLocked(r)
	}
	h.recordsLocked(r)
	h.knowLocked(r.Partition, r.HighWatermark)
}

func (h *History) leaderReadLocked(r Read) {
	c := h.consumers[r.Consumer+r.Partition.String()]
	if c == nil {
		c = &consumer{epoch: -1}
		h.consumers[r.Consumer+r.Partition.String()] = c
	}
	if r.Epoch >= c.epoch && r.HighWatermark < c.high {
		h.violateLocked("backwards", "%s read %s at node %d, epoch %d after %d: the high watermark went from %d to %d",
			r.Consumer, r.Partition, r.Node, r.Epoch, c.epoch, c.high, r.HighWatermark)
	}
	c.epoch, c.high = max(c.epoch, r.Epoch), max(c.high, r.HighWatermark)
}

func (h *History) recordsLocked(r Read) {
	seen := h.seen[r.Partition]
	if seen == nil {
		seen = map[int64]string{}
		h.seen[r.Partition] = seen
	}
	next := r.Offset
	for _, rec := range r.Records {
		if rec.Offset != next {
			h.violateLocked("gap", "%s read %s at node %d from %d: offset %d where %d was next", r.Consumer, r.Partition, r.Node, r.Offset, rec.Offset, next)
			return
		}
		next++
		if rec.Offset >= r.HighWatermark {
			h.violateLocked("read", "%s read %s at node %d: offset %d is behind the high watermark %d", r.Consumer, r.Partition, r.Node, rec.Offset, r.HighWatermark)
		}
		if was, ok := seen[rec.Offset]; ok && was != rec.Value {
			h.violateLocked("read", "%s read %s at node %d: offset %d is %s, and was %s", r.Consumer, r.Partition, r.Node, rec.Offset, rec.Value, was)
		}
		seen[rec.Offset] = rec.Value
	}
}

// TopicCreated notes an acknowledged topic.
func (h *History) TopicCreated(name, id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.topics[name] = id
}

// TopicDeleting notes that a topic may be gone from now on, TopicDeleted that it
// is.
func (h *History) TopicDeleting(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.topics, name)
}

// TopicDeleted is TopicDeleting, acknowledged. The name is not used again.
func (h *History) TopicDeleted(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deleted[name] = true
}

// Committed notes an acknowledged commit of a group, whose commits ascend.
func (h *History) Committed(group string, offset int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commits[group] = offset
}

// Commits judges what a group is told to have committed; tried is its highest
// attempt.
func (h *History) Commits(group string, got, tried int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if got < h.commits[group] || got > tried {
		h.violateLocked("commit", "group %s has committed %d, and %d is acknowledged of %d tried", group, got, h.commits[group], tried)
	}
}

// Led notes that a node sent what only the leader of a term sends; false: it is
// not the only one.
func (h *History) Led(group, t, node uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := term{group, t}
	switch was := h.leaders[at]; was {
	case 0:
		h.leaders[at] = node
	case node:
	default:
		h.violateLocked("leaders", "nodes %d and %d both lead group %d in term %d", was, node, group, t)
		h.leaders[at] = node
		return false
	}
	return true
}

// Answered notes what a follower answered to the leader of term t: that it has
// the log up to entry i, or that it does not have entry i; false: it had told
// that leader before that it has.
func (h *History) Answered(group, t, node, i uint64, rejects bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := follower{term{group, t}, node}
	if !rejects {
		h.matched[at] = max(h.matched[at], i)
		return true
	}
	if i > h.matched[at] {
		return true
	}
	h.violateLocked("forgotten", "node %d has not entry %d of group %d, and had entry %d in the same term %d", node, i, group, h.matched[at], t)
	return false
}
