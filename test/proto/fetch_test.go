package proto

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

// filled makes a topic whose partition 0 holds n batches of one record, each with a value of the given size.
func filled(t *testing.T, b *harness.Broker, parts int32, n, bytes int) topic {
	t.Helper()
	tp := newTopic(t, b, parts)
	cn := dial(t, b)
	for i := range n {
		cn.appended(tp, 0, batch{records: []rec{{value: make([]byte, bytes)}}}, int64(i))
	}
	return tp
}

// TestF2 answers outside of the log, and between its ends.
func TestF2(t *testing.T) {
	b := broker(t)
	tp := filled(t, b, 1, 3, 10)
	cn := dial(t, b)
	for version := int16(4); version <= 18; version++ {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			r := cn.fetchOne(fetchRequest(version, tp, part{offset: 0}))
			code(t, "from the start", r.ErrorCode, nil)
			equal(t, "batches", len(batches(t, r.RecordBatches)), 3)
			equal(t, "F8 high watermark", r.HighWatermark, 3)
			equal(t, "F8 last stable offset", r.LastStableOffset, 3)
			if version >= 5 {
				equal(t, "F8 log start offset", r.LogStartOffset, 0)
			}
			if version >= 11 {
				equal(t, "F13 preferred read replica", r.PreferredReadReplica, -1)
			}
			r = cn.fetchOne(fetchRequest(version, tp, part{offset: 3}))
			code(t, "at the end", r.ErrorCode, nil)
			equal(t, "bytes at the end", len(r.RecordBatches), 0)
			code(t, "past the end", cn.fetchOne(fetchRequest(version, tp, part{offset: 4})).ErrorCode, kerr.OffsetOutOfRange)
			code(t, "negative", cn.fetchOne(fetchRequest(version, tp, part{offset: -1})).ErrorCode, kerr.OffsetOutOfRange)
		})
	}
}

// TestF3F4F5 holds the byte limits.
func TestF3F4F5(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 2)
	cn := dial(t, b)
	for p := range int32(2) {
		for i := range 5 {
			cn.appended(tp, p, batch{records: []rec{{value: make([]byte, 10_000)}, {value: []byte("second")}}}, int64(2*i))
		}
	}
	t.Run("F3 first batch whole over maxBytes", func(t *testing.T) {
		harness.SkipOnPeer(t, "kfake", "it leaves partitions out of a full answer")
		req := fetchRequest(12, tp, part{p: 0}, part{p: 1})
		req.MaxBytes = 1
		r := ask[*kmsg.FetchResponse](cn, req)
		equal(t, "batches of partition 0", len(batches(t, slot(t, r, 0).RecordBatches)), 1)
		equal(t, "F4 bytes of partition 1", len(slot(t, r, 1).RecordBatches), 0)
	})
	t.Run("F3 first batch whole over partitionMaxBytes", func(t *testing.T) {
		harness.SkipOnPeer(t, "kfake", "it leaves partitions out of a full answer")
		r := ask[*kmsg.FetchResponse](cn, fetchRequest(12, tp, part{p: 0, max: 1}, part{p: 1, max: 1}))
		equal(t, "batches of partition 0", len(batches(t, slot(t, r, 0).RecordBatches)), 1)
		if n := len(slot(t, r, 1).RecordBatches); n > 1 {
			t.Errorf("partition 1 returned %d bytes, its limit is 1", n)
		}
	})
	t.Run("F3 an empty partition does not use up the whole batch", func(t *testing.T) {
		harness.SkipOnPeer(t, "kfake", "it leaves partitions out of a full answer")
		r := ask[*kmsg.FetchResponse](cn, fetchRequest(12, tp, part{p: 0, offset: 10, max: 1}, part{p: 1, max: 1}))
		equal(t, "bytes of partition 0", len(slot(t, r, 0).RecordBatches), 0)
		equal(t, "batches of partition 1", len(batches(t, slot(t, r, 1).RecordBatches)), 1)
	})
	t.Run("F4 the limit shrinks", func(t *testing.T) {
		req := fetchRequest(12, tp, part{p: 0}, part{p: 1})
		req.MaxBytes = 35_000
		r := ask[*kmsg.FetchResponse](cn, req)
		total := 0
		for _, p := range r.Topics[0].Partitions {
			total += len(p.RecordBatches)
		}
		if total > 35_000 || total < 20_000 {
			t.Errorf("%d bytes for a limit of 35000", total)
		}
	})
	t.Run("F5 from inside a batch", func(t *testing.T) {
		bs := batches(t, cn.fetchOne(fetchRequest(12, tp, part{p: 0, offset: 3, max: 1})).RecordBatches)
		equal(t, "base offset of the first batch", bs[0].FirstOffset, 2)
	})
	t.Run("partition limit", func(t *testing.T) {
		n := len(cn.fetchOne(fetchRequest(12, tp, part{p: 0, max: 25_000})).RecordBatches)
		if n < 20_000 || n > 25_000 {
			t.Errorf("%d bytes for a partition limit of 25000", n)
		}
	})
}

// slot is one partition of a response to a full fetch, which must list every partition that was asked for.
func slot(t *testing.T, r *kmsg.FetchResponse, p int32) kmsg.FetchResponseTopicPartition {
	t.Helper()
	for _, s := range partsOf(r) {
		if s.Partition == p {
			return s
		}
	}
	t.Fatalf("the response has no slot for partition %d", p)
	return kmsg.FetchResponseTopicPartition{}
}

// TestF6 lists what is answered at once even though the client allows a long wait.
func TestF6(t *testing.T) {
	b := broker(t)
	tp := filled(t, b, 2, 1, 10)
	const wait = 10_000 // ms; an answer after this long is late
	cases := []struct {
		rule string
		req  func() *kmsg.FetchRequest
	}{
		{"data is there", func() *kmsg.FetchRequest { return fetchRequest(12, tp, part{}) }},
		{"min bytes 0", func() *kmsg.FetchRequest {
			r := fetchRequest(12, tp, part{offset: 1})
			r.MinBytes = 0
			return r
		}},
		{"no partitions", func() *kmsg.FetchRequest {
			r := fetchRequest(12, tp)
			r.Topics = nil
			return r
		}},
		{"a partition error", func() *kmsg.FetchRequest { return fetchRequest(12, tp, part{offset: 1}, part{p: 9}) }},
		{"out of range", func() *kmsg.FetchRequest { return fetchRequest(12, tp, part{p: 1}, part{p: 0, offset: 100}) }},
		{"min bytes over max bytes", func() *kmsg.FetchRequest {
			r := fetchRequest(12, tp, part{})
			r.MinBytes, r.MaxBytes = 1<<30, 10
			return r
		}},
		{"diverging epoch", func() *kmsg.FetchRequest { return fetchRequest(12, tp, part{offset: 5, last: 0, lastSet: true}) }},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			cn := dial(t, b)
			req := c.req()
			req.MaxWaitMillis = wait
			start := time.Now()
			cn.do(req)
			if d := time.Since(start); d > wait*time.Millisecond/2 {
				t.Errorf("answered after %v", d)
			}
		})
	}
}

// TestF7 waits: not before there is enough, at once when there is, empty at the end of the wait.
func TestF7(t *testing.T) {
	b := broker(t)
	t.Run("timeout", func(t *testing.T) {
		tp := newTopic(t, b, 1)
		cn := dial(t, b)
		req := fetchRequest(12, tp, part{})
		req.MaxWaitMillis = 300
		start := time.Now()
		r := cn.fetchOne(req)
		code(t, "fetch", r.ErrorCode, nil)
		equal(t, "bytes", len(r.RecordBatches), 0)
		if d := time.Since(start); d < 290*time.Millisecond {
			t.Errorf("answered after %v with nothing to read, the wait is 300 ms", d)
		}
	})
	t.Run("wake on append", func(t *testing.T) {
		tp := newTopic(t, b, 2)
		cn, other := dial(t, b), dial(t, b)
		req := fetchRequest(12, tp, part{p: 0}, part{p: 1})
		req.MaxWaitMillis = 15_000
		corr := cn.send(req)
		cn.silent(150 * time.Millisecond)
		other.appended(tp, 1, batch{records: texts("wakes")}, 0)
		start := time.Now()
		r := cn.receive(req, corr).(*kmsg.FetchResponse)
		if d := time.Since(start); d > 7*time.Second {
			t.Errorf("woken %v after the append", d)
		}
		got := 0
		for _, p := range r.Topics[0].Partitions {
			if len(p.RecordBatches) > 0 {
				equal(t, "partition", p.Partition, 1)
				got += len(batches(t, p.RecordBatches))
			}
		}
		equal(t, "batches", got, 1)
	})
	t.Run("min bytes accumulate", func(t *testing.T) {
		tp := newTopic(t, b, 2)
		cn, other := dial(t, b), dial(t, b)
		req := fetchRequest(12, tp, part{p: 0}, part{p: 1})
		req.MaxWaitMillis, req.MinBytes = 15_000, 2_000
		corr := cn.send(req)
		other.appended(tp, 0, batch{records: []rec{{value: make([]byte, 900)}}}, 0)
		other.appended(tp, 1, batch{records: []rec{{value: make([]byte, 900)}}}, 0)
		cn.silent(200 * time.Millisecond)
		other.appended(tp, 0, batch{records: []rec{{value: make([]byte, 900)}}}, 1)
		r := cn.receive(req, corr).(*kmsg.FetchResponse)
		total := 0
		for _, p := range r.Topics[0].Partitions {
			total += len(batches(t, p.RecordBatches))
		}
		equal(t, "batches", total, 3)
	})
	t.Run("topic deleted", func(t *testing.T) {
		tp := newTopic(t, b, 1)
		cn, other := dial(t, b), dial(t, b)
		req := fetchRequest(12, tp, part{})
		req.MaxWaitMillis = 15_000
		corr := cn.send(req)
		cn.silent(100 * time.Millisecond)
		deleteTopic(other, tp.name)
		start := time.Now()
		r := cn.receive(req, corr).(*kmsg.FetchResponse)
		if d := time.Since(start); d > 7*time.Second {
			t.Errorf("answered %v after the topic was deleted", d)
		}
		if c := r.Topics[0].Partitions[0].ErrorCode; c != kerr.UnknownTopicOrPartition.Code && c != kerr.NotLeaderForPartition.Code {
			t.Errorf("A21: %s, want UNKNOWN_TOPIC_OR_PARTITION", codeName(c))
		}
	})
}

// TestF9 gives no aborted transactions where there are none: null for read_uncommitted, an empty list for read_committed.
func TestF9(t *testing.T) {
	b := broker(t)
	tp := filled(t, b, 1, 1, 10)
	cn := dial(t, b)
	req := fetchRequest(12, tp, part{})
	if r := cn.fetchOne(req); r.AbortedTransactions != nil {
		t.Errorf("read_uncommitted: aborted transactions %v, want null", r.AbortedTransactions)
	}
	req.IsolationLevel = 1
	r := cn.fetchOne(req)
	if r.AbortedTransactions == nil || len(r.AbortedTransactions) > 0 {
		t.Errorf("read_committed: aborted transactions %v, want an empty list", r.AbortedTransactions)
	}
	equal(t, "batches", len(batches(t, r.RecordBatches)), 1)
}

// TestF20F21 names topics that are not there.
func TestF20F21(t *testing.T) {
	b := broker(t)
	cn := dial(t, b)
	r := ask[*kmsg.FetchResponse](cn, fetchRequest(13, topic{id: [16]byte{9, 9}}, part{}))
	code(t, "F20 unknown id", r.Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicID)
	r = ask[*kmsg.FetchResponse](cn, fetchRequest(12, topic{name: "nobody-made-this"}, part{}))
	code(t, "F21 unknown name", r.Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
	tp := newTopic(t, b, 1)
	code(t, "unknown partition", cn.fetchOne(fetchRequest(12, tp, part{p: 5})).ErrorCode, kerr.UnknownTopicOrPartition)
	code(t, "by id", cn.fetchOne(fetchRequest(13, tp, part{})).ErrorCode, nil)
}

// session runs incremental fetches on one connection.
type session struct {
	cn    *conn
	tp    topic
	id    int32
	epoch int32
}

func (s *session) fetch(version int16, parts []part, forget ...int32) *kmsg.FetchResponse {
	s.cn.t.Helper()
	req := fetchRequest(version, s.tp, parts...)
	if len(parts) == 0 {
		req.Topics = nil
	}
	req.SessionID, req.SessionEpoch, req.MinBytes = s.id, s.epoch, 0
	if len(forget) > 0 {
		f := kmsg.NewFetchRequestForgottenTopic()
		f.Topic, f.TopicID, f.Partitions = s.tp.name, s.tp.id, forget
		req.ForgottenTopics = append(req.ForgottenTopics, f)
	}
	return ask[*kmsg.FetchResponse](s.cn, req)
}

// parts lists the partitions of a response.
func partsOf(r *kmsg.FetchResponse) []kmsg.FetchResponseTopicPartition {
	var ps []kmsg.FetchResponseTopicPartition
	for _, tp := range r.Topics {
		ps = append(ps, tp.Partitions...)
	}
	return ps
}

// TestSessions is F30 to F37 as a story, by name (v12) and by id (v17).
func TestSessions(t *testing.T) {
	b := broker(t)
	for _, version := range []int16{7, 12, 13, 17} {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			tp := newTopic(t, b, 3)
			cn := dial(t, b)
			s := &session{cn: cn, tp: tp}
			r := s.fetch(version, []part{{p: 0}, {p: 1}, {p: 2}})
			code(t, "F30 full fetch", r.ErrorCode, nil)
			if r.SessionID <= 0 {
				t.Fatalf("F30: session id %d, want one", r.SessionID)
			}
			equal(t, "F30 a full fetch lists every partition", len(partsOf(r)), 3)
			s.id, s.epoch = r.SessionID, 1

			r = s.fetch(version, nil)
			code(t, "F33 epoch 1", r.ErrorCode, nil)
			equal(t, "session id", r.SessionID, s.id)
			equal(t, "F36 nothing changed", len(partsOf(r)), 0)

			cn.appended(tp, 1, batch{records: texts("new")}, 0)
			s.epoch = 2
			r = s.fetch(version, nil)
			ps := partsOf(r)
			equal(t, "F36 partitions with records", len(ps), 1)
			equal(t, "F36 its number", ps[0].Partition, 1)
			equal(t, "batches", len(batches(t, ps[0].RecordBatches)), 1)

			s.epoch = 3
			r = s.fetch(version, []part{{p: 1, offset: 1}})
			equal(t, "F35 offset moved on, nothing new", len(partsOf(r)), 0)

			s.epoch = 4
			r = s.fetch(version, nil, 0)
			code(t, "F35 forget", r.ErrorCode, nil)
			cn.appended(tp, 0, batch{records: texts("forgotten")}, 0)
			cn.appended(tp, 2, batch{records: texts("kept")}, 0)
			s.epoch = 5
			ps = partsOf(s.fetch(version, nil))
			equal(t, "F35 partitions after forgetting one", len(ps), 1)
			equal(t, "F35 its number", ps[0].Partition, 2)

			code(t, "F33 epoch used twice", s.fetch(version, nil).ErrorCode, kerr.InvalidFetchSessionEpoch)
			s.epoch = 6
			code(t, "F33 the right epoch still works", s.fetch(version, nil).ErrorCode, nil)
			s.epoch = 99
			r = s.fetch(version, nil)
			code(t, "F33 epoch from the future", r.ErrorCode, kerr.InvalidFetchSessionEpoch)
			equal(t, "F33 session id of an error", r.SessionID, 0)
			equal(t, "F33 partitions of an error", len(partsOf(r)), 0)

			s.epoch = 7
			r = s.fetch(version, nil, 1, 2)
			equal(t, "F37 session id once nothing is left", r.SessionID, 0)
			s.epoch = 8
			code(t, "F37 the session is gone", s.fetch(version, nil).ErrorCode, kerr.FetchSessionIDNotFound)
		})
	}
	t.Run("F31 epoch -1 closes", func(t *testing.T) {
		tp := newTopic(t, b, 1)
		cn := dial(t, b)
		s := &session{cn: cn, tp: tp}
		s.id = s.fetch(12, []part{{}}).SessionID
		s.epoch = -1
		equal(t, "session id", s.fetch(12, []part{{}}).SessionID, 0)
		s.epoch = 1
		code(t, "closed session", s.fetch(12, nil).ErrorCode, kerr.FetchSessionIDNotFound)
	})
	t.Run("F32 epoch 0 with an id replaces", func(t *testing.T) {
		tp := newTopic(t, b, 1)
		cn := dial(t, b)
		s := &session{cn: cn, tp: tp}
		old := s.fetch(12, []part{{}}).SessionID
		s.id = old
		fresh := s.fetch(12, []part{{}}).SessionID
		if fresh == old || fresh == 0 {
			t.Fatalf("session ids %d and then %d", old, fresh)
		}
		s.id, s.epoch = old, 1
		code(t, "the old session", s.fetch(12, nil).ErrorCode, kerr.FetchSessionIDNotFound)
		s.id = fresh
		code(t, "the new session", s.fetch(12, nil).ErrorCode, nil)
	})
	t.Run("F33 unknown id", func(t *testing.T) {
		s := &session{cn: dial(t, b), tp: newTopic(t, b, 1), id: 1<<31 - 1, epoch: 3}
		code(t, "fetch", s.fetch(12, nil).ErrorCode, kerr.FetchSessionIDNotFound)
	})
	t.Run("F33 made by name, used by id", func(t *testing.T) {
		s := &session{cn: dial(t, b), tp: newTopic(t, b, 1)}
		s.id = s.fetch(12, []part{{}}).SessionID
		s.epoch = 1
		code(t, "fetch", s.fetch(13, nil).ErrorCode, kerr.FetchSessionTopicIDError)
	})
	t.Run("F36 an error is listed, and again when it clears", func(t *testing.T) {
		tp := newTopic(t, b, 1)
		cn := dial(t, b)
		s := &session{cn: cn, tp: tp}
		s.id = s.fetch(12, []part{{offset: 5}}).SessionID
		s.epoch = 1
		ps := partsOf(s.fetch(12, nil))
		equal(t, "partitions with an error", len(ps), 1)
		code(t, "out of range", ps[0].ErrorCode, kerr.OffsetOutOfRange)
		s.epoch = 2
		ps = partsOf(s.fetch(12, []part{{offset: 0}}))
		equal(t, "partitions when it clears", len(ps), 1)
		code(t, "cleared", ps[0].ErrorCode, nil)
	})
	t.Run("F36 high watermark change", func(t *testing.T) {
		tp := newTopic(t, b, 2)
		cn := dial(t, b)
		s := &session{cn: cn, tp: tp}
		s.id = s.fetch(12, []part{{p: 0}, {p: 1}}).SessionID
		s.epoch = 1
		cn.appended(tp, 0, batch{records: texts("a")}, 0)
		ps := partsOf(s.fetch(12, []part{{p: 0, offset: 1}}))
		equal(t, "partitions", len(ps), 1)
		equal(t, "high watermark", ps[0].HighWatermark, 1)
		equal(t, "bytes", len(ps[0].RecordBatches), 0)
	})
	t.Run("F38 sessions live across connections", func(t *testing.T) {
		tp := newTopic(t, b, 1)
		s := &session{cn: dial(t, b), tp: tp}
		s.id = s.fetch(12, []part{{}}).SessionID
		s.cn, s.epoch = dial(t, b), 1
		code(t, "fetch", s.fetch(12, nil).ErrorCode, nil)
	})
}

// TestF30Slots answers 0 when there is no slot for a session, and the client goes on with full fetches.
func TestF30Slots(t *testing.T) {
	b := harness.Start(t, harness.Config{Set: map[string]string{"max.incremental.fetch.session.cache.slots": "2"}})
	tp := newTopic(t, b, 1)
	var ids []int32
	for range 4 {
		s := &session{cn: dial(t, b), tp: tp}
		r := s.fetch(12, []part{{}})
		code(t, "fetch", r.ErrorCode, nil)
		equal(t, "partitions", len(partsOf(r)), 1)
		ids = append(ids, r.SessionID)
	}
	if ids[0] == 0 || ids[1] == 0 || ids[2] != 0 || ids[3] != 0 {
		t.Errorf("session ids %v with two slots, want two and then none", ids)
	}
}
