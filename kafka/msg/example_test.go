package msg_test

import (
	"encoding/binary"
	"fmt"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// A client encodes a request as a frame. A server takes the size off, decodes the header,
// looks the key up, decodes the body, and answers in the same version.
func Example() {
	const version = 7
	ask := &msg.ListOffsetsRequest{ReplicaId: -1, Topics: []msg.ListOffsetsTopic{{Name: "orders",
		Partitions: []msg.ListOffsetsPartition{{PartitionIndex: 3, CurrentLeaderEpoch: -1, Timestamp: -1}}}}}
	var out wire.Writer
	msg.EncodeRequest(&out, ask, version, 42, wire.Str("example"))
	if out.Err() != nil {
		panic(out.Err())
	}
	frame := append([]byte(nil), out.Bytes()...) // the size is in front

	// The server.
	in := wire.NewReader(frame[4 : 4+binary.BigEndian.Uint32(frame)])
	var header msg.RequestHeader
	header.Decode(&in)
	request := msg.Lookup(header.ApiKey).NewRequest()
	request.Decode(&in, header.ApiVersion)
	if err := in.Done(); err != nil {
		panic(err)
	}
	topic := request.(*msg.ListOffsetsRequest).Topics[0]
	fmt.Println(header.CorrelationId, topic.Name, topic.Partitions[0].PartitionIndex)

	out.Reset()
	msg.EncodeResponseHeader(&out, header.ApiKey, header.ApiVersion, header.CorrelationId)
	answer := &msg.ListOffsetsResponse{Topics: []msg.ListOffsetsTopicResponse{{Name: topic.Name,
		Partitions: []msg.ListOffsetsPartitionResponse{{PartitionIndex: 3, Timestamp: -1, Offset: 1000, LeaderEpoch: 1}}}}}
	answer.Encode(&out, header.ApiVersion)

	// The client.
	in.Reset(out.Bytes())
	fmt.Println(msg.DecodeResponseHeader(&in, header.ApiKey, version))
	var response msg.ListOffsetsResponse
	response.Decode(&in, version)
	fmt.Println(response.Topics[0].Partitions[0].Offset, in.Done())
	// Output:
	// 42 orders 3
	// 42
	// 1000 <nil>
}
