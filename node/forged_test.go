package node

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"chronik/broker"
	"chronik/broker/metadata/calls"
	"chronik/raftstore/transport"
	"chronik/raftstore/transport/wire"

	pb "go.etcd.io/raft/v3/raftpb"
)

// as connects to a node's raft port in the name of another, and reports the
// answer's status.
func (c *testCluster) as(id uint64, to int, class wire.Class, cluster string) (net.Conn, wire.Status) {
	c.t.Helper()
	nc, err := net.Dial("tcp", c.raft[to])
	if err != nil {
		c.t.Fatal(err)
	}
	h := wire.Hello{Min: 1, Max: 1, Class: class, Node: id, Cluster: cluster}
	if _, err := nc.Write(wire.AppendFrame(nil, wire.FrameHello, h.Append(nil))); err != nil {
		c.t.Fatal(err)
	}
	head := make([]byte, 16)
	if _, err := io.ReadFull(nc, head); err != nil {
		c.t.Fatal(err)
	}
	body := make([]byte, int(head[8])|int(head[9])<<8)
	if _, err := io.ReadFull(nc, body); err != nil {
		c.t.Fatal(err)
	}
	a, err := wire.ParseHello(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return nc, a.Status
}

// TestSeriesAreOfPeers: nodes that are made up, and answered, are no values of
// a label; and who does not even name the cluster is not heard.
func TestSeriesAreOfPeers(t *testing.T) {
	c := newTestCluster(t)
	c.reserve(1)
	c.start(1)
	text := func() string {
		var b bytes.Buffer
		if err := c.nodes[1].metrics.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if nc, status := c.as(1000, 1, wire.Small, ""); status != wire.BadCluster {
		t.Errorf("a connection for messages that names no cluster: %v", status)
	} else {
		nc.Close()
	}
	vote, term, index := pb.MsgPreVote, uint64(1), uint64(1)
	const nodes, madeUp = 100, `target_node="10`
	for i := range nodes {
		nc, status := c.as(uint64(1000+i), 1, wire.Small, c.nodes[1].clusterID())
		if status != wire.Welcome {
			t.Fatal(status)
		}
		var w wire.Writer
		w.Message(1, &pb.Message{Type: &vote, Term: &term, Index: &index, LogTerm: &term})
		if err := w.Flush(nc, wire.FrameMessages, func() {}); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(wire.AppendFrame(nil, wire.FramePing)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, make([]byte, 16)); err != nil { // delivered by then
			t.Fatal(err)
		}
		defer nc.Close()
	}
	// What they sent stood in front of this in the group's queue.
	made := c.nodes[1].broker.CreateTopics(t.Context(), []broker.NewTopic{{Name: "t", Partitions: 1, ReplicationFactor: 1}}, time.Minute, false)
	if made[0].Err != nil {
		t.Fatal(made[0].Err)
	}
	if got := strings.Count(text(), madeUp); got > 0 {
		t.Errorf("%d lines name nodes that are made up", got)
	}
}

// safeBuffer is what several goroutines log into.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) count(s string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.b.String(), s)
}

// TestOpenRaftPortIsSaid: once, and not of a port on loopback.
func TestOpenRaftPortIsSaid(t *testing.T) {
	for addr, want := range map[string]int{"127.0.0.1:0": 0, "0.0.0.0:0": 1} {
		c := newTestCluster(t)
		c.reserve(1)
		var logged safeBuffer
		n, err := Start(t.Context(), c.conf(1, "raft-addr", addr), Build{}, slog.New(slog.NewTextHandler(&logged, nil)))
		if err != nil {
			t.Fatal(err)
		}
		c.nodes[1] = n
		if got := logged.count("has no TLS"); got != want {
			t.Errorf("%s: said %d times, want %d", addr, got, want)
		}
	}
}

// TestCommandsFitIntoCalls: whatever change of the metadata is accepted can be
// brought to its leader.
func TestCommandsFitIntoCalls(t *testing.T) {
	q := calls.ProposeRequest{Command: make([]byte, calls.CommandBytesMax)}
	if n := len(q.Encode()); n > transport.BodyBytesMax {
		t.Errorf("a call of %d bytes, at most %d", n, transport.BodyBytesMax)
	}
}
