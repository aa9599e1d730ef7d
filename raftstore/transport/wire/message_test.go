package wire

import (
	"bufio"
	"bytes"
	"flag"
	"math/rand/v2"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0: a new one each time")

func random(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay: go test ./raftstore/transport/wire -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// grouped is a message of a group.
type grouped struct {
	group uint64
	m     *pb.Message
}

// frame is a whole frame with messages.
func frame(t testing.TB, w *Writer, in ...grouped) []byte {
	t.Helper()
	for _, g := range in {
		before := w.Len()
		w.Message(g.group, g.m)
		if took, most := w.Len()-before, MessageBytes(g.m); took > most {
			t.Errorf("a message of %d bytes, MessageBytes said %d", took, most)
		}
	}
	var out bytes.Buffer
	if err := w.Flush(&out, FrameMessages, func() {}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func bulkLimit(typ FrameType) int { return Limit(Bulk, typ) }

// unframe reads a frame with messages from node from to node to.
func unframe(t testing.TB, b []byte, from, to uint64) (out []grouped) {
	t.Helper()
	typ, body, err := ReadFrame(bufio.NewReader(bytes.NewReader(b)), bulkLimit)
	if err != nil || typ != FrameMessages {
		t.Fatalf("type %d, %v", typ, err)
	}
	r := Messages(body, from, to)
	for {
		group, m, ok := r.Next()
		if !ok {
			break
		}
		out = append(out, grouped{group, m})
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

var allTypes = func() (all []pb.MessageType) {
	for typ := range pb.MessageType_name {
		if Travels(pb.MessageType(typ)) {
			all = append(all, pb.MessageType(typ))
		}
	}
	return all
}()

// maybe is absent, zero, small or anything.
func maybe(rnd *rand.Rand) *uint64 {
	switch rnd.IntN(5) {
	case 0:
		return nil
	case 1:
		return new(uint64)
	case 2:
		return new(rnd.Uint64())
	}
	return new(rnd.Uint64N(300))
}

func maybeBytes(rnd *rand.Rand, most int) []byte {
	switch rnd.IntN(4) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	b := make([]byte, rnd.IntN(most))
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func randomEntry(rnd *rand.Rand, m *pb.Message, i, most int) *pb.Entry {
	e := &pb.Entry{Term: maybe(rnd), Index: maybe(rnd), Data: maybeBytes(rnd, most)}
	if rnd.IntN(3) > 0 { // as raft has them
		e.Term, e.Index = new(m.GetTerm()), new(m.GetIndex()+1+uint64(i))
	}
	if rnd.IntN(2) == 0 {
		e.Type = pb.EntryType(rnd.IntN(3)).Enum()
	}
	return e
}

// randomMessage is a message from node 1 to node 2 in which any field may be
// absent, or present and zero; data has less than most bytes.
func randomMessage(rnd *rand.Rand, most int) *pb.Message {
	m := &pb.Message{
		Type: allTypes[rnd.IntN(len(allTypes))].Enum(), From: new(uint64(1)), To: new(uint64(2)),
		Term: maybe(rnd), Commit: maybe(rnd), Index: maybe(rnd), LogTerm: maybe(rnd), RejectHint: maybe(rnd), Vote: maybe(rnd),
		Context: maybeBytes(rnd, 40),
	}
	if rnd.IntN(2) == 0 {
		m.Reject = new(rnd.IntN(2) == 0)
	}
	for i := range rnd.IntN(4) {
		m.Entries = append(m.Entries, randomEntry(rnd, m, i, most))
	}
	if rnd.IntN(4) == 0 {
		m.Snapshot = &pb.Snapshot{Data: maybeBytes(rnd, most)}
		if rnd.IntN(3) > 0 {
			m.Snapshot.Metadata = &pb.SnapshotMetadata{Index: maybe(rnd), Term: maybe(rnd)}
		}
		if rnd.IntN(3) > 0 && m.Snapshot.Metadata != nil {
			m.Snapshot.Metadata.ConfState = &pb.ConfState{Voters: []uint64{1, 2, rnd.Uint64()}, Learners: []uint64{7}, VotersOutgoing: []uint64{1}, AutoLeave: new(true)}
		}
	}
	return m
}

func TestRandomMessagesComeOutAsTheyWentIn(t *testing.T) {
	rnd := random(t)
	w := &Writer{}
	seen := map[pb.MessageType]bool{}
	for range 60 {
		in := make([]grouped, 1+rnd.IntN(2*slotsMax))
		for i := range in {
			in[i] = grouped{group: rnd.Uint64() >> rnd.IntN(64), m: randomMessage(rnd, 3*spliceBytesMin)}
			seen[in[i].m.GetType()] = true
		}
		out := unframe(t, frame(t, w, in...), 1, 2)
		if len(out) != len(in) {
			t.Fatalf("%d messages of %d", len(out), len(in))
		}
		for i := range in {
			if in[i].group != out[i].group || !proto.Equal(in[i].m, out[i].m) {
				t.Fatalf("message %d of group %d:\n%v\nread as one of group %d:\n%v", i, in[i].group, in[i].m, out[i].group, out[i].m)
			}
		}
	}
	if len(seen) != 12 {
		t.Errorf("%d types of message, 12 travel", len(seen))
	}
}

// TestHeartbeatIsSmall: what is sent ten times a second for every group.
func TestHeartbeatIsSmall(t *testing.T) {
	m := &pb.Message{Type: pb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(300)), Commit: new(uint64(100e6))}
	w := &Writer{}
	w.Message(10_000, m)
	if w.Len() != 10 {
		t.Errorf("a heartbeat has %d bytes, want 10", w.Len())
	}
}

// TestDataAliasesTheFrame: data is not copied when it is read, and appending to
// it does not reach what is behind it.
func TestDataAliasesTheFrame(t *testing.T) {
	m := &pb.Message{Type: pb.MsgApp.Enum(), From: new(uint64(1)), To: new(uint64(2)), Index: new(uint64(4)),
		Entries: []*pb.Entry{{Data: []byte("first")}, {Data: bytes.Repeat([]byte("x"), 1<<20)}}}
	body := frame(t, &Writer{}, grouped{1, m})[headerLen:]
	r := Messages(body, 1, 2)
	_, got, _ := r.Next()
	for i := range body {
		body[i] = 'z'
	}
	for i, e := range got.Entries {
		if e.Data[0] != 'z' || cap(e.Data) != len(e.Data) {
			t.Errorf("entry %d: data begins with %q, length %d, capacity %d", i, e.Data[0], len(e.Data), cap(e.Data))
		}
	}
}

// TestWriterDoesNotCopyLargeData: it is written from where it lies, and let go of afterwards.
func TestWriterDoesNotCopyLargeData(t *testing.T) {
	data := make([]byte, 1<<20)
	m := &pb.Message{Type: pb.MsgApp.Enum(), From: new(uint64(1)), To: new(uint64(2)), Entries: []*pb.Entry{{Data: data}, {Data: []byte("small")}}}
	w := &Writer{}
	w.Message(1, m)
	if len(w.buf) > 100 || w.Len() < len(data) {
		t.Errorf("%d bytes copied of %d", len(w.buf), w.Len())
	}
	first := frame(t, w)
	if w.Len() != 0 || len(w.segs) != 0 || w.segs[:1][0] != nil {
		t.Error("the writer keeps what it has written")
	}
	if again := frame(t, w, grouped{1, m}); len(again) < len(data) || !bytes.Equal(first, again) {
		t.Error("a writer that is used again writes something else")
	}
}
