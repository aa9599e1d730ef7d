package proto

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/test/harness"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// rec is one record of a batch; nil bytes are null.
type rec struct {
	key, value []byte
	delta      int64 // ms after the batch's first timestamp
}

// batch describes a record batch; the zero value of each field but records is what a plain producer sends.
type batch struct {
	records []rec
	first   int64 // first timestamp; 0 means now
	attrs   int16
	pid     int64 // used if idempotent
	epoch   int16
	seq     int32
	idem    bool
	blob    []byte // compressed records in place of records
	mangle  func(*kmsg.RecordBatch)
}

// texts makes records of the given values.
func texts(values ...string) []rec {
	rs := make([]rec, len(values))
	for i, v := range values {
		rs[i] = rec{value: []byte(v)}
	}
	return rs
}

// encodeRecords writes records without a batch around them.
func encodeRecords(records []rec) []byte {
	var out []byte
	for i, r := range records {
		k := kmsg.NewRecord()
		k.OffsetDelta, k.TimestampDelta64, k.Key, k.Value = int32(i), r.delta, r.key, r.value
		body := k.AppendTo(nil)
		k.Length = int32(len(body) - 1) // the length was encoded as 0 in one byte
		out = k.AppendTo(out)
	}
	return out
}

// bytes encodes the batch, with a right length and CRC unless mangle breaks them.
func (b batch) bytes() []byte {
	first := b.first
	if first == 0 {
		first = time.Now().UnixMilli()
	}
	rb := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: b.attrs, FirstTimestamp: first, MaxTimestamp: first,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		LastOffsetDelta: int32(len(b.records) - 1), NumRecords: int32(len(b.records)), Records: encodeRecords(b.records),
	}
	for _, r := range b.records {
		rb.MaxTimestamp = max(rb.MaxTimestamp, first+r.delta)
	}
	if b.idem {
		rb.ProducerID, rb.ProducerEpoch, rb.FirstSequence = b.pid, b.epoch, b.seq
	}
	if b.blob != nil {
		rb.Records = b.blob
	}
	if b.mangle != nil {
		b.mangle(&rb)
	}
	rb.Length = int32(49 + len(rb.Records))
	out := rb.AppendTo(nil)
	if rb.CRC == 0 {
		binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], castagnoli))
	}
	return out
}

// topic is a topic made for one test.
type topic struct {
	name string
	id   [16]byte
}

var topics atomic.Int64

// newTopic creates a topic with a name of its own and waits until its partitions have leaders.
func newTopic(t *testing.T, b *harness.Broker, parts int32, configs ...string) topic {
	t.Helper()
	return namedTopic(t, b, fmt.Sprintf("proto-%d", topics.Add(1)), parts, configs...)
}

// namedTopic is newTopic with a given name; configs alternate names and values.
func namedTopic(t *testing.T, b *harness.Broker, name string, parts int32, configs ...string) topic {
	t.Helper()
	c := dial(t, b)
	r := createTopic(c, name, parts, configs...)
	code(t, "create topic "+name, r.ErrorCode, nil)
	tp := topic{name, r.TopicID}
	harness.Eventually(t, time.Minute, "leaders of "+name, func() error {
		m := metadata(c, name)
		if m.ErrorCode != 0 || len(m.Partitions) != int(parts) {
			return fmt.Errorf("%s, %d partitions", codeName(m.ErrorCode), len(m.Partitions))
		}
		for _, p := range m.Partitions {
			if p.ErrorCode != 0 || p.Leader < 0 {
				return fmt.Errorf("partition %d: %s, leader %d", p.Partition, codeName(p.ErrorCode), p.Leader)
			}
		}
		return nil
	})
	return tp
}

func createTopicRequest(name string, parts int32, configs ...string) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 10_000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, parts, 1
	for i := 0; i < len(configs); i += 2 {
		rc := kmsg.NewCreateTopicsRequestTopicConfig()
		rc.Name, rc.Value = configs[i], &configs[i+1]
		rt.Configs = append(rt.Configs, rc)
	}
	req.Topics = append(req.Topics, rt)
	return req
}

func createTopic(c *conn, name string, parts int32, configs ...string) kmsg.CreateTopicsResponseTopic {
	c.t.Helper()
	r := ask[*kmsg.CreateTopicsResponse](c, createTopicRequest(name, parts, configs...))
	equal(c.t, "topics in the CreateTopics response", len(r.Topics), 1)
	return r.Topics[0]
}

// metadata asks for one topic without creating it.
func metadata(c *conn, name string) kmsg.MetadataResponseTopic {
	c.t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &name
	req.Topics = append(req.Topics, rt)
	r := ask[*kmsg.MetadataResponse](c, req)
	equal(c.t, "topics in the Metadata response", len(r.Topics), 1)
	return r.Topics[0]
}

// produceRequest puts one batch into one partition, by name or (v13) by id.
func produceRequest(version, acks int16, tp topic, p int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, acks, 10_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = tp.name, tp.id
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = p, records
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// produce sends one batch with acks=all and returns the partition's answer.
func (c *conn) produce(tp topic, p int32, b batch) kmsg.ProduceResponseTopicPartition {
	c.t.Helper()
	return c.produceRaw(9, -1, tp, p, b.bytes())
}

func (c *conn) produceRaw(version, acks int16, tp topic, p int32, records []byte) kmsg.ProduceResponseTopicPartition {
	c.t.Helper()
	r := ask[*kmsg.ProduceResponse](c, produceRequest(version, acks, tp, p, records))
	equal(c.t, "topics in the Produce response", len(r.Topics), 1)
	equal(c.t, "partitions in the Produce response", len(r.Topics[0].Partitions), 1)
	return r.Topics[0].Partitions[0]
}

// appended produces and demands success at an offset.
func (c *conn) appended(tp topic, p int32, b batch, offset int64) {
	c.t.Helper()
	r := c.produce(tp, p, b)
	code(c.t, "produce", r.ErrorCode, nil)
	equal(c.t, "base offset", r.BaseOffset, offset)
}

// part is one partition of a fetch.
type part struct {
	p        int32
	offset   int64
	max      int32 // partition max bytes; 0 means 1 MiB
	epoch    int32 // current leader epoch; 0 means -1 unless epochSet
	epochSet bool
	last     int32 // last fetched epoch; 0 means -1
	lastSet  bool
}

// fetchRequest asks v12 by name or v13+ by id, without a session.
func fetchRequest(version int16, tp topic, parts ...part) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = version, 0, 1, 50<<20
	req.SessionEpoch = -1
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = tp.name, tp.id
	for _, p := range parts {
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p.p, p.offset, p.max
		rp.CurrentLeaderEpoch, rp.LastFetchedEpoch, rp.LogStartOffset = -1, -1, -1
		if p.max == 0 {
			rp.PartitionMaxBytes = 1 << 20
		}
		if p.epochSet {
			rp.CurrentLeaderEpoch = p.epoch
		}
		if p.lastSet {
			rp.LastFetchedEpoch = p.last
		}
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	return req
}

// fetchOne sends a fetch of one partition and returns that partition's slot.
func (c *conn) fetchOne(req *kmsg.FetchRequest) kmsg.FetchResponseTopicPartition {
	c.t.Helper()
	r := ask[*kmsg.FetchResponse](c, req)
	code(c.t, "fetch", r.ErrorCode, nil)
	equal(c.t, "topics in the Fetch response", len(r.Topics), 1)
	equal(c.t, "partitions in the Fetch response", len(r.Topics[0].Partitions), 1)
	return r.Topics[0].Partitions[0]
}

// fetch reads one partition from an offset, without waiting.
func (c *conn) fetch(tp topic, p int32, offset int64) kmsg.FetchResponseTopicPartition {
	c.t.Helper()
	return c.fetchOne(fetchRequest(12, tp, part{p: p, offset: offset}))
}

// batches splits fetched bytes into whole batches and demands that each CRC holds.
func batches(t *testing.T, b []byte) []kmsg.RecordBatch {
	t.Helper()
	var out []kmsg.RecordBatch
	for len(b) > 0 {
		if len(b) < 61 {
			t.Fatalf("%d bytes are no batch", len(b))
		}
		n := 12 + int(binary.BigEndian.Uint32(b[8:]))
		if n > len(b) {
			t.Fatalf("a batch of %d bytes in %d bytes", n, len(b))
		}
		var rb kmsg.RecordBatch
		if err := rb.ReadFrom(b[:n]); err != nil {
			t.Fatal(err)
		}
		if got := crc32.Checksum(b[21:n], castagnoli); got != uint32(rb.CRC) {
			t.Fatalf("batch at offset %d: CRC %08x, header says %08x", rb.FirstOffset, got, uint32(rb.CRC))
		}
		out = append(out, rb)
		b = b[n:]
	}
	return out
}

// records decodes the records of an uncompressed batch.
func records(t *testing.T, rb kmsg.RecordBatch) []kmsg.Record {
	t.Helper()
	return recordsOf(t, rb.Records, int(rb.NumRecords))
}

func recordsOf(t *testing.T, b []byte, n int) []kmsg.Record {
	t.Helper()
	out := make([]kmsg.Record, n)
	for i := range out {
		length, used := binary.Varint(b)
		if used <= 0 || int(length)+used > len(b) {
			t.Fatalf("record %d of %d does not fit", i, n)
		}
		if err := out[i].ReadFrom(b[:used+int(length)]); err != nil {
			t.Fatalf("record %d of %d: %v", i, n, err)
		}
		b = b[used+int(length):]
	}
	if len(b) > 0 {
		t.Fatalf("%d bytes after the last record", len(b))
	}
	return out
}

// listOffset asks for one partition's offset at a timestamp.
func (c *conn) listOffset(version int16, tp topic, p int32, timestamp int64) kmsg.ListOffsetsResponseTopicPartition {
	c.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID = version, -1
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = tp.name
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Partition, rp.Timestamp, rp.CurrentLeaderEpoch = p, timestamp, -1
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	r := ask[*kmsg.ListOffsetsResponse](c, req)
	equal(c.t, "topics in the ListOffsets response", len(r.Topics), 1)
	equal(c.t, "partitions in the ListOffsets response", len(r.Topics[0].Partitions), 1)
	return r.Topics[0].Partitions[0]
}

func (c *conn) end(tp topic, p int32) int64 {
	c.t.Helper()
	r := c.listOffset(7, tp, p, -1)
	code(c.t, "ListOffsets", r.ErrorCode, nil)
	return r.Offset
}

func ptr[T any](v T) *T { return &v }

// deleteTopic deletes one topic by name and demands success.
func deleteTopic(c *conn, name string) {
	c.t.Helper()
	code(c.t, "delete topic "+name, deleteTopics(c, 6, kmsg.DeleteTopicsRequestTopic{Topic: &name})[0].ErrorCode, nil)
}

func deleteTopics(c *conn, version int16, topics ...kmsg.DeleteTopicsRequestTopic) []kmsg.DeleteTopicsResponseTopic {
	c.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis = version, 10_000
	for _, t := range topics {
		if version >= 6 {
			req.Topics = append(req.Topics, t)
		} else {
			req.TopicNames = append(req.TopicNames, *t.Topic)
		}
	}
	r := ask[*kmsg.DeleteTopicsResponse](c, req)
	equal(c.t, "topics in the DeleteTopics response", len(r.Topics), len(topics))
	return r.Topics
}
