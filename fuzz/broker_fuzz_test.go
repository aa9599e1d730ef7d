package fuzz

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"chronik/broker"
	"chronik/fuzz/corpus"
	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/internal/vfs"
	"chronik/kafka/handler"
	"chronik/kafka/kerr"
	"chronik/kafka/msg"
	"chronik/kafka/server"
	"chronik/kafka/wire"
	"chronik/raftstore"
	"chronik/raftstore/multiraft"
	"chronik/wal"
)

// inputsMax is how many inputs a broker takes before it is closed for a new one: what they
// have written stays in memory.
const inputsMax = 200

// FuzzBroker sends bytes to a server with the real handlers over a real broker, whose disk is
// memory. It has a topic "t" of three partitions.
//
// Properties checked:
//   - nothing panics, whatever the bytes;
//   - each response is to a request that was sent, in the order of the requests, and is what
//     kafka/msg decodes for that API and version;
//   - the broker serves the next connection, and closes without an error.
func FuzzBroker(f *testing.F) {
	var all []byte
	corpus.GoldenFrames(f, func(frame []byte) {
		f.Add(frame)
		if len(all) < 8192 {
			all = append(all, frame...)
		}
	})
	f.Add(all) // pipelined
	corpus.Traffic(f, func(_, _ int16, request, _ []byte) { f.Add(request) })
	n := &fuzzNode{}
	f.Cleanup(func() { n.stop(f) })
	f.Fuzz(func(t *testing.T, data []byte) {
		if n.inputs++; n.inputs > inputsMax || n.broker == nil {
			n.stop(t)
			n.start(t, "t")
		}
		n.talk(t, data, 20*time.Millisecond)
		n.talk(t, frameOf(t, &msg.MetadataRequest{Topics: []msg.MetadataRequestTopic{{Name: wire.Str("t")}}}, 12), hangAfter)
		if n.answered != 2 {
			t.Errorf("the next connection has %d answers, want 2", n.answered)
		}
		if c := n.panics.Load(); c != 0 {
			t.Fatalf("%d panics", c)
		}
	})
}

// fuzzNode is a node without sockets and without a disk.
type fuzzNode struct {
	broker   *broker.Broker
	raft     *multiraft.Host
	states   *raftstore.HardStates
	syncer   *wal.Syncer
	handler  *handler.Handler
	inputs   int
	answered int // responses to the last connection
	panics   atomic.Int64
}

func (n *fuzzNode) start(tb testing.TB, topics ...string) {
	fs, log := vfs.NewMem(), slog.New(slog.DiscardHandler)
	if err := fs.MkdirAll("/data"); err != nil {
		tb.Fatal(err)
	}
	n.inputs = 0
	n.syncer = wal.NewSyncer(wal.SyncerOptions{Clock: clock.Real})
	var err error
	if n.states, _, err = raftstore.OpenHardStates(raftstore.HardStatesOptions{FS: fs, Dir: "/data/hardstate", Logger: log}); err != nil {
		tb.Fatal(err)
	}
	n.raft = multiraft.NewHost(multiraft.Options{NodeID: 1, HardStates: n.states, Clock: clock.Real, Logger: log, Metrics: metrics.Discard(),
		TickInterval: 10 * time.Millisecond, HeartbeatTicks: 1, ElectionTicks: 2})
	n.raft.Start()
	ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
	defer cancel()
	n.broker, err = broker.Open(ctx, broker.Options{NodeID: 1, Host: "localhost", Port: 9092, DataDir: "/data", FS: fs, Syncer: n.syncer, Raft: n.raft,
		Clock: clock.Real, Rand: rand.New(rand.NewPCG(1, 2)), Logger: log, Metrics: metrics.Discard(),
		Static: map[string]string{"auto.create.topics.enable": "false", "offsets.topic.num.partitions": "1", "log.segment.bytes": "1048576"}})
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range topics {
		r := n.broker.CreateTopics(ctx, []broker.NewTopic{{Name: name, Partitions: 3, ReplicationFactor: 1}}, hangAfter, false)
		if r[0].Err != nil {
			tb.Fatal(r[0].Err)
		}
	}
	n.handler = handler.New(handler.Options{Broker: smallBroker{n.broker}, Clock: clock.Real, Logger: log, Metrics: metrics.Discard(),
		Rand: rand.New(rand.NewPCG(1, 2)), FetchSessions: 100})
}

func (n *fuzzNode) stop(tb testing.TB) {
	if n.broker == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
	defer cancel()
	if err := errors.Join(n.broker.Close(), n.raft.Stop(ctx), n.states.Close()); err != nil {
		tb.Errorf("close: %v", err)
	}
	n.syncer.Close()
	n.broker = nil
}

// talk sends data, and a request of its own behind it, and reads what comes, until all is
// answered, the server has closed, or patience is over: a fetch may wait as long as it says.
func (n *fuzzNode) talk(t *testing.T, data []byte, patience time.Duration) {
	t.Helper()
	s := server.New(server.Options{Open: func(c *server.Conn) server.Handler { return n.handler.Open(c) }, Hooks: server.Hooks{Panicked: func() { n.panics.Add(1) }}})
	ours, theirs := net.Pipe()
	s.Accept(theirs, "PLAINTEXT")
	last := frameOf(t, &msg.ApiVersionsRequest{}, 0)
	data = slices.Concat(data, last)
	sent := asked(data)
	ours.SetDeadline(time.Now().Add(hangAfter))
	go func() {
		ours.Write(data) // fails when the server has closed
		ours.SetReadDeadline(time.Now().Add(patience))
	}()
	n.answered = 0
	for at := 0; at < len(sent); n.answered++ {
		frame, err := readFrame(ours)
		if err != nil {
			break
		}
		at = checkAnswer(t, frame, sent, at)
	}
	ours.Close()
	ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatalf("the connection outlives its peer: %v", err)
	}
}

const lastCorrelation = 0x7ead

// frameOf is a whole frame.
func frameOf(t *testing.T, req msg.Request, version int16) []byte {
	t.Helper()
	var w wire.Writer
	msg.EncodeRequest(&w, req, version, lastCorrelation, wire.Str("fuzz"))
	if w.Err() != nil {
		t.Fatal(w.Err())
	}
	return w.Bytes()
}

type request struct {
	key, version int16
	correlation  int32
}

// asked are the headers of the whole frames in b.
func asked(b []byte) (all []request) {
	for len(b) >= 4 {
		n := int(int32(binary.BigEndian.Uint32(b)))
		if n < 0 || n > len(b)-4 {
			return all
		}
		if frame := b[4 : 4+n]; n >= 8 {
			all = append(all, request{int16(binary.BigEndian.Uint16(frame)), int16(binary.BigEndian.Uint16(frame[2:])), int32(binary.BigEndian.Uint32(frame[4:]))})
		}
		b = b[4+n:]
	}
	return all
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(r, frame)
	return frame, err
}

// checkAnswer finds the request that a response is to, from sent[at] on, and returns the
// place behind it: produces without acknowledgement have none.
func checkAnswer(t *testing.T, frame []byte, sent []request, at int) int {
	t.Helper()
	if len(frame) < 4 {
		t.Fatalf("a response of %d bytes", len(frame))
	}
	for ; at < len(sent); at++ {
		r := sent[at]
		if r.correlation != int32(binary.BigEndian.Uint32(frame)) {
			if r.key != msg.KeyProduce {
				t.Fatalf("response %x where that to %+v is due", frame, r)
			}
			continue
		}
		a := msg.Lookup(r.key)
		version := r.version
		if r.key == msg.KeyApiVersions && len(frame) >= 6 && kerr.Code(binary.BigEndian.Uint16(frame[4:])) == kerr.UnsupportedVersion {
			version = 0 // a version that is not served is answered in the oldest (KIP-511)
		}
		if a == nil || !a.Has(version) {
			t.Fatalf("a response to %+v, which is no request", r)
		}
		in := wire.NewReader(frame)
		msg.DecodeResponseHeader(&in, r.key, version)
		resp := a.NewResponse()
		if resp.Decode(&in, version); in.Done() != nil {
			t.Fatalf("the response to %+v does not decode: %v\n%x", r, in.Err(), frame)
		}
		return at + 1
	}
	t.Fatalf("response %x to nothing", frame)
	return at
}

// smallBroker is a broker that makes no more than a few partitions.
type smallBroker struct{ *broker.Broker }

func (b smallBroker) CreateTopics(ctx context.Context, topics []broker.NewTopic, timeout time.Duration, validateOnly bool) []broker.CreatedTopic {
	for i := range topics {
		topics[i].Partitions = min(topics[i].Partitions, 2)
		if len(topics[i].Assignments) > 2 {
			topics[i].Assignments = topics[i].Assignments[:2]
		}
	}
	return b.Broker.CreateTopics(ctx, topics, min(timeout, hangAfter), validateOnly)
}

func (b smallBroker) CreatePartitions(ctx context.Context, topics []broker.NewPartitions, timeout time.Duration, validateOnly bool) []error {
	for i := range topics {
		topics[i].Count = min(topics[i].Count, 5)
	}
	return b.Broker.CreatePartitions(ctx, topics, min(timeout, hangAfter), validateOnly)
}
