package main

import (
	"bytes"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/kafka/msg"
	"chronik/kafka/wire"
)

// row is one kind of work.
type row struct {
	name       string
	bytes      int     // of the message
	goal       float64 // how much faster than kmsg's fastest way; 0: none set
	contenders func() ([]contender, error)
}

// saramaWay makes sarama's contender of a message's bytes.
type saramaWay func(body []byte) (contender, error)

func rows() []row {
	r := []row{
		// What a broker does.
		decodeRow("broker: decode Produce v9, 10 partitions of 1 KiB", 3, produceRequest(), 9, true, nil),
		decodeRow("broker: decode Fetch v12, 10 partitions", 0, fetchRequest(10), 12, true, nil),
		decodeRow("broker: decode Fetch v12, 1,000 partitions", 0, fetchRequest(1000), 12, true, nil),
		encodeRow("broker: encode Produce response v9, 10 partitions", 0, produceResponse(), 9, false, nil),
		encodeRow("broker: encode Fetch response v12, 10 partitions of 12 KiB", 0, fetchResponse(), 12, false, nil),
		encodeRow("broker: encode Metadata response v12, 1,000 topics of 1 partition", 2, metadataResponse(1000, 1), 12, false, nil),
		encodeRow("broker: encode Metadata response v12, 1 topic of 1,000 partitions", 2, metadataResponse(1, 1000), 12, false, nil),
		encodeRow("broker: encode ListOffsets response v7, 10 partitions", 0, listOffsetsResponse(), 7, false, nil),
		// What a client does.
		encodeRow("client: encode Produce v9, 10 partitions of 1 KiB", 0, produceRequest(), 9, true, saramaProduce),
		encodeRow("client: encode Fetch v12, 1,000 partitions", 0, fetchRequest(1000), 12, true, nil),
		decodeRow("client: decode Metadata response v10, 1,000 topics of 1 partition", 0, metadataResponse(1000, 1), 10, false, saramaMetadata(1000)),
		decodeRow("client: decode Metadata response v10, 1 topic of 1,000 partitions", 0, metadataResponse(1, 1000), 10, false, saramaMetadata(1)),
		decodeRow("client: decode Fetch response v12, 10 partitions of 12 KiB", 0, fetchResponse(), 12, false, nil),
		decodeRow("client: decode Heartbeat response v0, the smallest", 0, new(msg.HeartbeatResponse), 0, false, saramaHeartbeat),
	}
	return append(r, recordRows()...)
}

// kafkaMessage is what kmsg's requests and responses have in common.
type kafkaMessage interface {
	AppendTo([]byte) []byte
	ReadFrom([]byte) error
	UnsafeReadFrom([]byte) error
	SetVersion(int16)
}

// theirs makes kmsg's struct of a message of ours.
func theirs(m msg.Message, v int16, request bool) kafkaMessage {
	var k any
	if key := m.(msg.Request).APIKey(); request {
		k = kmsg.RequestForKey(key)
	} else {
		k = kmsg.ResponseForKey(key)
	}
	out := k.(kafkaMessage)
	out.SetVersion(v)
	return out
}

// ours makes a struct of m's type.
func ours(m msg.Message, request bool) msg.Message {
	api := msg.Lookup(m.(msg.Request).APIKey())
	if request {
		return api.NewRequest()
	}
	return api.NewResponse()
}

// body is m encoded, and the proof that both codecs agree on it: kmsg reads it
// and writes the same bytes, and so do we.
func body(m msg.Message, v int16, request bool) ([]byte, error) {
	var w wire.Writer
	m.Encode(&w, v)
	if w.Err() != nil {
		return nil, w.Err()
	}
	b := bytes.Clone(w.Bytes())
	k := theirs(m, v, request)
	if err := k.ReadFrom(b); err != nil {
		return nil, fmt.Errorf("kmsg: %w", err)
	}
	if again := k.AppendTo(nil); !bytes.Equal(again, b) {
		return nil, fmt.Errorf("kmsg writes %d other bytes than the %d that it read", len(again), len(b))
	}
	d, r := ours(m, request), wire.NewReader(b)
	d.Decode(&r, v)
	if r.Done() != nil {
		return nil, r.Done()
	}
	w.Reset()
	d.Encode(&w, v)
	if w.Err() != nil || !bytes.Equal(w.Bytes(), b) {
		return nil, fmt.Errorf("chronik writes other bytes than it read: %v", w.Err())
	}
	return b, nil
}

func size(m msg.Message, v int16) int {
	var w wire.Writer
	m.Encode(&w, v)
	return w.Len()
}

// decodeRow reads m's bytes.
func decodeRow(name string, goal float64, m msg.Message, v int16, request bool, extra saramaWay) row {
	return row{name: name, goal: goal, bytes: size(m, v), contenders: func() ([]contender, error) {
		b, err := body(m, v, request)
		if err != nil {
			return nil, err
		}
		reader, used := new(wire.Reader), ours(m, request)
		unsafely, safely := theirs(m, v, request), theirs(m, v, request)
		all := []contender{
			{codec: "chronik", op: func() error {
				reader.Reset(b)
				used.Decode(reader, v)
				return reader.Done()
			}},
			{codec: "chronik", way: "new", fresh: true, op: func() error {
				x := ours(m, request)
				reader.Reset(b)
				x.Decode(reader, v)
				return reader.Done()
			}},
			{codec: "kmsg", way: "unsafe, reused", op: func() error { return unsafely.UnsafeReadFrom(b) }},
			{codec: "kmsg", way: "reused", op: func() error { return safely.ReadFrom(b) }},
			{codec: "kmsg", way: "unsafe, new", fresh: true, op: func() error { return theirs(m, v, request).UnsafeReadFrom(b) }},
			{codec: "kmsg", way: "new", fresh: true, op: func() error { return theirs(m, v, request).ReadFrom(b) }},
		}
		return with(all, extra, b)
	}}
}

// with adds sarama where it takes part.
func with(all []contender, extra saramaWay, b []byte) ([]contender, error) {
	if extra == nil {
		return all, nil
	}
	c, err := extra(b)
	return append(all, c), err
}

// encodeRow writes m.
func encodeRow(name string, goal float64, m msg.Message, v int16, request bool, extra saramaWay) row {
	return row{name: name, goal: goal, bytes: size(m, v), contenders: func() ([]contender, error) {
		b, err := body(m, v, request)
		if err != nil {
			return nil, err
		}
		k := theirs(m, v, request)
		if err := k.ReadFrom(b); err != nil {
			return nil, err
		}
		w, copying := new(wire.Writer), new(wire.Writer)
		var flat, buf []byte
		all := []contender{
			{codec: "chronik", op: func() error {
				w.BeginFrame()
				m.Encode(w, v)
				w.Buffers()
				return w.Err()
			}},
			{codec: "chronik", way: "new", fresh: true, op: func() error {
				w := new(wire.Writer)
				w.BeginFrame()
				m.Encode(w, v)
				w.Buffers()
				return w.Err()
			}},
			{codec: "kmsg", way: "reused", op: func() error {
				buf = k.AppendTo(buf[:0])
				return nil
			}},
			{codec: "kmsg", way: "new", fresh: true, op: func() error {
				k.AppendTo(nil)
				return nil
			}},
		}
		if m.Encode(w, v); len(w.Buffers()) > 1 {
			all = append(all, contender{codec: "chronik", way: "copied", op: func() error {
				copying.BeginFrame()
				m.Encode(copying, v)
				flat = flat[:0]
				for _, b := range copying.Buffers() {
					flat = append(flat, b...)
				}
				return copying.Err()
			}})
		}
		return with(all, extra, b)
	}}
}
