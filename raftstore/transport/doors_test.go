package transport

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"chronik/internal/clock"
	"chronik/raftstore/transport/wire"

	pb "go.etcd.io/raft/v3/raftpb"
)

// head is the header of a frame of messages whose body is still to come.
func head(length int) []byte {
	b := make([]byte, 16)
	binary.LittleEndian.PutUint32(b[8:], uint32(length))
	b[12] = byte(wire.FrameMessages)
	return b
}

func write(t *testing.T, nc net.Conn, b []byte) {
	t.Helper()
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
}

// ended waits for the other side to close a connection.
func ended(t *testing.T, nc net.Conn) {
	t.Helper()
	_ = nc.SetReadDeadline(time.Now().Add(60 * time.Second))
	if rest, err := io.ReadAll(nc); len(rest) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatalf("the connection was not closed: %q, %v", rest, err)
	}
}

// answers has a connection answer a ping.
func answers(t *testing.T, nc net.Conn) {
	t.Helper()
	write(t, nc, pingFrame)
	_ = nc.SetReadDeadline(time.Now().Add(60 * time.Second))
	got := make([]byte, len(pongFrame))
	if _, err := io.ReadFull(nc, got); err != nil || !bytes.Equal(got, pongFrame) {
		t.Fatalf("%x, %v", got, err)
	}
}

func dialOnly(t *testing.T, n *testNode) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

func (n *testNode) inboundOf(id uint64) (conns []*conn) {
	n.Transport.mu.RLock()
	defer n.Transport.mu.RUnlock()
	for c := range n.inbound {
		if c.node == id {
			conns = append(conns, c)
		}
	}
	return conns
}

// TestStrangersHaveNoRoomForLargeFrames: until a node is known.
func TestStrangersHaveNoRoomForLargeFrames(t *testing.T) {
	n := startNode(t, 1, standing)
	nc := rawPeer(t, n, 7, wire.Bulk)
	c := n.inboundOf(7)[0]
	write(t, nc, head(freeBytesMax+1))
	ended(t, nc)
	if c.reason() != errStranger {
		t.Errorf("ended by %v", c.reason())
	}
	nc = rawPeer(t, n, 7, wire.Bulk)
	n.SetPeer(7)
	write(t, nc, head(freeBytesMax+1))
	until(t, "room for its frame", func() bool { return n.room() == framesBytesMax-freeBytesMax-1 })
}

func (n *testNode) room() int { free, _ := n.frames.State(); return free }

func (n *testNode) waiters() int { _, waiting := n.frames.State(); return waiting }

// standing is a clock that stands still, so that nothing is closed for silence.
func standing(o *Options) { o.Clock = clock.NewManual(time.Unix(1000, 0)) }

// TestFramesThatArriveAreBounded: as many as peers say they send, over all
// connections; and what is small passes meanwhile.
func TestFramesThatArriveAreBounded(t *testing.T) {
	n := startNode(t, 1, standing)
	var conns []net.Conn
	for id := uint64(100); id < 124; id++ {
		n.SetPeer(id)
		nc := rawPeer(t, n, id, wire.Bulk)
		write(t, nc, head(wire.BulkBytesMax))
		conns = append(conns, nc)
	}
	until(t, "all but two to wait", func() bool { return n.waiters() == 22 && n.room() == 0 })
	var w wire.Writer
	w.Message(5, heartbeat(100, 1, 7, 3))
	small := rawPeer(t, n, 100, wire.Small)
	if err := w.Flush(small, wire.FrameMessages, func() {}); err != nil {
		t.Fatal(err)
	}
	until(t, "a small message", func() bool { return len(n.deliveries()) == 1 })
	for _, nc := range conns {
		_ = nc.Close()
	}
	until(t, "all that was taken to be given back", func() bool { return n.waiters() == 0 && n.room() == framesBytesMax })
	// A large frame that is whole comes through.
	b := startNode(t, 2, nil)
	n.SetPeer(2, b.addr)
	b.SetPeer(1, n.addr)
	b.Send(6, []*pb.Message{appendOf(2, 1, 1, make([]byte, 30<<20))})
	until(t, "a large message", func() bool { return len(n.deliveries()) == 2 })
	until(t, "its room", func() bool { return n.room() == framesBytesMax })
}

// TestTrickleEnds: a frame that goes on arriving, and never arrives.
func TestTrickleEnds(t *testing.T) {
	clk := clock.NewManual(time.Unix(1000, 0))
	n := startNode(t, 1, func(o *Options) { o.Clock = clk })
	n.SetPeer(7)
	nc := rawPeer(t, n, 7, wire.Bulk)
	const length = 8 << 20
	write(t, nc, head(length))
	until(t, "room for it", func() bool { return n.room() == framesBytesMax-length })
	c, start := n.inboundOf(7)[0], clk.Now()
	until(t, "the frame to be given up", func() bool {
		clk.Advance(time.Second)
		if _, err := nc.Write([]byte{1}); err != nil {
			return c.reason() != nil
		}
		until(t, "the byte", func() bool { return c.reason() != nil || time.Duration(c.last.Load()) >= n.elapsed() })
		return c.reason() != nil
	})
	if took := clk.Now().Sub(start); c.reason() != errSlow || took < frameTime+8*time.Second || took > frameTime+11*time.Second {
		t.Errorf("ended after %v: %v", took, c.reason())
	}
	until(t, "its room", func() bool { return n.room() == framesBytesMax })
}

// TestSilentConnectionsKeepNobodyOut: whoever says hello finds a place.
func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	n := startNode(t, 1, standing)
	var silent []net.Conn
	for range pendingMax {
		silent = append(silent, dialOnly(t, n))
	}
	answers(t, rawPeer(t, n, 7, wire.Small))
	ended(t, silent[0])
	answers(t, rawPeer(t, n, 8, wire.Small))
}

// TestStrangersKeepNobodyOut: nodes that are made up, of which each is well
// behaved, leave the peers their connections and their places, and each other
// some.
func TestStrangersKeepNobodyOut(t *testing.T) {
	n, peer := startNode(t, 1, standing), startNode(t, 2, nil)
	n.SetPeer(2, peer.addr)
	n.SetPeer(3)
	peer.SetPeer(1, n.addr)
	until(t, "the peer", func() bool { return peer.connectedTo(1) && len(n.inboundOf(2)) == 2 })
	before := n.inboundOf(2)
	var strangers []net.Conn
	for i := range strangersMax + 5 {
		strangers = append(strangers, rawPeer(t, n, 100+uint64(i), wire.Small))
	}
	for _, nc := range strangers[:5] {
		ended(t, nc)
	}
	answers(t, strangers[5])
	answers(t, strangers[len(strangers)-1])
	late := rawPeer(t, n, 3, wire.Small)
	answers(t, late)
	for i := range strangersMax { // they go on
		rawPeer(t, n, 1000+uint64(i), wire.Calls)
	}
	answers(t, late)
	for _, c := range before {
		if c.reason() != nil {
			t.Errorf("the peer's %s connection has ended: %v", c.class, c.reason())
		}
	}
	n.Transport.mu.RLock()
	defer n.Transport.mu.RUnlock()
	if most := strangersMax + 3; len(n.inbound) > most {
		t.Errorf("%d connections, at most %d", len(n.inbound), most)
	}
}

// TestNamesakeEvictsNobody: who connects in a peer's name from another host
// does not end the peer's connections, however often.
func TestNamesakeEvictsNobody(t *testing.T) {
	n := startNode(t, 1, standing)
	n.SetPeer(7)
	mine := rawPeer(t, n, 7, wire.Small)
	answers(t, mine)
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	for range 20 {
		nc, err := from.Dial("tcp", n.addr)
		if err != nil {
			t.Skip("no second address of this host:", err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		hello(t, nc, n, 7, wire.Small)
		answers(t, nc)
	}
	answers(t, mine)
	if got := len(n.inboundOf(7)); got != 2 {
		t.Errorf("%d connections of node 7", got)
	}
}
