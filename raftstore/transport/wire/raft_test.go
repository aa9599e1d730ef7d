package wire

import (
	"fmt"
	"io"
	"log"
	"os"
	"testing"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// network is three raft nodes; every message between them goes through the codec.
type network struct {
	t      *testing.T
	w      Writer
	nodes  map[uint64]*raft.RawNode
	stores map[uint64]*raft.MemoryStorage
	cut    uint64 // this node hears and says nothing
	seen   map[pb.MessageType]int
	reads  []raft.ReadState
}

func newNetwork(t *testing.T) *network {
	n := &network{t: t, nodes: map[uint64]*raft.RawNode{}, stores: map[uint64]*raft.MemoryStorage{}, seen: map[pb.MessageType]int{}}
	quiet := &raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)}
	if os.Getenv("RAFT_LOG") != "" {
		quiet = &raft.DefaultLogger{Logger: log.New(os.Stderr, "", 0)}
	}
	for id := uint64(1); id <= 3; id++ {
		s := raft.NewMemoryStorage()
		if err := s.ApplySnapshot(&pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: new(uint64(1)), Term: new(uint64(1)), ConfState: &pb.ConfState{Voters: []uint64{1, 2, 3}}}}); err != nil {
			t.Fatal(err)
		}
		node, err := raft.NewRawNode(&raft.Config{ID: id, ElectionTick: 10, HeartbeatTick: 1, Storage: s, MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 16,
			CheckQuorum: true, PreVote: true, ReadOnlyOption: raft.ReadOnlySafe, DisableProposalForwarding: true, Applied: 1, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		n.nodes[id], n.stores[id] = node, s
	}
	return n
}

// settle lets messages travel until there are none.
func (n *network) settle() {
	for again := true; again; {
		again = false
		for id := uint64(1); id <= 3; id++ {
			for n.nodes[id].HasReady() {
				again = true
				rd := n.nodes[id].Ready()
				if !raft.IsEmptySnap(rd.Snapshot) {
					n.must(n.stores[id].ApplySnapshot(rd.Snapshot))
				}
				n.must(n.stores[id].Append(rd.Entries))
				if !raft.IsEmptyHardState(rd.HardState) {
					n.must(n.stores[id].SetHardState(rd.HardState))
				}
				n.reads = append(n.reads, rd.ReadStates...)
				for _, m := range rd.Messages {
					n.carry(m)
				}
				n.nodes[id].Advance(rd)
			}
		}
	}
}

func (n *network) carry(m *pb.Message) {
	n.t.Helper()
	if !Travels(m.GetType()) {
		n.t.Fatalf("raft sends %s, which does not travel", m.GetType())
	}
	n.seen[m.GetType()]++
	out := unframe(n.t, frame(n.t, &n.w, grouped{9, m}), m.GetFrom(), m.GetTo())
	if len(out) != 1 || out[0].group != 9 || !proto.Equal(out[0].m, m) {
		n.t.Fatalf("%v\nread as\n%v", m, out)
	}
	if m.GetFrom() != n.cut && m.GetTo() != n.cut {
		_ = n.nodes[m.GetTo()].Step(out[0].m)
	}
}

func (n *network) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *network) ticks(count int) {
	for range count {
		for id := uint64(1); id <= 3; id++ {
			n.nodes[id].Tick()
		}
		n.settle()
	}
}

// TestMessagesOfRaft has three raft nodes do everything they can, over the codec.
func TestMessagesOfRaft(t *testing.T) {
	n := newNetwork(t)
	n.must(n.nodes[1].Campaign())
	n.settle()
	propose := func(id uint64, count, size int) {
		for range count {
			n.must(n.nodes[id].Propose(make([]byte, size)))
		}
		n.settle()
	}
	propose(1, 20, 100)
	propose(1, 3, 2<<20)
	n.must(n.nodes[1].Propose(nil))
	n.nodes[2].ReadIndex([]byte("what is committed"))
	n.nodes[1].ReadIndex([]byte("and here"))
	n.settle()
	n.ticks(3)
	if len(n.reads) != 2 {
		t.Errorf("%d reads were answered, want 2", len(n.reads))
	}
	n.cut = 3
	propose(1, 30, 10)
	last, _ := n.stores[1].LastIndex()
	_, err := n.stores[1].CreateSnapshot(last-1, &pb.ConfState{Voters: []uint64{1, 2, 3}}, []byte("all there was"))
	n.must(err)
	n.must(n.stores[1].Compact(last - 1))
	n.cut = 0
	n.ticks(5)
	if got, _ := n.stores[3].LastIndex(); got != last {
		t.Errorf("the node that was cut off is at %d, want %d", got, last)
	}
	n.nodes[1].TransferLeader(2)
	n.settle()
	if lead := n.nodes[2].BasicStatus().RaftState; lead != raft.StateLeader {
		t.Errorf("node 2 is %s after the transfer", lead)
	}
	n.cut = 2
	n.ticks(40) // the others elect one of them, with a pre-vote
	for _, typ := range allTypes {
		if n.seen[typ] == 0 {
			t.Errorf("raft sent no %s", typ)
		}
	}
	t.Log("sent:", fmt.Sprint(n.seen))
}
