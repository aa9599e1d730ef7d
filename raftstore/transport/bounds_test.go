package transport

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"chronik/internal/clock"
	"chronik/raftstore/transport/wire"

	pb "go.etcd.io/raft/v3/raftpb"
)

func oneHeartbeat(from, to uint64) []*pb.Message {
	return []*pb.Message{heartbeat(from, to, 1, 1)}
}

// rawPeer connects to a node as a peer whose every byte is the test's.
func rawPeer(t *testing.T, to *testNode, id uint64, class wire.Class) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", to.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	hello(t, nc, to, id, class)
	return nc
}

// hello is what rawPeer says.
func hello(t *testing.T, nc net.Conn, to *testNode, id uint64, class wire.Class) {
	t.Helper()
	h := wire.Hello{Min: 1, Max: 1, Class: class, Node: id, Expected: to.id}
	if _, err := nc.Write(wire.AppendFrame(nil, wire.FrameHello, h.Append(nil))); err != nil {
		t.Fatal(err)
	}
	if a, _, err := readHello(bufio.NewReaderSize(nc, 16)); err != nil || a.Status != wire.Welcome {
		t.Fatalf("%+v, %v", a, err)
	}
}

// deafNode listens, says hello, and reads nothing that follows.
func deafNode(t *testing.T, id uint64) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = nc.Close() })
			if theirs, _, err := readHello(bufio.NewReader(nc)); err == nil {
				a := theirs.Answer(wire.Hello{Min: 1, Max: 1, Node: id})
				_, _ = nc.Write(wire.AppendFrame(nil, wire.FrameHello, a.Append(nil)))
			}
		}
	}()
	return ln.Addr().String()
}

// TestQueuesAreBounded: a peer that takes nothing costs no more than the bound;
// what finds no room is dropped, and said at most once a second.
func TestQueuesAreBounded(t *testing.T) {
	const most = 1 << 20
	clk := clock.NewManual(time.Unix(1000, 0))
	n := startNode(t, 1, func(o *Options) { o.Clock, o.QueueBytesMax = clk, most })
	n.SetPeer(2, deafNode(t, 2))
	until(t, "the connection", func() bool { return n.connectedTo(2) })
	drops := func() int { n.mu.Lock(); defer n.mu.Unlock(); return n.dropped[WhyFull] }
	data := make([]byte, 40<<10)
	sent := 0
	for ; drops() < 100; sent++ {
		n.Send(1, []*pb.Message{appendOf(1, 2, uint64(sent), data)})
		if s := n.Peers()[0]; s.QueuedBytes > most {
			t.Fatalf("%+v: more than %d bytes wait", s, most)
		}
		if sent > 10_000 {
			t.Fatal("nothing was dropped")
		}
	}
	until(t, "Unreachable", func() bool { return n.reports() == 1 })
	clk.Advance(reportInterval)
	until(t, "the drops since then to be told", func() bool { return n.reports() == 2 })
	// The other queue is as good as ever, and takes what is larger than the bound.
	n.Send(7, []*pb.Message{appendOf(1, 2, 1, make([]byte, 2*most))})
	if got := drops(); got != 100 {
		t.Errorf("%d messages dropped, want 100: bulk has its own queue", got)
	}
}

// TestNothingWaitsForWhoIsNotThere: from the first failure to connect messages
// are dropped at once.
func TestNothingWaitsForWhoIsNotThere(t *testing.T) {
	n := startNode(t, 1, nil)
	n.SetPeer(2, refusingAddr(t))
	n.Send(1, oneHeartbeat(1, 2))
	count := func(why string) int { n.mu.Lock(); defer n.mu.Unlock(); return n.dropped[why] }
	until(t, "the drop", func() bool { return count(WhyUnconnected) == 1 })
	n.Send(1, oneHeartbeat(1, 2))
	if count(WhyUnconnected) != 2 || n.Peers()[0].QueuedBytes != 0 || n.Peers()[0].Err == nil {
		t.Errorf("%v, %+v", n.dropped, n.Peers())
	}
	until(t, "Unreachable", func() bool { return n.reports() > 0 })
	n.Send(1, oneHeartbeat(1, 3))
	n.Send(1, oneHeartbeat(2, 3))
	m := heartbeat(1, 2, 1, 1)
	m.Type = pb.MsgProp.Enum()
	n.Send(1, []*pb.Message{m})
	if count(WhyUnknown) != 1 || count(WhyInvalid) != 2 || len(n.downs()) != 0 {
		t.Errorf("dropped %v, down %v", n.dropped, n.downs())
	}
	n.RemovePeer(2)
	n.Send(1, oneHeartbeat(1, 2))
	if count(WhyUnknown) != 2 || len(n.Peers()) != 0 {
		t.Errorf("dropped %v, peers %v", n.dropped, n.Peers())
	}
}

// refusingAddr is an address at which nobody listens.
func refusingAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// TestAppendsOfAGroupStayInOrder: from its first large append on all of a
// group's travel on bulk, in order, until it has sent none for a while.
func TestAppendsOfAGroupStayInOrder(t *testing.T) {
	clk := clock.NewManual(time.Unix(1000, 0))
	a, b := pair(t, func(o *Options) { o.Clock = clk })
	rnd := rand.New(rand.NewPCG(3, 4))
	const groups, each = 3, 300
	var sent, firstLarge [groups]uint64
	for range groups * each {
		g, size := rnd.IntN(groups), rnd.IntN(100)
		if rnd.IntN(20) == 0 {
			size += 200 << 10
		}
		if size > largeBytesMin && firstLarge[g] == 0 {
			firstLarge[g] = sent[g] + 1
		}
		sent[g]++
		a.Send(uint64(g), []*pb.Message{appendOf(1, 2, sent[g], make([]byte, size))})
	}
	until(t, "all of them", func() bool { return len(b.deliveries()) == groups*each })
	var last [groups]uint64
	for _, d := range b.deliveries() {
		if index := d.m.GetIndex(); index >= firstLarge[d.group] {
			if index != max(last[d.group]+1, firstLarge[d.group]) {
				t.Fatalf("group %d: append %d came behind %d, large ones from %d", d.group, index, last[d.group], firstLarge[d.group])
			}
			last[d.group] = index
		}
	}
	if last != sent || firstLarge[0]*firstLarge[1]*firstLarge[2] == 0 {
		t.Errorf("arrived up to %v, sent %v, large from %v", last, sent, firstLarge)
	}
	p := a.peer(2)
	if !p.travelsOnBulk(0, 100) || p.travelsOnBulk(9, 100) {
		t.Error("group 0 has to stay on bulk, and group 9 has no reason to be there")
	}
	until(t, "an empty queue", func() bool { return p.bulk.empty() })
	clk.Advance(stayOnBulk + 1)
	if p.travelsOnBulk(0, 100) {
		t.Error("group 0 stays on bulk for good")
	}
}

// TestGarbageEndsTheConnection: and nothing else.
func TestGarbageEndsTheConnection(t *testing.T) {
	a, b := pair(t, nil)
	until(t, "the connection", func() bool { return a.connectedTo(2) })
	for name, send := range map[string]func() net.Conn{
		"no hello": func() net.Conn {
			nc, err := net.Dial("tcp", b.addr)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = nc.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
			return nc
		},
		"a damaged frame": func() net.Conn {
			nc := rawPeer(t, b, 7, wire.Small)
			f := wire.AppendFrame(nil, wire.FrameMessages, []byte("\x10\x08\x03\x07\xac\x02"))
			f[len(f)-1] ^= 1
			_, _ = nc.Write(f)
			return nc
		},
		"a malformed message": func() net.Conn {
			nc := rawPeer(t, b, 7, wire.Small)
			_, _ = nc.Write(wire.AppendFrame(nil, wire.FrameMessages, []byte("\x10\x00\x00")))
			return nc
		},
		"a call among messages": func() net.Conn {
			nc := rawPeer(t, b, 7, wire.Small)
			_, _ = nc.Write(wire.AppendCall(nil, wire.Call{}))
			return nc
		},
		"a pong": func() net.Conn {
			nc := rawPeer(t, b, 7, wire.Calls)
			_, _ = nc.Write(wire.AppendFrame(nil, wire.FramePong))
			return nc
		},
		"a short call": func() net.Conn {
			nc := rawPeer(t, b, 7, wire.Calls)
			_, _ = nc.Write(wire.AppendFrame(nil, wire.FrameCall, []byte("short")))
			return nc
		},
	} {
		t.Run(name, func(t *testing.T) {
			nc := send()
			defer nc.Close()
			if rest, err := io.ReadAll(nc); len(rest) > 0 {
				t.Errorf("answered %q, %v", rest, err)
			}
		})
	}
	a.Send(1, oneHeartbeat(1, 2))
	until(t, "a good message", func() bool { return len(b.deliveries()) == 1 })
}

// TestLaterConnectionReplacesTheEarlier: a node has one of each class.
func TestLaterConnectionReplacesTheEarlier(t *testing.T) {
	b := startNode(t, 2, nil)
	first := rawPeer(t, b, 7, wire.Small)
	second := rawPeer(t, b, 7, wire.Small)
	if _, err := io.ReadAll(first); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	_, _ = second.Write(pingFrame)
	got := make([]byte, len(pongFrame))
	if _, err := io.ReadFull(second, got); err != nil || !bytes.Equal(got, pongFrame) {
		t.Errorf("%x, %v", got, err)
	}
}

// TestCloseEndsEverything: no goroutine is left, whatever they were at.
func TestCloseEndsEverything(t *testing.T) {
	for range 10 {
		a, b := newTestNode(1, nil), newTestNode(2, nil)
		served := make(chan error, 2)
		var addrs []string
		for _, n := range []*testNode{a, b} {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			addrs = append(addrs, ln.Addr().String())
			go func() { served <- n.Serve(ln) }()
		}
		a.SetPeer(2, addrs[1])
		b.SetPeer(1, addrs[0])
		a.SetPeer(3, refusingAddr(t))
		b.SetPeer(4)
		a.Send(1, []*pb.Message{appendOf(1, 2, 1, make([]byte, 1<<20)), heartbeat(1, 3, 1, 1)})
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error("closing again:", err)
		}
		a.SetPeer(5, addrs[1])
		a.Send(1, oneHeartbeat(1, 5))
		for range 2 {
			if err := <-served; err != nil {
				t.Error(err)
			}
		}
	}
	var stacks string
	buf := make([]byte, 1<<20)
	until(t, "the goroutines to end", func() bool {
		stacks = string(buf[:runtime.Stack(buf, true)])
		return !strings.Contains(stacks, "transport.(*link)") && !strings.Contains(stacks, "transport.(*conn)") && !strings.Contains(stacks, "transport.(*Transport)")
	})
}
