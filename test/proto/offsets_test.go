package proto

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

// TestListOffsets is L1 to L8 over a log whose timestamps do not rise with its offsets.
func TestListOffsets(t *testing.T) {
	b := broker(t)
	tp := newTopic(t, b, 2)
	cn := dial(t, b)
	const base = 1_700_000_000_000
	// offset:    0    1    2 |  3    4 |  5
	// timestamp: +10  +5  +30 | +20  +40 | +40
	cn.appended(tp, 0, batch{first: base + 10, records: []rec{{}, {delta: -5}, {delta: 20}}}, 0)
	cn.appended(tp, 0, batch{first: base + 20, records: []rec{{}, {delta: 20}}}, 3)
	cn.appended(tp, 0, batch{first: base + 40, records: []rec{{}}}, 5)
	cases := []struct {
		rule      string
		version   int16
		ask       int64
		offset    int64
		timestamp int64
		epoch     int32
	}{
		{"L1 latest", 1, -1, 6, -1, -1},
		{"L1 latest v11", 11, -1, 6, -1, 0},
		{"L2 earliest", 1, -2, 0, -1, -1},
		{"L2 earliest v11", 11, -2, 0, -1, 0},
		{"L3 greatest timestamp, first of equals", 7, -3, 4, base + 40, 0},
		{"L4 earliest local", 8, -4, 0, -1, 0},
		{"L4 latest tiered", 9, -5, -1, -1, -1},
		{"L4 earliest pending upload", 11, -6, -1, -1, -1},
		{"L5 before everything", 4, base - 1000, 0, base + 10, 0},
		{"L5 exactly the first", 4, base + 10, 0, base + 10, 0},
		{"L5 inside a batch", 4, base + 11, 2, base + 30, 0},
		{"L5 not by offset order", 4, base + 31, 4, base + 40, 0},
		{"L5 equal timestamps", 4, base + 40, 4, base + 40, 0},
		{"L5 after everything", 4, base + 41, -1, -1, -1},
		{"L5 zero", 4, 0, 0, base + 10, 0},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			cn := dial(t, b)
			r := cn.listOffset(c.version, tp, 0, c.ask)
			code(t, "ListOffsets", r.ErrorCode, nil)
			equal(t, "offset", r.Offset, c.offset)
			equal(t, "timestamp", r.Timestamp, c.timestamp)
			if c.version >= 4 {
				equal(t, "leader epoch", r.LeaderEpoch, c.epoch)
			}
		})
	}
	t.Run("L3 empty log", func(t *testing.T) {
		r := cn.listOffset(7, tp, 1, -3)
		code(t, "ListOffsets", r.ErrorCode, nil)
		equal(t, "offset", r.Offset, -1)
		equal(t, "timestamp", r.Timestamp, -1)
	})
	for _, c := range []struct {
		version int16
		ask     int64
	}{{11, -7}, {11, -100}, {6, -3}, {7, -4}, {8, -5}, {10, -6}} {
		t.Run(fmt.Sprintf("L6 timestamp %d in v%d", c.ask, c.version), func(t *testing.T) {
			harness.SkipOnPeer(t, "kfake", "it does not gate special timestamps by version")
			code(t, "ListOffsets", dial(t, b).listOffset(c.version, tp, 0, c.ask).ErrorCode, kerr.UnsupportedVersion)
		})
	}
	t.Run("L7 twice in one request", func(t *testing.T) {
		harness.SkipOnPeer(t, "kfake", "it answers both")
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version, req.ReplicaID = 7, -1
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = tp.name
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Timestamp, rp.CurrentLeaderEpoch = -1, -1
		rt.Partitions = append(rt.Partitions, rp, rp)
		req.Topics = append(req.Topics, rt)
		r := ask[*kmsg.ListOffsetsResponse](dial(t, b), req)
		for _, p := range r.Topics[0].Partitions {
			code(t, "ListOffsets", p.ErrorCode, kerr.InvalidRequest)
		}
	})
	t.Run("L10 unknown", func(t *testing.T) {
		cn := dial(t, b)
		code(t, "topic", cn.listOffset(7, topic{name: "nobody-made-this"}, 0, -1).ErrorCode, kerr.UnknownTopicOrPartition)
		code(t, "partition", cn.listOffset(7, tp, 7, -1).ErrorCode, kerr.UnknownTopicOrPartition)
	})
}

// epochEnd asks OffsetForLeaderEpoch for one partition.
func (c *conn) epochEnd(tp topic, current, epoch int32) kmsg.OffsetForLeaderEpochResponseTopicPartition {
	c.t.Helper()
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Version, req.ReplicaID = 4, -1
	rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
	rt.Topic = tp.name
	rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	rp.CurrentLeaderEpoch, rp.LeaderEpoch = current, epoch
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	r := ask[*kmsg.OffsetForLeaderEpochResponse](c, req)
	return r.Topics[0].Partitions[0]
}

// TestEpochs is E1 to E4, F11, F12 and L8 over a log that two restarts have given three leader epochs.
func TestEpochs(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "its leader epochs do not change at a restart")
	b := harness.Start(t, harness.Config{})
	b.Owned(t)
	tp := newTopic(t, b, 1)
	// epochs:  e0: 0..1   e1: (nothing)   e2: 2..4   now: e3 with offset 5
	var epochs []int32
	cn := dial(t, b)
	note := func() { epochs = append(epochs, metadata(cn, tp.name).Partitions[0].LeaderEpoch) }
	restart := func(kill bool) {
		if kill {
			b.Kill()
		} else if status, err := b.Stop(); err != nil || status != 0 {
			t.Fatal(status, err)
		}
		if _, err := b.Launch(); err != nil {
			t.Fatal(err)
		}
		cn = dial(t, b)
		note()
	}
	note()
	equal(t, "A21 a new topic's leader epoch", epochs[0], 0)
	cn.appended(tp, 0, batch{records: texts("0", "1")}, 0)
	restart(true)
	restart(false)
	cn.appended(tp, 0, batch{records: texts("2", "3")}, 2)
	cn.appended(tp, 0, batch{records: texts("4")}, 4)
	restart(true)
	cn.appended(tp, 0, batch{records: texts("5")}, 5)
	for i := 1; i < len(epochs); i++ {
		if epochs[i] <= epochs[i-1] {
			t.Fatalf("leader epochs %v do not rise", epochs)
		}
	}
	now := epochs[3]
	ends := []struct {
		rule       string
		ask        int32
		epoch      int32
		end        int64
		anyInRange bool
	}{
		{"E1 latest", now, now, 6, false},
		{"E2 above", now + 1, -1, -1, false},
		{"E2 minus one", -1, -1, -1, false},
		{"E3 first", epochs[0], epochs[0], 2, false},
		{"E3 third", epochs[2], epochs[2], 5, false},
	}
	for _, c := range ends {
		t.Run(c.rule, func(t *testing.T) {
			r := dial(t, b).epochEnd(tp, -1, c.ask)
			code(t, "OffsetForLeaderEpoch", r.ErrorCode, nil)
			equal(t, "epoch", r.LeaderEpoch, c.epoch)
			equal(t, "end offset", r.EndOffset, c.end)
		})
	}
	t.Run("E3 an epoch without records", func(t *testing.T) {
		r := dial(t, b).epochEnd(tp, -1, epochs[1])
		code(t, "OffsetForLeaderEpoch", r.ErrorCode, nil)
		equal(t, "end offset", r.EndOffset, 2) // whether the epoch is kept or folded into the one before
		if r.LeaderEpoch != epochs[0] && r.LeaderEpoch != epochs[1] {
			t.Errorf("epoch %d, want %d or %d", r.LeaderEpoch, epochs[0], epochs[1])
		}
	})
	t.Run("stored leader epochs", func(t *testing.T) {
		want := []int32{epochs[0], epochs[2], epochs[2], epochs[3]}
		for i, rb := range batches(t, dial(t, b).fetch(tp, 0, 0).RecordBatches) {
			equal(t, fmt.Sprintf("leader epoch of batch %d", i), rb.PartitionLeaderEpoch, want[i])
		}
	})
	t.Run("L5 leader epoch of the batch found", func(t *testing.T) {
		r := dial(t, b).listOffset(7, tp, 0, 0)
		equal(t, "leader epoch", r.LeaderEpoch, epochs[0])
	})
	t.Run("E4 F11 L8 fencing", func(t *testing.T) {
		cn := dial(t, b)
		code(t, "epoch end, old", cn.epochEnd(tp, now-1, now).ErrorCode, kerr.FencedLeaderEpoch)
		code(t, "epoch end, new", cn.epochEnd(tp, now+1, now).ErrorCode, kerr.UnknownLeaderEpoch)
		code(t, "epoch end, right", cn.epochEnd(tp, now, now).ErrorCode, nil)
		for version := int16(9); version <= 18; version++ {
			code(t, "fetch, old", cn.fetchOne(fetchRequest(version, tp, part{epoch: now - 1, epochSet: true})).ErrorCode, kerr.FencedLeaderEpoch)
			code(t, "fetch, new", cn.fetchOne(fetchRequest(version, tp, part{epoch: now + 1, epochSet: true})).ErrorCode, kerr.UnknownLeaderEpoch)
			code(t, "fetch, right", cn.fetchOne(fetchRequest(version, tp, part{epoch: now, epochSet: true})).ErrorCode, nil)
		}
	})
	t.Run("F12 diverging epoch", func(t *testing.T) {
		cn := dial(t, b)
		r := cn.fetchOne(fetchRequest(12, tp, part{offset: 4, last: epochs[0], lastSet: true}))
		code(t, "fetch", r.ErrorCode, nil)
		equal(t, "diverging epoch", r.DivergingEpoch.Epoch, epochs[0])
		equal(t, "its end", r.DivergingEpoch.EndOffset, 2)
		equal(t, "bytes", len(r.RecordBatches), 0)
		r = cn.fetchOne(fetchRequest(12, tp, part{offset: 4, last: epochs[2], lastSet: true}))
		code(t, "fetch that agrees", r.ErrorCode, nil)
		if len(r.RecordBatches) == 0 {
			t.Error("no records although the epochs agree")
		}
	})
}

// deleteRecords cuts partition 0 before an offset.
func (c *conn) deleteRecords(tp topic, p int32, offset int64) kmsg.DeleteRecordsResponseTopicPartition {
	c.t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version, req.TimeoutMillis = 2, 10_000
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = tp.name
	rp := kmsg.NewDeleteRecordsRequestTopicPartition()
	rp.Partition, rp.Offset = p, offset
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	r := ask[*kmsg.DeleteRecordsResponse](c, req)
	return r.Topics[0].Partitions[0]
}

// TestR1 deletes records, and finds them gone after a restart too.
func TestR1(t *testing.T) {
	b := harness.Start(t, harness.Config{})
	tp := filled(t, b, 1, 10, 100)
	cn := dial(t, b)
	cut := func(what string, offset int64, want *kerr.Error, low int64) {
		t.Helper()
		r := cn.deleteRecords(tp, 0, offset)
		code(t, what, r.ErrorCode, want)
		equal(t, what+": low watermark", r.LowWatermark, low)
	}
	cut("to 4", 4, nil, 4)
	cut("below the start: no change", 2, nil, 4)
	cut("above the high watermark", 11, kerr.OffsetOutOfRange, -1)
	cut("negative", -2, kerr.OffsetOutOfRange, -1)
	gone := func(what string, start int64) {
		t.Helper()
		code(t, what+": fetch below", cn.fetch(tp, 0, start-1).ErrorCode, kerr.OffsetOutOfRange)
		equal(t, what+": L2 earliest", cn.listOffset(7, tp, 0, -2).Offset, start)
		r := cn.fetch(tp, 0, start)
		code(t, what+": fetch at the start", r.ErrorCode, nil)
		equal(t, what+": log start offset", r.LogStartOffset, start)
		if rbs := batches(t, r.RecordBatches); len(rbs) > 0 {
			equal(t, what+": first batch", rbs[0].FirstOffset, start)
		}
	}
	gone("after the cut", 4)
	equal(t, "L5 search begins at the start", cn.listOffset(7, tp, 0, 0).Offset, 4)
	code(t, "unknown partition", cn.deleteRecords(tp, 9, 0).ErrorCode, kerr.UnknownTopicOrPartition)
	code(t, "unknown topic", cn.deleteRecords(topic{name: "nobody-made-this"}, 0, 0).ErrorCode, kerr.UnknownTopicOrPartition)
	compact := newTopic(t, b, 1, "cleanup.policy", "compact")
	code(t, "compacted topic", cn.deleteRecords(compact, 0, 0).ErrorCode, kerr.PolicyViolation)
	if b.HTTP != "" && harness.Peer() == "" {
		b.Kill()
		if _, err := b.Launch(); err != nil {
			t.Fatal(err)
		}
		cn = dial(t, b)
		gone("after SIGKILL", 4)
	}
	cut("-1: to the high watermark", -1, nil, 10)
	gone("when all is cut", 10)
	equal(t, "end", cn.end(tp, 0), 10)
	cn.appended(tp, 0, batch{records: texts("next")}, 10)
}

// segmentBytes is the smallest that Kafka 4 allows.
const segmentBytes = "1048576"

// TestRetentionBytes drops whole segments beyond retention.bytes; the start offset rises and the rest stays readable.
func TestRetentionBytes(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "its retention runs at its own pace")
	b := harness.Start(t, harness.Config{Set: map[string]string{"log.retention.check.interval.ms": "200"}})
	tp := newTopic(t, b, 1, "segment.bytes", segmentBytes, "retention.bytes", "2097152")
	cn := dial(t, b)
	value := make([]byte, 200_000)
	for i := range 40 {
		cn.appended(tp, 0, batch{records: []rec{{value: value}}}, int64(i))
	}
	harness.Eventually(t, time.Minute, "retention by size", func() error {
		start := cn.listOffset(7, tp, 0, -2).Offset
		if start < 20 {
			return fmt.Errorf("log start offset %d of 40 batches of 200 kB, retention.bytes is 2 MiB", start)
		}
		if start > 30 {
			t.Fatalf("log start offset %d: less than retention.bytes is left", start)
		}
		return nil
	})
	start := cn.listOffset(7, tp, 0, -2).Offset
	got := batches(t, cn.fetch(tp, 0, start).RecordBatches)
	if len(got) == 0 || got[0].FirstOffset > start {
		t.Fatalf("nothing readable at the start offset %d", start)
	}
	code(t, "below", cn.fetch(tp, 0, start-1).ErrorCode, kerr.OffsetOutOfRange)
	equal(t, "end", cn.end(tp, 0), 40)
}

// TestRetentionTime drops segments whose greatest timestamp is too old, also the active one.
func TestRetentionTime(t *testing.T) {
	harness.SkipOnPeer(t, "kfake", "its retention runs at its own pace")
	b := harness.Start(t, harness.Config{Set: map[string]string{"log.retention.check.interval.ms": "200"}})
	tp := newTopic(t, b, 2, "segment.bytes", segmentBytes, "retention.ms", "3600000")
	cn := dial(t, b)
	old := time.Now().Add(-2 * time.Hour).UnixMilli()
	for i := range 12 {
		cn.appended(tp, 0, batch{first: old, records: []rec{{value: make([]byte, 200_000)}}}, int64(i))
	}
	for i := range 2 {
		cn.appended(tp, 0, batch{records: []rec{{value: make([]byte, 600_000)}}}, int64(12+i))
	}
	cn.appended(tp, 1, batch{first: old, records: texts("old and alone")}, 0)
	harness.Eventually(t, time.Minute, "retention by time", func() error {
		if start := cn.listOffset(7, tp, 0, -2).Offset; start == 0 || start > 12 {
			return fmt.Errorf("log start offset %d, the first twelve batches are two hours old", start)
		}
		if start := cn.listOffset(7, tp, 1, -2).Offset; start != 1 {
			return fmt.Errorf("log start offset %d of a partition with one old record", start)
		}
		return nil
	})
	equal(t, "end", cn.end(tp, 0), 14)
	cn.appended(tp, 1, batch{records: texts("new")}, 1)
}
