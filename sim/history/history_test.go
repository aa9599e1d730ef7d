package history

import (
	"slices"
	"strings"
	"testing"
)

var (
	part = Partition{Topic: "t", Index: 1}
	idem = Producer{Client: 1, Session: 1, Idempotent: true}
	loud = Producer{Client: 2, Session: 1}
)

func value(p Producer, n int) Value { return Value{Producer: p, Partition: part, N: n} }

// log is a replica's log of one batch a record: values from offset 0 on, each in
// the epoch given.
func log(node uint64, epoch int32, values ...Value) Log {
	l := Log{Node: node}
	for i, v := range values {
		l.Batches = append(l.Batches, Batch{Base: int64(i), Epoch: epoch, Bytes: v.String(), Records: []Record{{int64(i), v.String()}}})
	}
	return l
}

func sent() *History {
	h := New()
	h.Sending(value(idem, 0), 5)
	h.Sending(value(loud, 0), 5)
	return h
}

func ack(h *History, v Value, offset int64, all bool) {
	h.Acked(Ack{First: v, Count: 1, Offset: offset, All: all, Epoch: 1})
}

func read(h *History, consumer string, epoch int32, offset, high int64, values ...Value) {
	r := Read{Consumer: consumer, Partition: part, Node: 1, Epoch: epoch, Offset: offset, HighWatermark: high}
	for i, v := range values {
		r.Records = append(r.Records, Record{offset + int64(i), v.String()})
	}
	h.Read(r)
}

var a0, a1, a2, b0 = value(idem, 0), value(idem, 1), value(idem, 2), value(loud, 0)

// cases break each rule, and keep it.
var cases = []struct {
	name string
	want string // rules broken, in order
	do   func(h *History)
}{
	{"all is well", "", func(h *History) {
		ack(h, a0, 0, true)
		ack(h, b0, 1, false)
		ack(h, a1, 3, true)
		read(h, "c", 1, 0, 3, a0, b0, b0)
		read(h, "c", 1, 3, 4, a1)
		h.Check(part, []Log{log(1, 1, a0, b0, b0, a1), log(2, 1, a0, b0, b0, a1)})
	}},
	{"acked with all and gone", "acked", func(h *History) {
		ack(h, a0, 0, true)
		ack(h, a1, 1, true)
		h.Check(part, []Log{log(1, 7, a0)})
	}},
	{"acked at another offset", "acked", func(h *History) {
		ack(h, b0, 1, true)
		h.Check(part, []Log{log(1, 1, b0)})
	}},
	{"acked with one and gone after an election", "", func(h *History) {
		ack(h, b0, 1, false)
		h.Check(part, []Log{log(1, 2, a0), log(2, 2, a0)})
	}},
	{"acked with one and gone", "acked-one acked-one", func(h *History) {
		ack(h, b0, 1, false)
		h.Check(part, []Log{log(1, 1, a0), log(2, 1, a0)})
	}},
	{"acked with one by the only replica and gone", "acked", func(h *History) {
		ack(h, b0, 1, false)
		h.Check(part, []Log{log(1, 9, a0)})
	}},
	{"twice", "once", func(h *History) { h.Check(part, []Log{log(1, 1, a0, b0, a0)}) }},
	{"plain twice", "", func(h *History) { h.Check(part, []Log{log(1, 1, b0, a0, b0)}) }},
	{"idempotent out of order", "order", func(h *History) { h.Check(part, []Log{log(1, 1, a0, a2, a1)}) }},
	{"told out of order", "order", func(h *History) {
		ack(h, value(loud, 0), 1, true)
		ack(h, value(loud, 1), 0, true)
		h.Check(part, []Log{log(1, 1, value(loud, 1), value(loud, 0))})
	}},
	{"never sent", "invented", func(h *History) { h.Check(part, []Log{log(1, 1, value(idem, 5))}) }},
	{"another partition's", "invented", func(h *History) {
		v := a0
		v.Partition.Index = 2
		h.Check(part, []Log{log(1, 1, v)})
	}},
	{"replicas differ in length", "replicas", func(h *History) { h.Check(part, []Log{log(1, 1, a0), log(2, 1, a0, a1)}) }},
	{"replicas differ in bytes", "replicas", func(h *History) { h.Check(part, []Log{log(1, 1, a0), log(2, 1, b0)}) }},
	{"epochs go back", "replicas", func(h *History) {
		l := log(1, 2, a0, a1)
		l.Batches[1].Epoch = 1
		h.Check(part, []Log{l})
	}},
	{"a hole in a log", "gap", func(h *History) {
		l := log(1, 2, a0, a1)
		l.Batches[1].Records[0].Offset = 2
		h.Check(part, []Log{l})
	}},
	{"read and gone", "read", func(h *History) {
		read(h, "c", 1, 0, 2, a0, a1)
		h.Check(part, []Log{log(1, 2, a0, b0)})
	}},
	{"read differently", "read", func(h *History) {
		read(h, "c", 1, 0, 1, a0)
		read(h, "d", 1, 0, 1, b0)
	}},
	{"read behind the high watermark", "read", func(h *History) { read(h, "c", 1, 0, 1, a0, a1) }},
	{"an offset is left out", "gap", func(h *History) {
		h.Read(Read{Consumer: "c", Partition: part, HighWatermark: 9, Records: []Record{{1, a0.String()}}})
	}},
	{"high watermark goes back", "backwards", func(h *History) {
		read(h, "c", 1, 0, 2, a0, a1)
		read(h, "d", 1, 0, 1, a0)
		read(h, "c", 2, 1, 1)
	}},
	{"high watermark of an older leader", "", func(h *History) {
		read(h, "c", 2, 0, 2, a0, a1)
		read(h, "c", 1, 1, 1)
	}},
	{"stale", "stale", func(h *History) {
		ack(h, a0, 0, true)
		h.Read(Read{Consumer: "c", Partition: part, Safe: true, Known: h.Known(part), HighWatermark: 0})
	}},
	{"stale against another consumer", "stale", func(h *History) {
		read(h, "c", 1, 0, 2, a0, a1)
		h.Read(Read{Consumer: "d", Partition: part, Safe: true, Known: h.Known(part), HighWatermark: 1})
	}},
	{"topics", "topic topic", func(h *History) {
		h.TopicCreated("a", "1")
		h.TopicCreated("b", "2")
		h.Topics(1, map[string]string{"a": "1", "b": "2", "c": "3"})
		h.Topics(2, map[string]string{"a": "7"})
	}},
	{"a deleted topic", "topic", func(h *History) {
		h.TopicCreated("a", "1")
		h.TopicDeleting("a")
		h.Topics(1, map[string]string{})
		h.Topics(1, map[string]string{"a": "1"})
		h.TopicDeleted("a")
		h.Topics(2, map[string]string{"a": "1"})
	}},
	{"commits", "commit commit", func(h *History) {
		h.Committed("g", 4)
		h.Commits("g", 4, 6)
		h.Commits("g", 6, 6)
		h.Commits("g", 3, 6)
		h.Commits("g", 7, 6)
	}},
	{"two leaders", "leaders", func(h *History) {
		h.Led(1, 1, 1)
		h.Led(1, 2, 2)
		h.Led(2, 1, 2)
		h.Led(1, 1, 1)
		h.Led(1, 2, 1)
	}},
	{"a rejection of what comes later, or in another term", "", func(h *History) {
		h.Answered(1, 1, 2, 5, false)
		h.Answered(1, 1, 2, 6, true)
		h.Answered(1, 2, 2, 5, true)
		h.Answered(2, 1, 2, 5, true)
		h.Answered(1, 1, 3, 5, true)
	}},
	{"a follower that forgot", "forgotten", func(h *History) {
		h.Answered(1, 1, 2, 5, false)
		h.Answered(1, 1, 2, 3, false)
		h.Answered(1, 1, 2, 5, true)
	}},
}

func TestRules(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := sent()
			c.do(h)
			var rules []string
			for _, v := range h.Violations() {
				rule, _, _ := strings.Cut(v, ":")
				rules = append(rules, rule)
			}
			if !slices.Equal(rules, strings.Fields(c.want)) {
				t.Errorf("broken %q, want %q", h.Violations(), c.want)
			}
		})
	}
}

func TestValues(t *testing.T) {
	v := Value{Producer: Producer{Client: 3, Session: 2, Idempotent: true}, Partition: Partition{"a-b.c", 7}, N: 9}
	if got, err := Parse(v.String()); err != nil || got != v {
		t.Errorf("%v: %v, %v", v, got, err)
	}
	for _, bad := range []string{"", "plain", "plain/1/1/t/0/x", "other/1/1/t/0/1", "plain/1/1/t/0/1/2", "plain/01/1/t/0/1"} {
		if v, err := Parse(bad); err == nil {
			t.Errorf("%q is %v", bad, v)
		}
	}
}
