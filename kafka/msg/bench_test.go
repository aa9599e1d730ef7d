package msg_test

import (
	"bytes"
	"fmt"
	"testing"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// produceRequest is a Produce of 10 partitions with 1 KiB of records each.
func produceRequest() *msg.ProduceRequest {
	x := &msg.ProduceRequest{Acks: -1, TimeoutMs: 30000, TopicData: []msg.TopicProduceData{{Name: "orders.europe"}}}
	records := bytes.Repeat([]byte{7}, 1024)
	for i := range 10 {
		x.TopicData[0].PartitionData = append(x.TopicData[0].PartitionData, msg.PartitionProduceData{Index: int32(i), Records: records})
	}
	return x
}

func fetchRequest() *msg.FetchRequest {
	x := new(msg.FetchRequest)
	x.Default()
	x.MaxWaitMs, x.MinBytes = 500, 1
	x.Topics = []msg.FetchTopic{{Topic: "orders.europe"}}
	for i := range 10 {
		var p msg.FetchPartition
		p.Default()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = int32(i), int64(i)*1000, 1<<20
		x.Topics[0].Partitions = append(x.Topics[0].Partitions, p)
	}
	return x
}

func fetchResponse() *msg.FetchResponse {
	x := new(msg.FetchResponse)
	x.Default()
	x.Responses = []msg.FetchableTopicResponse{{Topic: "orders.europe"}}
	frame := bytes.Repeat([]byte{7}, 4096)
	for i := range 10 {
		var p msg.FetchResponsePartitionData
		p.Default()
		p.PartitionIndex, p.HighWatermark = int32(i), 1000
		p.Records = wire.Records{frame, frame, frame}
		x.Responses[0].Partitions = append(x.Responses[0].Partitions, p)
	}
	return x
}

// metadataResponse is of 1,000 topics of one partition, or one topic of 1,000 partitions.
func metadataResponse(topics, partitions int) *msg.MetadataResponse {
	x := new(msg.MetadataResponse)
	x.Default()
	x.ClusterId = wire.Str("5L6g3nShT-eMCtK--X86sw")
	x.Brokers = []msg.MetadataResponseBroker{{NodeId: 1, Host: "broker-1.example.net", Port: 9092}}
	replicas := []int32{1, 2, 3}
	for i := range topics {
		var t msg.MetadataResponseTopic
		t.Default()
		t.Name = wire.Str(fmt.Sprintf("topic-%04d", i))
		t.TopicId = wire.UUID{1, byte(i), byte(i >> 8)}
		for j := range partitions {
			var p msg.MetadataResponsePartition
			p.Default()
			p.PartitionIndex, p.LeaderId, p.ReplicaNodes, p.IsrNodes = int32(j), 1, replicas, replicas
			t.Partitions = append(t.Partitions, p)
		}
		x.Topics = append(x.Topics, t)
	}
	return x
}

func listOffsetsResponse() *msg.ListOffsetsResponse {
	x := &msg.ListOffsetsResponse{Topics: []msg.ListOffsetsTopicResponse{{Name: "orders.europe"}}}
	for i := range 10 {
		x.Topics[0].Partitions = append(x.Topics[0].Partitions, msg.ListOffsetsPartitionResponse{PartitionIndex: int32(i), Timestamp: 1, Offset: 2, LeaderEpoch: 3})
	}
	return x
}

// hot are the messages that must not allocate once their memory is there.
var hot = []struct {
	name     string
	v        int16
	response bool
	m        msg.Message
}{
	{"ProduceRequest_v9_10partitions", 9, false, produceRequest()},
	{"FetchRequest_v12_10partitions", 12, false, fetchRequest()},
	{"FetchResponse_v12_10partitions", 12, true, fetchResponse()},
	{"MetadataResponse_v12_1000topics", 12, true, metadataResponse(1000, 1)},
	{"MetadataResponse_v12_1000partitions", 12, true, metadataResponse(1, 1000)},
	{"ListOffsetsResponse_v7_10partitions", 7, true, listOffsetsResponse()},
}

// steady returns a function that decodes (a request) or encodes (a response) m once more,
// with the number of bytes it takes.
func steady(tb testing.TB, m msg.Message, v int16, response bool) (func(), int) {
	w := new(wire.Writer)
	m.Encode(w, v)
	if w.Err() != nil {
		tb.Fatal(w.Err())
	}
	n := w.Len()
	if response {
		return func() {
			w.BeginFrame()
			m.Encode(w, v)
			w.Buffers()
		}, n
	}
	body := w.Bytes()
	r := new(wire.Reader)
	return func() {
		r.Reset(body)
		m.Decode(r, v)
		if r.Done() != nil {
			panic(r.Err())
		}
	}, n
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	for _, h := range hot {
		f, _ := steady(t, h.m, h.v, h.response)
		f()
		if n := testing.AllocsPerRun(50, f); n != 0 {
			t.Errorf("%s: %v allocations", h.name, n)
		}
	}
}

func BenchmarkCodec(b *testing.B) {
	for _, h := range hot {
		b.Run(h.name, func(b *testing.B) {
			f, n := steady(b, h.m, h.v, h.response)
			f()
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}
