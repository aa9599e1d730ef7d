package transport

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// testNode is a transport with what it was told.
type testNode struct {
	*Transport
	id   uint64
	addr string

	mu          sync.Mutex
	got         []delivery
	down        []uint64
	unreachable []uint64
	dropped     map[string]int
}

type delivery struct {
	from, group uint64
	m           *pb.Message
}

// startNode starts a transport on a free port; change may set options.
func startNode(t testing.TB, id uint64, change func(*Options)) *testNode {
	t.Helper()
	n := newTestNode(id, change)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.serve(t, ln)
	return n
}

func newTestNode(id uint64, change func(*Options)) *testNode {
	n := &testNode{id: id, dropped: map[string]int{}}
	o := Options{
		NodeID: id,
		Rand:   rand.New(rand.NewPCG(id, 1)),
		Deliver: func(from, group uint64, m *pb.Message) error {
			n.note(func() { n.got = append(n.got, delivery{from, group, m}) })
			return nil
		},
		Unreachable: func(node uint64) { n.note(func() { n.unreachable = append(n.unreachable, node) }) },
		Down:        func(node uint64) { n.note(func() { n.down = append(n.down, node) }) },
	}
	o.Hooks.Dropped = func(_ uint64, _ pb.MessageType, why string) { n.note(func() { n.dropped[why]++ }) }
	if testing.Verbose() && os.Getenv("TRANSPORT_LOG") != "" {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("self", id)
	}
	if change != nil {
		change(&o)
	}
	n.Transport = New(o)
	return n
}

func (n *testNode) serve(t testing.TB, ln net.Listener) {
	n.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- n.Serve(ln) }()
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func (n *testNode) note(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
}

func (n *testNode) deliveries() []delivery {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.got)
}

func (n *testNode) connectedTo(id uint64) bool {
	for _, p := range n.Peers() {
		if p.ID == id {
			return p.Connected
		}
	}
	return false
}

// until polls; the deadline is for a machine that does much else.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(60 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// pair is two nodes that know each other.
func pair(t testing.TB, change func(*Options)) (a, b *testNode) {
	t.Helper()
	a, b = startNode(t, 1, change), startNode(t, 2, change)
	a.SetPeer(2, b.addr)
	b.SetPeer(1, a.addr)
	return a, b
}

func heartbeat(from, to, term, commit uint64) *pb.Message {
	return &pb.Message{Type: pb.MsgHeartbeat.Enum(), From: &from, To: &to, Term: &term, Commit: &commit}
}

func appendOf(from, to, index uint64, data ...[]byte) *pb.Message {
	m := &pb.Message{Type: pb.MsgApp.Enum(), From: &from, To: &to, Term: new(uint64(3)), LogTerm: new(uint64(3)), Index: &index, Commit: new(uint64(0))}
	for i, d := range data {
		m.Entries = append(m.Entries, &pb.Entry{Term: new(uint64(3)), Index: new(index + 1 + uint64(i)), Type: pb.EntryNormal.Enum(), Data: d})
	}
	return m
}

func TestMessagesArrive(t *testing.T) {
	a, b := pair(t, nil)
	want := []*pb.Message{heartbeat(1, 2, 7, 0), appendOf(1, 2, 10, []byte("x"), make([]byte, 10)), appendOf(1, 2, 12, make([]byte, 3<<20), []byte("y"))}
	a.Send(5, want)
	until(t, "three messages", func() bool { return len(b.deliveries()) == 3 })
	for _, d := range b.deliveries() {
		if d.from != 1 || d.group != 5 || !slices.ContainsFunc(want, func(m *pb.Message) bool { return proto.Equal(m, d.m) }) {
			t.Errorf("group %d from %d: a message that was not sent, %d bytes", d.group, d.from, proto.Size(d.m))
		}
	}
	b.Send(6, []*pb.Message{heartbeat(2, 1, 8, 1)})
	until(t, "the way back", func() bool { return len(a.deliveries()) == 1 })
}

func TestCalls(t *testing.T) {
	serve := func(o *Options) {
		self := o.NodeID
		o.Serve = func(_ context.Context, from uint64, method uint8, body []byte) ([]byte, error) {
			if method == 9 {
				return nil, errors.New("no such thing")
			}
			return append([]byte{byte(self), byte(from), method}, body...), nil
		}
	}
	a, b := pair(t, serve)
	got, err := a.Call(t.Context(), 2, 4, []byte("hi"))
	if err != nil || string(got) != "\x02\x01\x04hi" {
		t.Errorf("Call: %q, %v", got, err)
	}
	var remote *RemoteError
	if _, err := a.Call(t.Context(), 2, 9, nil); !errors.As(err, &remote) || remote.Msg != "no such thing" {
		t.Errorf("an error of Serve: %v", err)
	}
	from, got, err := a.CallAddr(t.Context(), b.addr, 5, nil)
	if err != nil || from != 2 || string(got) != "\x02\x01\x05" {
		t.Errorf("CallAddr: %d, %q, %v", from, got, err)
	}
	if got, err := a.Call(t.Context(), 1, 6, nil); err != nil || string(got) != "\x01\x01\x06" {
		t.Errorf("to itself: %q, %v", got, err)
	}
	if _, err := a.Call(t.Context(), 3, 1, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("to an unknown node: %v", err)
	}
	if _, err := a.Call(t.Context(), 2, 1, make([]byte, BodyBytesMax+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if got, err := a.Call(t.Context(), 2, 1, make([]byte, BodyBytesMax-3)); err != nil || len(got) != BodyBytesMax {
		t.Errorf("as large as may be: %d bytes, %v", len(got), err)
	}
}
