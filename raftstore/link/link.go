package link

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/clock"
	"chronik/internal/metrics"
	"chronik/raftstore/multiraft"

	pb "go.etcd.io/raft/v3/raftpb"
)

// ErrNotOpen is a message that came before there is a host to take it.
var ErrNotOpen = errors.New("link: the raft host is not open yet")

// Host is what messages are delivered to: *multiraft.Host.
type Host interface {
	Step(group uint64, m *pb.Message) error
}

// Link is one node's; see the package comment.
type Link struct {
	metrics *metrics.Raft
	clock   clock.Clock
	out     multiraft.Transport
	host    atomic.Pointer[Host]

	mu    sync.RWMutex
	peers map[uint64]*peer
}

// New makes a link. Connect comes before anything is sent.
func New(m *metrics.Raft, c clock.Clock) *Link {
	return &Link{metrics: m, clock: c, peers: map[uint64]*peer{}}
}

// Connect names the transport that messages leave by.
func (l *Link) Connect(out multiraft.Transport) { l.out = out }

// Open names the host that messages are delivered to from now on.
func (l *Link) Open(h Host) { l.host.Store(&h) }

// Send hands the messages on to the transport.
func (l *Link) Send(group uint64, msgs []*pb.Message) {
	for _, m := range msgs {
		l.sending(group, m)
	}
	l.out.Send(group, msgs)
}

func (l *Link) sending(group uint64, m *pb.Message) {
	switch m.GetType() {
	case pb.MsgApp:
		l.metrics.AppendEntriesSent.Inc()
	case pb.MsgAppResp:
		if m.GetReject() {
			l.metrics.AppendEntriesRejected(metrics.RejectedLogMismatch)
		}
	}
	if k := asks(m.GetType()); k != kindNone {
		a := &l.peer(m.GetTo()).asked[k]
		a.series.Sent()
		a.follow(group, l.clock.Now())
	}
}

// Dropped counts a message that Send was given and the transport has not sent,
// why ever (transport.Hooks.Dropped).
func (l *Link) Dropped(node uint64, kind pb.MessageType, _ string) {
	if k := asks(kind); k != kindNone {
		l.peer(node).asked[k].series.Failed()
	}
}

// Deliver hands the host a message that came from a node.
func (l *Link) Deliver(from, group uint64, m *pb.Message) error {
	err := l.deliver(from, group, m)
	if err != nil && m.GetType() == pb.MsgApp {
		l.metrics.AppendEntriesRejected(reason(err))
	}
	return err
}

func (l *Link) deliver(from, group uint64, m *pb.Message) error {
	if m.GetFrom() != from {
		return fmt.Errorf("%w: node %d sends in the name of %d", multiraft.ErrBadMessage, from, m.GetFrom())
	}
	if m.GetType() == pb.MsgApp {
		l.metrics.AppendEntriesReceived.Inc()
	}
	if k := answers(m.GetType()); k != kindNone {
		if p := l.known(from); p != nil { // else it was never asked
			p.asked[k].end(group, l.clock.Now())
		}
	}
	h := l.host.Load()
	if h == nil {
		return ErrNotOpen
	}
	return (*h).Step(group, m)
}

func reason(err error) string {
	switch {
	case errors.Is(err, multiraft.ErrUnknownGroup), errors.Is(err, ErrNotOpen):
		return metrics.RejectedUnknownGroup
	case errors.Is(err, multiraft.ErrOverloaded):
		return metrics.RejectedOverloaded
	case errors.Is(err, multiraft.ErrBadMessage):
		return metrics.RejectedMalformed
	default:
		return metrics.RejectedStopped
	}
}

func (l *Link) known(node uint64) *peer {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.peers[node]
}

func (l *Link) peer(node uint64) *peer {
	if p := l.known(node); p != nil {
		return p
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[node]
	if p == nil {
		p = &peer{}
		for k := range kinds {
			p.asked[k].series = l.metrics.RPC(kinds[k], node)
		}
		l.peers[node] = p
	}
	return p
}

// kind is a kind of message that has an answer.
type kind int

const kindNone kind = -1

const (
	kindAppend kind = iota
	kindHeartbeat
	kindVote
	kindPreVote
	kindReadIndex
	kindSnapshot // its answer is that of an append, and is not followed
	kindCount
)

// kinds are the values of the label rpc_type.
var kinds = [kindCount]string{"append_entries", "heartbeat", "request_vote", "request_pre_vote", "read_index", "install_snapshot"}

func asks(t pb.MessageType) kind {
	switch t {
	case pb.MsgApp:
		return kindAppend
	case pb.MsgSnap:
		return kindSnapshot
	case pb.MsgHeartbeat:
		return kindHeartbeat
	case pb.MsgVote:
		return kindVote
	case pb.MsgPreVote:
		return kindPreVote
	case pb.MsgReadIndex:
		return kindReadIndex
	}
	return kindNone
}

func answers(t pb.MessageType) kind {
	switch t {
	case pb.MsgAppResp:
		return kindAppend
	case pb.MsgHeartbeatResp:
		return kindHeartbeat
	case pb.MsgVoteResp:
		return kindVote
	case pb.MsgPreVoteResp:
		return kindPreVote
	case pb.MsgReadIndexResp:
		return kindReadIndex
	}
	return kindNone
}

// peer is one other node.
type peer struct {
	asked [kindCount]asked
}

// lostAfter is when a message whose answer has not come is no longer waited for.
const lostAfter = 10 * time.Second

// asked is one kind of message to one node, and the one that is followed.
type asked struct {
	series *metrics.RPC

	mu    sync.Mutex
	group uint64 // 0: none
	since time.Time
}

func (a *asked) follow(group uint64, now time.Time) {
	if !a.mu.TryLock() { // somebody else's is followed
		return
	}
	defer a.mu.Unlock()
	if a.group == 0 || now.Sub(a.since) > lostAfter {
		a.group, a.since = group, now
	}
}

func (a *asked) end(group uint64, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.group == group {
		a.series.Answered(now.Sub(a.since))
		a.group = 0
	}
}
