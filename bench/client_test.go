package bench

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"chronik/internal/config"
	"chronik/kafka/batch"
	"chronik/kafka/msg"
	"chronik/kafka/wire"
	"chronik/node"
)

// startNode starts a node in a temporary directory and returns its address.
func startNode(b *testing.B) string {
	b.Helper()
	conf, err := config.Load(config.Input{Hostname: os.Hostname, Flags: map[string]string{
		"kafka-port": "0", "metrics-port": "0", "bind-addr": "127.0.0.1", "data-dir": b.TempDir(),
	}})
	if err != nil {
		b.Fatal(err)
	}
	n, err := node.Start(context.Background(), conf, node.Build{}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := n.Stop(); err != nil {
			b.Error(err)
		}
	})
	return n.KafkaAddr().String()
}

// client is one connection, for one goroutine that sends and one that receives.
type client struct {
	b    *testing.B
	conn net.Conn
	next int32
	w    wire.Writer
	in   []byte
}

func dial(b *testing.B, addr string) *client {
	b.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &client{b: b, conn: conn}
}

func (c *client) send(req msg.Request, version int16) error {
	c.w.Reset()
	c.w.BeginFrame()
	msg.EncodeRequest(&c.w, req, version, c.next, wire.Str("bench"))
	c.next++
	if err := c.w.Err(); err != nil {
		return err
	}
	bufs := c.w.Buffers()
	_, err := bufs.WriteTo(c.conn)
	return err
}

// receive reads one response, which aliases the client's buffer.
func (c *client) receive(resp msg.Response, version int16) error {
	var size [4]byte
	if _, err := io.ReadFull(c.conn, size[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if cap(c.in) < n {
		c.in = make([]byte, n)
	}
	c.in = c.in[:n]
	if _, err := io.ReadFull(c.conn, c.in); err != nil {
		return err
	}
	r := wire.NewReader(c.in)
	msg.DecodeResponseHeader(&r, resp.APIKey(), version)
	resp.Decode(&r, version)
	return r.Err()
}

func (c *client) call(req msg.Request, resp msg.Response, version int16) {
	c.b.Helper()
	if err := c.send(req, version); err != nil {
		c.b.Fatal(err)
	}
	if err := c.receive(resp, version); err != nil {
		c.b.Fatal(err)
	}
}

func createTopic(b *testing.B, addr, name string, partitions int32) {
	b.Helper()
	var resp msg.CreateTopicsResponse
	dial(b, addr).call(&msg.CreateTopicsRequest{
		Topics: []msg.CreatableTopic{{Name: name, NumPartitions: partitions, ReplicationFactor: 1}}, TimeoutMs: 30000,
	}, &resp, 5)
	if len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != 0 {
		b.Fatalf("create topic: %+v", resp.Topics)
	}
}

// recordBatch is a batch of about size bytes in records of recordBytes.
func recordBatch(b *testing.B, size, recordBytes int) []byte {
	b.Helper()
	var bb batch.Builder
	value := make([]byte, recordBytes)
	for i := range value {
		value[i] = byte(i * 7)
	}
	now := time.Now().UnixMilli()
	for bb.Len() == 0 || bb.Size()+recordBytes+16 <= size {
		bb.Add(now, nil, value)
	}
	raw, err := bb.Build(nil, batch.Plain(batch.None))
	if err != nil {
		b.Fatal(err)
	}
	return raw
}

// nextOffset follows the last batch of a fetch.
func nextOffset(b *testing.B, records wire.Records) (next int64) {
	for _, piece := range records {
		for v, err := range batch.All(piece) {
			if err != nil {
				b.Fatal(err)
			}
			next = v.NextOffset()
		}
	}
	return next
}
