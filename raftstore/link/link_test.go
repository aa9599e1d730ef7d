package link

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/raftstore/multiraft"

	pb "go.etcd.io/raft/v3/raftpb"
)

type fakeTransport struct {
	groups []uint64
	sent   []*pb.Message
}

func (f *fakeTransport) Send(group uint64, msgs []*pb.Message) {
	f.groups = append(f.groups, group)
	f.sent = append(f.sent, msgs...)
}

type fakeHost struct {
	err error
	got []*pb.Message
}

func (f *fakeHost) Step(_ uint64, m *pb.Message) error {
	f.got = append(f.got, m)
	return f.err
}

func message(kind pb.MessageType, from, to uint64) *pb.Message {
	return &pb.Message{Type: &kind, From: &from, To: &to}
}

func newLink() (*Link, *fakeTransport, *metrics.Metrics, *clock.Manual) {
	m, c, out := metrics.Discard(), clock.NewManual(time.Unix(0, 0)), &fakeTransport{}
	l := New(&m.Raft, c)
	l.Connect(out)
	return l, out, m, c
}

func requireLines(t *testing.T, m *metrics.Metrics, lines ...string) {
	t.Helper()
	var text bytes.Buffer
	if err := m.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if !strings.Contains(text.String(), "\n"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
}

func TestMessagesPassAndAreCounted(t *testing.T) {
	l, out, m, _ := newLink()
	msgs := []*pb.Message{message(pb.MsgApp, 1, 2), message(pb.MsgApp, 1, 3), message(pb.MsgHeartbeat, 1, 2), message(pb.MsgVoteResp, 1, 2)}
	l.Send(17, msgs)
	if len(out.sent) != 4 || out.groups[0] != 17 || out.sent[3] != msgs[3] {
		t.Fatalf("%d messages of groups %v went out", len(out.sent), out.groups)
	}
	for _, kind := range []pb.MessageType{pb.MsgApp, pb.MsgHeartbeat, pb.MsgVoteResp} { // answers are no calls
		l.Dropped(2, kind, "queue full")
	}
	requireLines(t, m,
		`chronik_raft_rpc_errors_total{rpc_type="append_entries",target_node="2"} 1`,
		`chronik_raft_rpc_errors_total{rpc_type="append_entries",target_node="3"} 0`,
		`chronik_raft_rpc_errors_total{rpc_type="heartbeat",target_node="2"} 1`,
		`chronik_raft_append_entries_sent_total 2`,
		`chronik_raft_rpc_calls_total{rpc_type="append_entries",target_node="2"} 1`,
		`chronik_raft_rpc_calls_total{rpc_type="append_entries",target_node="3"} 1`,
		`chronik_raft_rpc_calls_total{rpc_type="heartbeat",target_node="2"} 1`,
		`chronik_raft_rpc_calls_total{rpc_type="request_vote",target_node="2"} 0`)
}

// One message of a kind and node is followed; the answer of its group ends it.
func TestAnswersAreTimed(t *testing.T) {
	l, _, m, c := newLink()
	l.Open(&fakeHost{})
	answer := func(group uint64) {
		if err := l.Deliver(2, group, message(pb.MsgAppResp, 2, 1)); err != nil {
			t.Fatal(err)
		}
	}
	answer(17) // nothing was asked
	l.Send(17, []*pb.Message{message(pb.MsgApp, 1, 2)})
	c.Advance(time.Millisecond)
	l.Send(18, []*pb.Message{message(pb.MsgApp, 1, 2)}) // not followed
	c.Advance(2 * time.Millisecond)
	answer(18)
	answer(17)
	answer(17)
	requireLines(t, m,
		`chronik_raft_rpc_latency_ms_count{rpc_type="append_entries",target_node="2"} 1`,
		`chronik_raft_rpc_latency_ms_sum{rpc_type="append_entries",target_node="2"} 3`)
	l.Send(17, []*pb.Message{message(pb.MsgApp, 1, 2)}) // its answer is lost
	c.Advance(lostAfter + time.Millisecond)
	l.Send(18, []*pb.Message{message(pb.MsgApp, 1, 2)})
	c.Advance(time.Millisecond)
	answer(18)
	requireLines(t, m, `chronik_raft_rpc_latency_ms_sum{rpc_type="append_entries",target_node="2"} 4`)
}

func TestWhatIsNotTaken(t *testing.T) {
	l, _, m, _ := newLink()
	if err := l.Deliver(2, 17, message(pb.MsgApp, 2, 1)); !errors.Is(err, ErrNotOpen) {
		t.Errorf("without a host: %v", err)
	}
	host := &fakeHost{}
	l.Open(host)
	if err := l.Deliver(2, 17, message(pb.MsgApp, 3, 1)); !errors.Is(err, multiraft.ErrBadMessage) || len(host.got) != 0 {
		t.Errorf("in another's name: %v", err)
	}
	for _, host.err = range []error{multiraft.ErrUnknownGroup, multiraft.ErrOverloaded, multiraft.ErrFailed, multiraft.ErrBadMessage, nil} {
		if err := l.Deliver(2, 17, message(pb.MsgApp, 2, 1)); err != host.err {
			t.Errorf("%v became %v", host.err, err)
		}
	}
	refused := true
	answer := message(pb.MsgAppResp, 1, 2)
	answer.Reject = &refused
	l.Send(17, []*pb.Message{answer})
	requireLines(t, m,
		`chronik_raft_append_entries_received_total 6`,
		`chronik_raft_append_entries_rejected_total{reason="unknown_group"} 2`,
		`chronik_raft_append_entries_rejected_total{reason="overloaded"} 1`,
		`chronik_raft_append_entries_rejected_total{reason="stopped"} 1`,
		`chronik_raft_append_entries_rejected_total{reason="malformed"} 2`,
		`chronik_raft_append_entries_rejected_total{reason="log_mismatch"} 1`)
}
