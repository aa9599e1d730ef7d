package wire

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// FuzzPeerFrame reads arbitrary bytes as what comes on a connection.
//
// Invariants checked: no panic; a body is no larger than its limit and than what
// came; a frame that is read is what AppendFrame writes.
func FuzzPeerFrame(f *testing.F) {
	f.Add(uint8(Small), AppendFrame(AppendFrame(nil, FramePing), FrameMessages, []byte("\x10\x08\x03\x07\xac\x02")))
	f.Add(uint8(Calls), AppendCall(nil, Call{ID: 1, Method: 2, Body: []byte("x")}))
	f.Add(uint8(Calls), AppendAnswer(nil, Answer{ID: 1, Body: []byte("x")}))
	f.Fuzz(func(t *testing.T, class uint8, b []byte) {
		limit := func(typ FrameType) int { return Limit(Class(class), typ) }
		r := bufio.NewReader(bytes.NewReader(b))
		for rest := b; ; {
			typ, body, err := ReadFrame(r, limit)
			if err != nil {
				return
			}
			again := AppendFrame(nil, typ, body)
			if len(body) > limit(typ) || !bytes.HasPrefix(rest, again) {
				t.Fatalf("type %d with %d bytes, which are not those that came", typ, len(body))
			}
			rest = rest[len(again):]
		}
	})
}

// FuzzPeerMessages reads arbitrary bytes as the body of a frame with messages.
//
// Invariants checked: no panic; entries are no more than bytes; messages travel,
// and from and to whom the connection says; what is read, written and read again
// is the same.
func FuzzPeerMessages(f *testing.F) {
	w := &Writer{}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		w.Message(rnd.Uint64(), randomMessage(rnd, 20))
		w.Message(3, &pb.Message{Type: pb.MsgHeartbeat.Enum(), Term: new(uint64(4))})
		f.Add(frame(f, w)[headerLen:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var w Writer
		var got []grouped
		r := Messages(body, 5, 6)
		for {
			group, m, ok := r.Next()
			if !ok {
				break
			}
			if !Travels(m.GetType()) || m.GetFrom() != 5 || m.GetTo() != 6 || len(m.Entries) > len(body) {
				t.Fatalf("%v", m)
			}
			got = append(got, grouped{group, m})
		}
		if len(got) > len(body) {
			t.Fatalf("%d messages in %d bytes", len(got), len(body))
		}
		again := unframe(t, frame(t, &w, got...), 5, 6)
		if len(again) != len(got) {
			t.Fatalf("%d messages, then %d", len(got), len(again))
		}
		for i := range got {
			if got[i].group != again[i].group || !proto.Equal(got[i].m, again[i].m) {
				t.Fatalf("%v, then\n%v", got[i].m, again[i].m)
			}
		}
	})
}

// FuzzPeerHello reads arbitrary bytes as a hello.
//
// Invariants checked: no panic; a hello that is read and written is what came,
// up to what later releases may append; whoever is welcome shares a version.
func FuzzPeerHello(f *testing.F) {
	self := Hello{Min: 1, Max: 2, Node: 2, Cluster: "C"}
	f.Add((&Hello{Min: 1, Max: 1, Class: Bulk, Node: 1, Expected: 2, Cluster: "C"}).Append(nil))
	f.Add((&Hello{Min: 2, Max: 7, Class: Calls, Status: BadCluster, Words: "no"}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHello(b)
		if err != nil {
			return
		}
		if again := h.Append(nil); len(h.Words) <= 1024 && !bytes.HasPrefix(b, again) {
			t.Fatalf("%+v, written as %x", h, again)
		}
		a := h.Answer(self)
		if a.Status == Welcome && (common(&h, &self) == 0 || h.Node == 0 && h.Class != Calls) {
			t.Fatalf("%+v is welcome", h)
		}
		_, _ = self.Accepts(&h)
	})
}
