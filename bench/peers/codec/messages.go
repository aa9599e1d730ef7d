package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// The messages that are measured. Topics and hosts have names of usual lengths,
// records are real ones.

const (
	topicName = "orders.europe"
	recordAt  = 1_700_000_000_000 // ms
)

// record is key and value of the record i of a batch, 240 bytes.
func record(i int) (key, value []byte) {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	for len(value) < 220 {
		value = append(value, words[r.IntN(len(words))]...)
		value = append(value, ' ')
	}
	return fmt.Appendf(nil, "key-%06d", i), value[:230]
}

// words are what the values are made of: they compress to about a half.
var words = func() (w []string) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		w = append(w, fmt.Sprintf("%x", 1<<28|r.Uint64()>>(8*r.IntN(5))))
	}
	return w
}()

// recordBatch is a batch of n records.
func recordBatch(n int) []byte {
	var records []byte
	for i := range n {
		key, value := record(i)
		r := kmsg.Record{TimestampDelta64: int64(i), OffsetDelta: int32(i), Key: key, Value: value}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // a length of 0 takes one byte
		records = r.AppendTo(records)
	}
	return sealBatch(n, 0, records)
}

// compressedBatch is a batch of n records, compressed as kgo does.
func compressedBatch(n int, codec kgo.CompressionCodec) ([]byte, error) {
	compressor, err := kgo.DefaultCompressor(codec)
	if err != nil {
		return nil, err
	}
	records, typ := compressor.Compress(new(bytes.Buffer), recordBatch(n)[61:])
	return sealBatch(n, int16(typ), records), nil
}

func sealBatch(n int, attributes int16, records []byte) []byte {
	b := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Attributes: attributes, LastOffsetDelta: int32(n - 1), FirstTimestamp: recordAt,
		MaxTimestamp: recordAt + int64(n) - 1, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(n), Records: records}
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], castagnoli))
	return raw
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// produceRequest has 10 partitions with a batch of about 1 KiB each.
func produceRequest() *msg.ProduceRequest {
	x := &msg.ProduceRequest{Acks: -1, TimeoutMs: 30000, TopicData: []msg.TopicProduceData{{Name: topicName}}}
	for i := range 10 {
		x.TopicData[0].PartitionData = append(x.TopicData[0].PartitionData, msg.PartitionProduceData{Index: int32(i), Records: recordBatch(4)})
	}
	return x
}

func fetchRequest(partitions int) *msg.FetchRequest {
	x := new(msg.FetchRequest)
	x.Default()
	x.MaxWaitMs, x.MinBytes = 500, 1
	x.Topics = []msg.FetchTopic{{Topic: topicName}}
	for i := range partitions {
		var p msg.FetchPartition
		p.Default()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = int32(i), int64(i)*1000, 1<<20
		x.Topics[0].Partitions = append(x.Topics[0].Partitions, p)
	}
	return x
}

// fetchResponse has 10 partitions with three batches of about 4 KiB each.
func fetchResponse() *msg.FetchResponse {
	return fetched(10, 3, recordBatch(16))
}

// fetched is a response of some partitions with some copies of a batch each.
func fetched(partitions, batches int, raw []byte) *msg.FetchResponse {
	x := new(msg.FetchResponse)
	x.Default()
	x.Responses = []msg.FetchableTopicResponse{{Topic: topicName}}
	for i := range partitions {
		var p msg.FetchResponsePartitionData
		p.Default()
		p.PartitionIndex, p.HighWatermark = int32(i), 1000
		for j := range batches {
			b := bytes.Clone(raw)
			n := int(binary.BigEndian.Uint32(b[57:]))
			binary.BigEndian.PutUint64(b, uint64(n*j)) // the base offset: outside of the CRC
			p.Records = append(p.Records, b)
		}
		x.Responses[0].Partitions = append(x.Responses[0].Partitions, p)
	}
	return x
}

func metadataResponse(topics, partitions int) *msg.MetadataResponse {
	x := new(msg.MetadataResponse)
	x.Default()
	x.ClusterId = wire.Str("5L6g3nShT-eMCtK--X86sw")
	for i := range int32(3) {
		x.Brokers = append(x.Brokers, msg.MetadataResponseBroker{NodeId: i + 1, Host: fmt.Sprintf("broker-%d.example.net", i+1), Port: 9092})
	}
	replicas := []int32{1, 2, 3}
	for i := range topics {
		var t msg.MetadataResponseTopic
		t.Default()
		t.Name = wire.Str(fmt.Sprintf("topic-%04d", i))
		t.TopicId = wire.UUID{1, byte(i), byte(i >> 8)}
		for j := range partitions {
			var p msg.MetadataResponsePartition
			p.Default()
			p.PartitionIndex, p.LeaderId, p.LeaderEpoch, p.ReplicaNodes, p.IsrNodes = int32(j), int32(j%3)+1, 4, replicas, replicas
			t.Partitions = append(t.Partitions, p)
		}
		x.Topics = append(x.Topics, t)
	}
	return x
}

func listOffsetsResponse() *msg.ListOffsetsResponse {
	x := &msg.ListOffsetsResponse{Topics: []msg.ListOffsetsTopicResponse{{Name: topicName}}}
	for i := range 10 {
		x.Topics[0].Partitions = append(x.Topics[0].Partitions, msg.ListOffsetsPartitionResponse{PartitionIndex: int32(i), Timestamp: 1, Offset: 2, LeaderEpoch: 3})
	}
	return x
}

func produceResponse() *msg.ProduceResponse {
	x := new(msg.ProduceResponse)
	x.Default()
	x.Responses = []msg.TopicProduceResponse{{Name: topicName}}
	for i := range 10 {
		var p msg.PartitionProduceResponse
		p.Default()
		p.Index, p.BaseOffset = int32(i), int64(i)*1000
		x.Responses[0].PartitionResponses = append(x.Responses[0].PartitionResponses, p)
	}
	return x
}
