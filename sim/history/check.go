package history

import (
	"maps"
	"slices"
	"strings"
)

func splitN(s string) []string { return strings.Split(s, "/") }

// Topics judges which topics a broker knows, by name their id.
func (h *History) Topics(node uint64, topics map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(h.topics)) {
		if got := topics[name]; got != h.topics[name] {
			h.violateLocked("topic", "%s was created with id %s; node %d knows %q", name, h.topics[name], node, got)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(h.deleted)) {
		if got, there := topics[name]; there {
			h.violateLocked("topic", "%s was deleted; node %d knows %q", name, node, got)
		}
	}
}

// Check judges the logs of a partition's replicas in the end.
func (h *History) Check(p Partition, logs []Log) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(logs) == 0 {
		h.violateLocked("replicas", "%s has none", p)
		return
	}
	h.checkEqual(p, logs)
	for _, l := range logs {
		c := &final{h: h, p: p, node: l.Node, alone: len(logs) == 1, at: map[int64]string{}, first: map[string]int64{}}
		c.index(l)
		c.acked()
		c.orderOfAcks()
		c.read()
	}
}

// checkEqual compares the logs with each other.
func (h *History) checkEqual(p Partition, logs []Log) {
	a := logs[0]
	for _, b := range logs[1:] {
		for i := range max(len(a.Batches), len(b.Batches)) {
			if i >= len(a.Batches) || i >= len(b.Batches) {
				h.violateLocked("replicas", "%s: %d batches at node %d, %d at node %d", p, len(a.Batches), a.Node, len(b.Batches), b.Node)
				break
			}
			if x, y := a.Batches[i], b.Batches[i]; x.Bytes != y.Bytes || x.Base != y.Base {
				h.violateLocked("replicas", "%s: batch %d is at offset %d of epoch %d at node %d, and at offset %d of epoch %d at node %d, or differs in its bytes",
					p, i, x.Base, x.Epoch, a.Node, y.Base, y.Epoch, b.Node)
				break
			}
		}
	}
}

// final is the log of one replica, judged.
type final struct {
	h     *History
	p     Partition
	node  uint64
	alone bool // there is no other replica
	at    map[int64]string
	first map[string]int64 // where a value is, at its first place
	epoch int32            // the latest
}

// index reads the log and judges what needs nothing else.
func (c *final) index(l Log) {
	last := map[Producer]int{}
	next := int64(0)
	for _, b := range l.Batches {
		if b.Epoch < c.epoch {
			c.h.violateLocked("replicas", "%s at node %d: epoch %d behind %d at offset %d", c.p, c.node, b.Epoch, c.epoch, b.Base)
		}
		c.epoch = max(c.epoch, b.Epoch)
		for _, r := range b.Records {
			if r.Offset != next {
				c.h.violateLocked("gap", "%s at node %d: offset %d where %d was next", c.p, c.node, r.Offset, next)
			}
			next = r.Offset + 1
			c.at[r.Offset] = r.Value
			c.value(r, last)
		}
	}
}

func (c *final) value(r Record, last map[Producer]int) {
	v, err := Parse(r.Value)
	if err != nil || v.Partition != c.p || v.N >= c.h.sent[v.Producer][c.p] {
		c.h.violateLocked("invented", "%s at node %d, offset %d: %q was not sent (%v)", c.p, c.node, r.Offset, r.Value, err)
		return
	}
	if was, again := c.first[r.Value]; again {
		if v.Producer.Idempotent {
			c.h.violateLocked("once", "%s at node %d: %s is at offsets %d and %d", c.p, c.node, r.Value, was, r.Offset)
		}
		return
	}
	c.first[r.Value] = r.Offset
	if n, ok := last[v.Producer]; ok && v.Producer.Idempotent && v.N < n {
		c.h.violateLocked("order", "%s at node %d: %s is behind number %d", c.p, c.node, r.Value, n)
	}
	last[v.Producer] = v.N
}

// acked judges what was acknowledged.
func (c *final) acked() {
	for i := range c.h.acks {
		a := &c.h.acks[i]
		if a.First.Partition != c.p {
			continue
		}
		for k := range a.Count {
			v := a.First
			v.N += k
			got, there := c.at[a.Offset+int64(k)]
			if there && got == v.String() {
				continue
			}
			if !there {
				got = "nothing"
			}
			switch {
			case a.All || c.alone:
				c.h.violateLocked("acked", "%s: node %d has %s at offset %d, where %s was acknowledged in epoch %d", c.p, c.node, got, a.Offset+int64(k), v, a.Epoch)
			case c.epoch <= a.Epoch:
				c.h.violateLocked("acked-one", "%s: node %d has %s at offset %d, where %s was acknowledged in epoch %d, and no later epoch began", c.p, c.node, got, a.Offset+int64(k), v, a.Epoch)
			default:
				continue
			}
			break
		}
	}
}

// orderOfAcks judges the offsets that a producer was told, one after the other.
func (c *final) orderOfAcks() {
	last := map[Producer]*Ack{}
	for i := range c.h.acks {
		a := &c.h.acks[i]
		if a.First.Partition != c.p || !a.All {
			continue
		}
		if l := last[a.First.Producer]; l != nil && l.First.N < a.First.N && l.Offset+int64(l.Count) > a.Offset {
			c.h.violateLocked("order", "%s: %s was acknowledged at %d, and %s before it at %d", c.p, a.First, a.Offset, l.First, l.Offset)
		}
		last[a.First.Producer] = a
	}
}

// read judges what consumers were given.
func (c *final) read() {
	seen := c.h.seen[c.p]
	for _, offset := range slices.Sorted(maps.Keys(seen)) {
		if got, ok := c.at[offset]; !ok || got != seen[offset] {
			c.h.violateLocked("read", "%s: a consumer was given %s at offset %d; node %d has %q", c.p, seen[offset], offset, c.node, got)
			return
		}
	}
}
