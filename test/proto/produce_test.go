package proto

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

// TestProduceRefused lists batches and requests that must be refused, with nothing appended.
func TestProduceRefused(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 1, "max.message.bytes", "100000")
	compact := newTopic(t, b, 1, "cleanup.policy", "compact")
	now := time.Now().UnixMilli()
	one := texts("v")
	cases := []struct {
		rule    string
		version int16
		acks    int16
		topic   topic
		part    int32
		records []byte
		want    []*kerr.Error
	}{
		{"P2 unknown topic", 9, -1, topic{name: "nobody-made-this"}, 0, batch{records: one}.bytes(), []*kerr.Error{kerr.UnknownTopicOrPartition}},
		{"P2 unknown partition", 9, -1, tp, 1, batch{records: one}.bytes(), []*kerr.Error{kerr.UnknownTopicOrPartition}},
		{"P2 negative partition", 9, -1, tp, -1, batch{records: one}.bytes(), []*kerr.Error{kerr.UnknownTopicOrPartition}},
		{"P2 unknown topic id", 13, -1, topic{id: [16]byte{1, 2, 3}}, 0, batch{records: one}.bytes(), []*kerr.Error{kerr.UnknownTopicID}},
		{"P3 acks 2", 9, 2, tp, 0, batch{records: one}.bytes(), []*kerr.Error{kerr.InvalidRequiredAcks}},
		{"P3 acks -2", 9, -2, tp, 0, batch{records: one}.bytes(), []*kerr.Error{kerr.InvalidRequiredAcks}},
		{"P6 internal topic", 9, -1, topic{name: "__consumer_offsets"}, 0, batch{records: one}.bytes(), []*kerr.Error{kerr.InvalidTopicException}},
		{"P15 null records", 9, -1, tp, 0, nil, []*kerr.Error{kerr.InvalidRecord}},
		{"P15 empty records", 9, -1, tp, 0, []byte{}, []*kerr.Error{kerr.InvalidRecord}},
		{"P15 half a batch", 9, -1, tp, 0, batch{records: one}.bytes()[:40], []*kerr.Error{kerr.InvalidRecord, kerr.CorruptMessage}},
		{"P29 idempotent without a sequence", 9, -1, tp, 0, batch{records: one, idem: true, pid: 7, epoch: 0, seq: -1}.bytes(), []*kerr.Error{kerr.InvalidRecord}},
		{"P40 timestamp too far in the future", 9, -1, tp, 0, batch{records: one, first: now + 2*3600_000}.bytes(), []*kerr.Error{kerr.InvalidTimestamp}},
		{"P42 LogAppendTime bit set by the producer", 9, -1, tp, 0, batch{records: one, attrs: 8}.bytes(), []*kerr.Error{kerr.InvalidTimestamp}},
		{"batch 1 magic 1", 9, -1, tp, 0, batch{records: one, mangle: func(rb *kmsg.RecordBatch) { rb.Magic = 1 }}.bytes(), []*kerr.Error{kerr.InvalidRecord}},
		{"batch 1 magic 9", 9, -1, tp, 0, batch{records: one, mangle: func(rb *kmsg.RecordBatch) { rb.Magic = 9 }}.bytes(), []*kerr.Error{kerr.CorruptMessage, kerr.InvalidRecord}},
		{"batch 1 zstd before v7", 6, -1, tp, 0, batch{records: one, attrs: 4, blob: zstdOf(encodeRecords(one))}.bytes(), []*kerr.Error{kerr.UnsupportedCompressionType}},
		{"batch 1 two batches", 9, -1, tp, 0, append(batch{records: one}.bytes(), batch{records: one}.bytes()...), []*kerr.Error{kerr.InvalidRecord}},
		{"batch 3 base offset", 9, -1, tp, 0, batch{records: one, mangle: func(rb *kmsg.RecordBatch) { rb.FirstOffset = 5 }}.bytes(), []*kerr.Error{kerr.InvalidRecord}},
		{"batch 4 larger than max.message.bytes", 9, -1, tp, 0, batch{records: []rec{{value: make([]byte, 100_001)}}}.bytes(), []*kerr.Error{kerr.MessageTooLarge}},
		{"batch 5 CRC", 9, -1, tp, 0, batch{records: one, mangle: func(rb *kmsg.RecordBatch) { rb.CRC = 12345 }}.bytes(), []*kerr.Error{kerr.CorruptMessage}},
		{"batch 6 codec 6", 9, -1, tp, 0, batch{records: one, attrs: 6}.bytes(), []*kerr.Error{kerr.InvalidRecord, kerr.CorruptMessage}},
		{"batch 7 count 0", 9, -1, tp, 0, batch{records: one, mangle: func(rb *kmsg.RecordBatch) { rb.NumRecords = 0 }}.bytes(), []*kerr.Error{kerr.InvalidRecord}},
		{"batch 7 count over the records", 9, -1, tp, 0, batch{records: one, mangle: func(rb *kmsg.RecordBatch) { rb.NumRecords, rb.LastOffsetDelta = 3, 2 }}.bytes(), []*kerr.Error{kerr.InvalidRecord}},
		{"batch 7 count unlike the last delta", 9, -1, tp, 0, batch{records: texts("a", "b"), mangle: func(rb *kmsg.RecordBatch) { rb.LastOffsetDelta = 5 }}.bytes(), []*kerr.Error{kerr.InvalidRecord}},
		{"batch 7 negative last delta", 9, -1, tp, 0, batch{records: one, mangle: func(rb *kmsg.RecordBatch) { rb.LastOffsetDelta = -1 }}.bytes(), []*kerr.Error{kerr.InvalidRecord}},
		{"batch 7 control", 9, -1, tp, 0, batch{records: one, attrs: 0x20}.bytes(), []*kerr.Error{kerr.InvalidRecord}},
		{"batch 8 bytes after the last record", 9, -1, tp, 0, batch{records: one, mangle: func(rb *kmsg.RecordBatch) { rb.Records = append(rb.Records, 0) }}.bytes(), []*kerr.Error{kerr.InvalidRecord}},
		{"batch 8 record cut short", 9, -1, tp, 0, batch{records: texts("a longer value"), mangle: func(rb *kmsg.RecordBatch) { rb.Records = rb.Records[:6] }}.bytes(), []*kerr.Error{kerr.InvalidRecord}},
		{"batch 8 compressed garbage", 9, -1, tp, 0, batch{records: one, attrs: 1, blob: []byte("no gzip stream")}.bytes(), []*kerr.Error{kerr.InvalidRecord, kerr.CorruptMessage}},
		{"batch 8 null key where compacted", 9, -1, compact, 0, batch{records: one}.bytes(), []*kerr.Error{kerr.InvalidRecord}},
	}
	cn := dial(t, b)
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			cn := dial(t, b)
			r := cn.produceRaw(c.version, c.acks, c.topic, c.part, c.records)
			ok := false
			for _, w := range c.want {
				ok = ok || r.ErrorCode == w.Code
			}
			if !ok {
				t.Fatalf("%s, want %v", codeName(r.ErrorCode), c.want)
			}
			equal(t, "P12 base offset of an error", r.BaseOffset, -1)
			equal(t, "P12 append time of an error", r.LogAppendTime, -1)
		})
	}
	equal(t, "end offset: nothing was appended", cn.end(tp, 0), 0)
	equal(t, "end offset of the compacted topic", cn.end(compact, 0), 0)
}

func zstdOf(b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(b, nil)
}

func gzipOf(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// TestP1 refuses a transactional batch without a transactional id.
func TestP1(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 1)
	cn := dial(t, b)
	r := cn.produce(tp, 0, batch{records: texts("v"), attrs: 0x10, idem: true, pid: 7, epoch: 0})
	code(t, "produce", r.ErrorCode, kerr.TransactionalIDAuthorizationFailed)
	equal(t, "end offset", cn.end(tp, 0), 0)
}

// TestP10 sends acks=0: no response at all on success; on an error the connection closes.
func TestP10(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 1)
	t.Run("success", func(t *testing.T) {
		cn := dial(t, b)
		cn.send(produceRequest(9, 0, tp, 0, batch{records: texts("a", "b")}.bytes()))
		cn.send(produceRequest(13, 0, tp, 0, batch{records: texts("c")}.bytes()))
		cn.alive() // the next response answers the next request
		harness.Eventually(t, time.Minute, "records of acks=0", func() error {
			if n := cn.end(tp, 0); n != 3 {
				return fmt.Errorf("end offset %d, want 3", n)
			}
			return nil
		})
	})
	t.Run("error", func(t *testing.T) {
		cn := dial(t, b)
		cn.send(produceRequest(9, 0, topic{name: "nobody-made-this"}, 0, batch{records: texts("a")}.bytes()))
		cn.closed()
	})
}

// TestP12 checks the fields of success, by version, and that partitions of one request are independent (P9, P14).
func TestP12(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 2)
	for version := int16(3); version <= 13; version++ {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) {
			cn := dial(t, b)
			r := cn.produceRaw(version, 1, tp, 0, batch{records: texts("a", "b")}.bytes())
			code(t, "produce", r.ErrorCode, nil)
			equal(t, "base offset", r.BaseOffset, int64(version-3)*2)
			equal(t, "log append time of a CreateTime topic", r.LogAppendTime, -1)
			if version >= 5 {
				equal(t, "log start offset", r.LogStartOffset, 0)
			}
		})
	}
	t.Run("P9 independent partitions", func(t *testing.T) {
		cn := dial(t, b)
		req := produceRequest(9, -1, tp, 1, batch{records: texts("good")}.bytes())
		bad := kmsg.NewProduceRequestTopicPartition()
		bad.Partition, bad.Records = 77, batch{records: texts("lost")}.bytes()
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, bad)
		r := ask[*kmsg.ProduceResponse](cn, req)
		got := map[int32]int16{}
		for _, p := range r.Topics[0].Partitions {
			got[p.Partition] = p.ErrorCode
		}
		equal(t, "partitions", len(got), 2)
		code(t, "partition 1", got[1], nil)
		code(t, "partition 77", got[77], kerr.UnknownTopicOrPartition)
	})
}

// TestP13 gives every bad record with its index, from v8 on.
func TestP13(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 1, "cleanup.policy", "compact")
	bad := batch{records: []rec{{key: []byte("k"), value: []byte("v")}, {value: []byte("no key")}, {key: []byte("k")}, {value: []byte("no key")}}}
	cn := dial(t, b)
	r := cn.produceRaw(9, -1, tp, 0, bad.bytes())
	code(t, "produce", r.ErrorCode, kerr.InvalidRecord)
	equal(t, "record errors", len(r.ErrorRecords), 2)
	equal(t, "first index", r.ErrorRecords[0].RelativeOffset, 1)
	equal(t, "second index", r.ErrorRecords[1].RelativeOffset, 3)
	if r.ErrorMessage == nil || *r.ErrorMessage == "" {
		t.Error("no error message")
	}
	r = cn.produceRaw(7, -1, tp, 0, bad.bytes())
	code(t, "produce v7", r.ErrorCode, kerr.InvalidRecord)
}

// producerID asks for a new one (T1: unique, epoch 0).
func producerID(c *conn) int64 {
	c.t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version = 4
	r := ask[*kmsg.InitProducerIDResponse](c, req)
	code(c.t, "InitProducerId", r.ErrorCode, nil)
	equal(c.t, "producer epoch", r.ProducerEpoch, 0)
	return r.ProducerID
}

// TestT1 gives unique producer ids in every version, T2 and T3 refuse nonsense.
func TestT1(t *testing.T) {
	b := broker(t)
	seen := map[int64]bool{}
	for i := range 50 {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version = int16(i % 6)
		r := ask[*kmsg.InitProducerIDResponse](dial(t, b), req)
		code(t, "InitProducerId", r.ErrorCode, nil)
		if r.ProducerID < 0 || seen[r.ProducerID] || r.ProducerEpoch != 0 {
			t.Fatalf("id %d epoch %d, given before: %v", r.ProducerID, r.ProducerEpoch, seen[r.ProducerID])
		}
		seen[r.ProducerID] = true
	}
}

// TestIdempotence is P20 to P31 as a story of one producer in one partition.
func TestIdempotence(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 1)
	cn := dial(t, b)
	pid := producerID(cn)
	idem := func(epoch int16, seq int32, values ...string) batch {
		return batch{records: texts(values...), idem: true, pid: pid, epoch: epoch, seq: seq}
	}
	steps := []struct {
		rule   string
		b      batch
		want   *kerr.Error
		offset int64 // base offset of success
	}{
		{"P23 first batch", idem(0, 0, "0", "1"), nil, 0},
		{"P21 duplicate of the newest", idem(0, 0, "0", "1"), nil, 0},
		{"P24 next in sequence", idem(0, 2, "2"), nil, 2},
		{"P24 gap", idem(0, 5, "x"), kerr.OutOfOrderSequenceNumber, -1},
		{"P24 next", idem(0, 3, "3"), nil, 3},
		{"P24 next", idem(0, 4, "4"), nil, 4},
		{"P24 next", idem(0, 5, "5"), nil, 5},
		{"P21 duplicate of the fifth last", idem(0, 0, "0", "1"), nil, 0},
		{"P24 next", idem(0, 6, "6"), nil, 6},
		{"P31 duplicate out of the window", idem(0, 0, "0", "1"), kerr.OutOfOrderSequenceNumber, -1},
		{"P21 duplicate of the fifth last", idem(0, 2, "2"), nil, 2},
		{"P24 overlap that is no duplicate", idem(0, 5, "5", "6"), kerr.OutOfOrderSequenceNumber, -1},
		{"P23 new epoch must begin at 0", idem(1, 7, "x"), kerr.OutOfOrderSequenceNumber, -1},
		{"P23 new epoch", idem(1, 0, "7"), nil, 7},
		{"P22 old epoch", idem(0, 7, "x"), kerr.InvalidProducerEpoch, -1},
		{"P26 window of the old epoch is gone", idem(1, 6, "6"), kerr.OutOfOrderSequenceNumber, -1},
		{"P24 next", idem(1, 1, "8"), nil, 8},
		{"P30 a plain batch changes nothing", batch{records: texts("plain")}, nil, 9},
		{"P24 next", idem(1, 2, "10"), nil, 10},
	}
	for i, s := range steps {
		r := cn.produce(tp, 0, s.b)
		code(t, fmt.Sprintf("step %d, %s", i, s.rule), r.ErrorCode, s.want)
		equal(t, fmt.Sprintf("step %d, %s: base offset", i, s.rule), r.BaseOffset, s.offset)
	}
	equal(t, "end offset: duplicates and refusals appended nothing", cn.end(tp, 0), 11)
	t.Run("P23 unknown producer may begin anywhere", func(t *testing.T) {
		r := cn.produce(tp, 0, batch{records: texts("a"), idem: true, pid: pid + 1_000_000, seq: 1234})
		code(t, "produce", r.ErrorCode, nil)
	})
	t.Run("P24 sequence wraps", func(t *testing.T) {
		other := newTopic(t, b, 1)
		code(t, "before", cn.produce(other, 0, batch{records: texts("a", "b"), idem: true, pid: pid, seq: 2147483646}).ErrorCode, nil)
		code(t, "wrapped", cn.produce(other, 0, batch{records: texts("c"), idem: true, pid: pid, seq: 0}).ErrorCode, nil)
		r := cn.produce(other, 0, batch{records: texts("a", "b"), idem: true, pid: pid, seq: 2147483646})
		code(t, "duplicate across the wrap", r.ErrorCode, nil)
		equal(t, "base offset", r.BaseOffset, 0)
		equal(t, "end offset", cn.end(other, 0), 3)
	})
	t.Run("P24 batch that wraps inside", func(t *testing.T) {
		other := newTopic(t, b, 1)
		code(t, "across", cn.produce(other, 0, batch{records: texts("a", "b", "c"), idem: true, pid: pid, seq: 2147483646}).ErrorCode, nil)
		code(t, "next", cn.produce(other, 0, batch{records: texts("d"), idem: true, pid: pid, seq: 1}).ErrorCode, nil)
	})
	t.Run("P20 partitions have their own state", func(t *testing.T) {
		other := newTopic(t, b, 2)
		for p := range int32(2) {
			cn.appended(other, p, batch{records: texts("a"), idem: true, pid: pid, epoch: 1, seq: 0}, 0)
			cn.appended(other, p, batch{records: texts("b"), idem: true, pid: pid, epoch: 1, seq: 1}, 1)
		}
	})
}

// TestIdempotenceRestart is P20's "state rebuilt from the log at start", after SIGKILL and after SIGTERM.
func TestIdempotenceRestart(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "it keeps producer state apart from the log and may lose it")
	b := harness.Start(t, harness.Config{})
	b.Owned(t)
	tp := newTopic(t, b, 1)
	cn := dial(t, b)
	pid := producerID(cn)
	idem := func(seq int32) batch {
		return batch{records: texts(fmt.Sprint(seq)), idem: true, pid: pid, epoch: 0, seq: seq}
	}
	for seq := range int32(6) {
		cn.appended(tp, 0, idem(seq), int64(seq))
	}
	for i, end := range []func(){b.Kill, func() { b.Stop() }} {
		end()
		if _, err := b.Launch(); err != nil {
			t.Fatal(err)
		}
		cn = dial(t, b)
		next := int32(6 + i)
		for seq := next - 5; seq < next; seq++ {
			r := cn.produce(tp, 0, idem(seq))
			code(t, fmt.Sprintf("restart %d: duplicate of %d", i, seq), r.ErrorCode, nil)
			equal(t, "base offset of the duplicate", r.BaseOffset, int64(seq))
		}
		code(t, "gap", cn.produce(tp, 0, idem(next+1)).ErrorCode, kerr.OutOfOrderSequenceNumber)
		cn.appended(tp, 0, idem(next), int64(next))
		if again := producerID(cn); again <= pid {
			t.Errorf("producer id %d after the restart, %d was given out before it", again, pid)
		}
	}
}

// TestP40 accepts what the limits allow, and holds the topic's own limits.
func TestP40(t *testing.T) {
	b := broker(t)
	cn := dial(t, b)
	tp := newTopic(t, b, 1)
	now := time.Now().UnixMilli()
	cn.appended(tp, 0, batch{records: texts("long ago"), first: 1}, 0)
	cn.appended(tp, 0, batch{records: texts("none"), first: -1}, 1)
	cn.appended(tp, 0, batch{records: texts("soon"), first: now + 3_000_000}, 2)
	strict := newTopic(t, b, 1, "message.timestamp.before.max.ms", "60000", "message.timestamp.after.max.ms", "60000")
	r := cn.produce(strict, 0, batch{records: texts("old"), first: now - 120_000})
	code(t, "too old", r.ErrorCode, kerr.InvalidTimestamp)
	equal(t, "record errors", len(r.ErrorRecords), 1)
	code(t, "too new", cn.produce(strict, 0, batch{records: texts("new"), first: now + 120_000}).ErrorCode, kerr.InvalidTimestamp)
	code(t, "one of two too new", cn.produce(strict, 0, batch{records: []rec{{value: []byte("a")}, {value: []byte("b"), delta: 120_000}}}).ErrorCode, kerr.InvalidTimestamp)
	cn.appended(strict, 0, batch{records: texts("fine")}, 0)
}

// TestP41 stamps LogAppendTime: bit 3, max timestamp and the response, whatever the producer wrote.
func TestP41(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 1, "message.timestamp.type", "LogAppendTime")
	cn := dial(t, b)
	before := time.Now().UnixMilli()
	r := cn.produce(tp, 0, batch{records: texts("a", "b"), first: 1000})
	after := time.Now().UnixMilli()
	code(t, "produce", r.ErrorCode, nil)
	if r.LogAppendTime < before || r.LogAppendTime > after {
		t.Errorf("log append time %d, not within %d and %d", r.LogAppendTime, before, after)
	}
	rb := batches(t, cn.fetch(tp, 0, 0).RecordBatches)[0]
	equal(t, "timestamp type bit", rb.Attributes&8, 8)
	equal(t, "max timestamp", rb.MaxTimestamp, r.LogAppendTime)
	equal(t, "L11 lookup by append time", cn.listOffset(7, tp, 0, r.LogAppendTime).Offset, 0)
}

// TestStoredAsSent holds that a batch is stored as it came: only base offset and leader epoch differ.
func TestStoredAsSent(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 1)
	cn := dial(t, b)
	recs := []rec{{key: []byte("k"), value: bytes.Repeat([]byte("chronik "), 500)}, {value: []byte{}}, {key: []byte{}}}
	raw := encodeRecords(recs)
	next := int64(0)
	for name, sent := range map[string][]byte{
		"none": batch{records: recs}.bytes(),
		"gzip": batch{records: recs, attrs: 1, blob: gzipOf(raw)}.bytes(),
		"zstd": batch{records: recs, attrs: 4, blob: zstdOf(raw)}.bytes(),
	} {
		r := cn.produceRaw(9, -1, tp, 0, sent)
		code(t, name, r.ErrorCode, nil)
		equal(t, name+" base offset", r.BaseOffset, next)
		got := cn.fetch(tp, 0, next).RecordBatches
		want := bytes.Clone(sent)
		copy(want[:8], got[:8])     // base offset
		copy(want[12:16], got[12:]) // leader epoch
		equal(t, name+" base offset of the stored batch", int64(binary.BigEndian.Uint64(got)), next)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: stored\n% x\nsent\n% x", name, got[:61], want[:61])
		}
		next += int64(len(recs))
	}
}

// TestMaxTimestampRewritten corrects a header that lies about its greatest timestamp, with a new CRC.
func TestMaxTimestampRewritten(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "it stores the header as sent")
	b := broker(t)
	tp := newTopic(t, b, 1)
	cn := dial(t, b)
	now := time.Now().UnixMilli()
	cn.appended(tp, 0, batch{records: []rec{{delta: 5}, {delta: 9}, {delta: 2}}, first: now, mangle: func(rb *kmsg.RecordBatch) { rb.MaxTimestamp = 3 }}, 0)
	rb := batches(t, cn.fetch(tp, 0, 0).RecordBatches)[0]
	equal(t, "max timestamp", rb.MaxTimestamp, now+9)
	r := cn.listOffset(7, tp, 0, -3)
	equal(t, "L3 offset of the greatest timestamp", r.Offset, 1)
	equal(t, "L3 greatest timestamp", r.Timestamp, now+9)
}

// TestCompressionType recompresses when the topic names another codec than the batch.
func TestCompressionType(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "it stores what came")
	b := broker(t)
	recs := []rec{{key: []byte("k"), value: bytes.Repeat([]byte("chronik "), 100)}, {value: []byte("b"), delta: 7}}
	raw := encodeRecords(recs)
	sources := map[string]batch{
		"none": {records: recs},
		"gzip": {records: recs, attrs: 1, blob: gzipOf(raw)},
		"zstd": {records: recs, attrs: 4, blob: zstdOf(raw)},
	}
	for want, id := range map[string]int16{"uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4, "producer": -1} {
		tp := newTopic(t, b, 1, "compression.type", want)
		cn := dial(t, b)
		next := int64(0)
		for name, src := range sources {
			t.Run(want+" from "+name, func(t *testing.T) {
				src.first = time.Now().UnixMilli()
				r := cn.produce(tp, 0, src)
				code(t, "produce", r.ErrorCode, nil)
				rb := batches(t, cn.fetch(tp, 0, next).RecordBatches)[0]
				next += 2
				codec := id
				if id < 0 {
					codec = src.attrs
				}
				equal(t, "codec of the stored batch", rb.Attributes&7, codec)
				equal(t, "records", rb.NumRecords, 2)
				equal(t, "first timestamp", rb.FirstTimestamp, src.first)
				equal(t, "max timestamp", rb.MaxTimestamp, src.first+7)
				if plain, ok := plainOf(t, rb); ok && !bytes.Equal(plain, raw) {
					t.Errorf("records changed:\n% x\n% x", plain, raw)
				}
			})
		}
	}
}

// plainOf decompresses what the standard library and zstd can.
func plainOf(t *testing.T, rb kmsg.RecordBatch) ([]byte, bool) {
	t.Helper()
	switch rb.Attributes & 7 {
	case 0:
		return rb.Records, true
	case 1:
		r, err := gzip.NewReader(bytes.NewReader(rb.Records))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return b, true
	case 4:
		r, err := zstd.NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		b, err := r.DecodeAll(rb.Records, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b, true
	}
	return nil, false
}
