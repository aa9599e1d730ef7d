package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/IBM/sarama"
	metrics "github.com/rcrowley/go-metrics"
)

// memory is a connection that a sarama.Broker believes to lead to a broker. It
// takes a request and gives the prepared response with the request's
// correlation id, or nothing if there is none.
type memory struct {
	mu       sync.Mutex
	answered *sync.Cond
	response []byte // a frame; nil: requests are not answered
	left     []byte // of the response, to be read
	closed   bool
	last     []byte // the last request, its memory used again
}

func newMemory(response []byte) *memory {
	m := &memory{response: response}
	m.answered = sync.NewCond(&m.mu)
	return m
}

// Dial makes memory what sarama calls a proxy.
func (m *memory) Dial(string, string) (net.Conn, error) { return m, nil }

func (m *memory) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(b) < 12 {
		return 0, fmt.Errorf("a request of %d bytes", len(b))
	}
	m.last = append(m.last[:0], b...)
	if m.response != nil {
		copy(m.response[4:8], b[8:12])
		m.left = m.response
		m.answered.Signal()
	}
	return len(b), nil
}

func (m *memory) Read(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.left) == 0 && !m.closed {
		m.answered.Wait()
	}
	if len(m.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, m.left)
	m.left = m.left[n:]
	return n, nil
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.answered.Broadcast()
	return nil
}

func (m *memory) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (m *memory) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (m *memory) SetDeadline(time.Time) error      { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }

// frame is a response of that body; flexible ones have an empty tag section in
// the header.
func frame(body []byte, flexible bool) []byte {
	header := make([]byte, 8, 9)
	if flexible {
		header = append(header, 0)
	}
	b := append(header, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// openSarama opens sarama's end of a connection, with the metrics off that it
// would keep.
func openSarama(m *memory) (*sarama.Broker, error) {
	metrics.UseNilMetrics = true
	c := sarama.NewConfig()
	c.Version, c.ApiVersionsRequest = sarama.MaxVersion, false
	c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, m
	b := sarama.NewBroker("memory:9092")
	if err := b.Open(c); err != nil {
		return nil, err
	}
	if ok, err := b.Connected(); !ok {
		return nil, errors.Join(errors.New("sarama is not connected"), err)
	}
	return b, nil
}

// theSarama makes sarama's contender of a function that sends a request over a
// connection. response is the body of the answer, nil when none is awaited.
func theSarama(response []byte, flexible bool, op func(b *sarama.Broker) error) (contender, *memory, error) {
	m := newMemory(nil)
	if response != nil {
		m.response = frame(response, flexible)
	}
	b, err := openSarama(m)
	return contender{codec: "sarama", fresh: true, op: func() error { return op(b) }, close: func() error { return b.Close() }}, m, err
}

// saramaMetadata decodes a Metadata response.
func saramaMetadata(topics int) func([]byte) (contender, error) {
	return func(body []byte) (contender, error) {
		c, _, err := theSarama(body, true, func(b *sarama.Broker) error {
			r, err := b.GetMetadata(&sarama.MetadataRequest{Version: 10})
			if err == nil && (len(r.Brokers) != 3 || len(r.Topics) != topics) {
				err = fmt.Errorf("%d brokers and %d topics", len(r.Brokers), len(r.Topics))
			}
			return err
		})
		return c, err
	}
}

// saramaHeartbeat decodes the smallest response there is.
func saramaHeartbeat(body []byte) (contender, error) {
	c, _, err := theSarama(body, false, func(b *sarama.Broker) error {
		_, err := b.Heartbeat(&sarama.HeartbeatRequest{})
		return err
	})
	return c, err
}

// saramaProduce encodes a Produce that is not answered, which is no hand-over:
// the connection takes the bytes from the caller. The records are encoded once,
// before: sarama keeps them.
func saramaProduce(body []byte) (contender, error) {
	q := &sarama.ProduceRequest{RequiredAcks: sarama.NoResponse, Timeout: 30000, Version: 9}
	for i := range int32(10) {
		at := time.UnixMilli(recordAt)
		rb := &sarama.RecordBatch{PartitionLeaderEpoch: -1, Version: 2, LastOffsetDelta: 3, FirstTimestamp: at,
			MaxTimestamp: at.Add(3 * time.Millisecond), ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1}
		for j := range 4 {
			key, value := record(j)
			rb.Records = append(rb.Records, &sarama.Record{TimestampDelta: time.Duration(j) * time.Millisecond, OffsetDelta: int64(j), Key: key, Value: value})
		}
		q.AddBatch(topicName, i, rb)
	}
	send := func(b *sarama.Broker) error {
		_, err := b.Produce(q)
		return err
	}
	c, m, err := theSarama(nil, true, send)
	if err != nil {
		return c, err
	}
	if err := c.op(); err != nil {
		return c, err
	}
	// Sarama's maps give the partitions in any order.
	if got, want := len(m.last), 4+8+2+len("sarama")+1+len(body); got != want {
		return c, fmt.Errorf("a request of %d bytes, want %d", got, want)
	}
	return c, nil
}

// saramaFetch decodes a Fetch response and every record in it.
func saramaFetch(records int) func([]byte) (contender, error) {
	return func(body []byte) (contender, error) {
		c, _, err := theSarama(body, true, func(b *sarama.Broker) error {
			r, err := b.Fetch(&sarama.FetchRequest{Version: 12})
			if err != nil {
				return err
			}
			n := 0
			for _, block := range r.Blocks[topicName] {
				for _, s := range block.RecordsSet {
					n += len(s.RecordBatch.Records)
				}
			}
			if n != records {
				err = fmt.Errorf("%d records, want %d", n, records)
			}
			return err
		})
		return c, err
	}
}
