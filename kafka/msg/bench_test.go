package msg_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
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

// TestSteadyStateDoesNotAllocate decodes and encodes the messages above in every version.
func TestSteadyStateDoesNotAllocate(t *testing.T) {
	n := 0
	for _, h := range hot {
		a := msg.Lookup(h.m.(msg.Request).APIKey())
		for v := a.Min; v <= a.Max; v++ {
			m, body := inVersion(t, h.m, v)
			r := new(wire.Reader)
			f := func() {
				r.Reset(body)
				m.Decode(r, v)
				if r.Done() != nil {
					panic(r.Err())
				}
			}
			if h.response {
				w := new(wire.Writer)
				f = func() {
					w.BeginFrame()
					m.Encode(w, v)
					w.Buffers()
				}
			}
			f()
			if got := testing.AllocsPerRun(20, f); got != 0 {
				t.Errorf("%s in version %d: %v allocations", h.name, v, got)
			}
			n++
		}
	}
	t.Logf("%d messages and versions", n)
}

// inVersion is what version v can carry of m, decoded, and its bytes.
func inVersion(t *testing.T, m msg.Message, v int16) (msg.Message, []byte) {
	t.Helper()
	if x, ok := m.(*msg.ListOffsetsResponse); ok && v < 4 { // has no LeaderEpoch, 0 has not the others either
		y := msg.ListOffsetsResponse{Topics: []msg.ListOffsetsTopicResponse{{Name: x.Topics[0].Name}}}
		for _, p := range x.Topics[0].Partitions {
			if p.LeaderEpoch = -1; v == 0 {
				p.Timestamp, p.Offset, p.OldStyleOffsets = -1, -1, []int64{p.Offset}
			}
			y.Topics[0].Partitions = append(y.Topics[0].Partitions, p)
		}
		m = &y
	}
	var w wire.Writer
	m.Encode(&w, v)
	fresh := reflect.New(reflect.TypeOf(m).Elem()).Interface().(msg.Message)
	r := wire.NewReader(w.Bytes())
	fresh.Decode(&r, v)
	if err := errors.Join(w.Err(), r.Done()); err != nil {
		t.Fatal(err)
	}
	return fresh, w.Bytes()
}

// Requests of all shapes by turns, in all versions, into one message: once it has seen each,
// it allocates for none, however they follow one another.
func TestSteadyStateOfVaryingSizes(t *testing.T) {
	const seed = 1
	rng := rand.New(rand.NewPCG(seed, seed))
	for _, h := range hot[:2] {
		a := msg.Lookup(h.m.(msg.Request).APIKey())
		type input struct {
			v    int16
			body []byte
		}
		var inputs []input
		for v := a.Min; v <= a.Max; v++ {
			for _, shape := range [][2]int{{0, 0}, {1, 1}, {1, 10}, {7, 3}, {2, 100}, {50, 1}} {
				var w wire.Writer
				shaped(h.m, shape[0], shape[1]).Encode(&w, v)
				if w.Err() != nil {
					t.Fatal(w.Err())
				}
				inputs = append(inputs, input{v, w.Bytes()})
			}
		}
		m := reflect.New(reflect.TypeOf(h.m).Elem()).Interface().(msg.Message)
		r := new(wire.Reader)
		round := func() {
			for _, in := range inputs {
				r.Reset(in.body)
				m.Decode(r, in.v)
				if r.Done() != nil {
					panic(r.Err())
				}
			}
		}
		round()
		for range 5 {
			rng.Shuffle(len(inputs), func(i, j int) { inputs[i], inputs[j] = inputs[j], inputs[i] })
			if got := testing.AllocsPerRun(10, round); got != 0 {
				t.Errorf("%s: %v allocations in %d decodes", a.Name, got, len(inputs))
			}
		}
	}
}

// shaped is a request like m, of topics with partitions each.
func shaped(m msg.Message, topics, partitions int) msg.Message {
	switch x := m.(type) {
	case *msg.ProduceRequest:
		y := &msg.ProduceRequest{Acks: x.Acks, TopicData: []msg.TopicProduceData{}}
		for range topics {
			t := msg.TopicProduceData{Name: "orders"}
			for i := range partitions {
				p := x.TopicData[0].PartitionData[0]
				p.Index = int32(i)
				t.PartitionData = append(t.PartitionData, p)
			}
			y.TopicData = append(y.TopicData, t)
		}
		return y
	case *msg.FetchRequest:
		y := *x
		y.Topics = []msg.FetchTopic{}
		for range topics {
			t := msg.FetchTopic{Topic: "orders"}
			for range partitions {
				t.Partitions = append(t.Partitions, x.Topics[0].Partitions[0])
			}
			y.Topics = append(y.Topics, t)
		}
		return &y
	}
	panic("neither Produce nor Fetch")
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
