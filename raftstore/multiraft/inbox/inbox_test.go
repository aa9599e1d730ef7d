package inbox

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

func message(bytes int) *pb.Message {
	m := &pb.Message{Type: pb.MsgApp.Enum()}
	if bytes > 0 {
		m.Entries = []*pb.Entry{{Data: make([]byte, bytes-entryBytes)}}
	}
	return m
}

// TestBounds of one group and of a node with two.
func TestBounds(t *testing.T) {
	node := NewBudget(40 << 20)
	var a, b Inbox
	put := func(i *Inbox, bytes int, want bool) {
		t.Helper()
		if got := i.Put(message(bytes), node); got != want {
			t.Fatalf("%d bytes: %v, want %v; the node holds %d", bytes, got, want, node.Used())
		}
	}
	put(&a, 30<<20, true)
	put(&a, 3<<20, false) // the group's bound
	put(&a, 2<<20, true)
	put(&b, 9<<20, false) // the node's
	put(&b, 8<<20, true)
	for range MessagesMax - 1 {
		put(&b, 0, true) // heartbeats get through
	}
	put(&b, 0, false)
	if n := node.Used(); n != 40<<20 {
		t.Errorf("the node holds %d", n)
	}
	if n := len(a.Take(node)); n != 2 {
		t.Errorf("%d messages", n)
	}
	if n := len(b.Take(node)); n != MessagesMax || node.Used() != 0 {
		t.Errorf("%d messages, the node holds %d", n, node.Used())
	}
	put(&a, 100<<20, true) // alone
	put(&b, entryBytes, false)
	a.Take(node)
	if n := node.Used(); n != 0 {
		t.Errorf("the node holds %d", n)
	}
}

// TestContextsCount: as far as they are longer than what raft makes.
func TestContextsCount(t *testing.T) {
	node := NewBudget(1 << 20)
	var i Inbox
	put := func(bytes int) bool {
		return i.Put(&pb.Message{Type: pb.MsgHeartbeat.Enum(), Context: make([]byte, bytes)}, node)
	}
	for range 100 {
		if !put(contextBytes) {
			t.Fatal("a heartbeat is refused")
		}
	}
	if node.Used() != 0 {
		t.Errorf("100 heartbeats count %d", node.Used())
	}
	held := 0
	for put(256 << 10) {
		held++
	}
	if held != 4 {
		t.Errorf("%d contexts of 256 KiB in a budget of 1 MiB", held)
	}
	if i.Take(node); node.Used() != 0 {
		t.Errorf("the node holds %d", node.Used())
	}
}
