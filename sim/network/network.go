package network

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"chronik/raftstore/transport"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// ID is an end of links: a node or a client.
type ID = uint64

// Link is what happens to what is sent from one end to another.
type Link struct {
	Cut       bool
	Loss      float64 // share of messages that are dropped
	Repeat    float64 // share of raft messages that arrive twice
	Reorder   bool
	Delay     time.Duration
	JitterMax time.Duration
}

type pair struct{ from, to ID }

// Options are what a network runs on.
type Options struct {
	Rand    *rand.Rand
	Default Link
	// Sent is told of every raft message that is sent, before it may be lost.
	Sent func(from ID, group uint64, m *pb.Message)
	// Unreachable is told, at most once a second for each pair, that the
	// process to which messages were sent is not there.
	Unreachable func(from, to ID)
	// Received is told of every raft message that is delivered.
	Received func(group uint64, m *pb.Message)
}

// Network is a set of links and the endpoints on them.
type Network struct {
	opt Options

	mu    sync.Mutex
	links map[pair]Link
	last  map[pair]time.Time // when the latest message of a link arrives
	told  map[pair]time.Time // when Unreachable was told
	ends  map[ID]*Endpoint
	addrs map[string]ID
}

// New is a network on which every link is Options.Default.
func New(o Options) *Network {
	return &Network{opt: o, links: map[pair]Link{}, last: map[pair]time.Time{}, told: map[pair]time.Time{}, ends: map[ID]*Endpoint{}, addrs: map[string]ID{}}
}

// Set changes the link from one end to another.
func (n *Network) Set(from, to ID, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[pair{from, to}] = l
}

// Link is the link from one end to another.
func (n *Network) Link(from, to ID) Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.linkLocked(pair{from, to})
}

func (n *Network) linkLocked(p pair) Link {
	if l, ok := n.links[p]; ok {
		return l
	}
	return n.opt.Default
}

// Heal makes every link Options.Default.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.links)
}

// Carry has arrive called when a message has come over a link; it may be lost,
// and then never is.
func (n *Network) Carry(from, to ID, arrive func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := pair{from, to}
	n.carryLocked(p, n.linkLocked(p), arrive, func() {})
}

// carryLocked has one of arrive and lost called, or none if it is lost at once.
func (n *Network) carryLocked(p pair, l Link, arrive, lost func()) {
	if l.Cut || n.opt.Rand.Float64() < l.Loss {
		return
	}
	now := time.Now()
	at := now.Add(l.Delay)
	if l.JitterMax > 0 {
		at = at.Add(time.Duration(n.opt.Rand.Int64N(int64(l.JitterMax))))
	}
	if last := n.last[p]; !l.Reorder && !at.After(last) {
		at = last.Add(time.Microsecond)
	}
	if at.After(n.last[p]) {
		n.last[p] = at
	}
	time.AfterFunc(at.Sub(now), func() {
		if n.Link(p.from, p.to).Cut {
			lost()
			return
		}
		arrive()
	})
}

func (n *Network) end(id ID) *Endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ends[id]
}

// Handlers are what a process does with what arrives.
type Handlers struct {
	Deliver func(from, group uint64, m *pb.Message)
	Serve   func(ctx context.Context, from uint64, method uint8, body []byte) ([]byte, error)
}

// Endpoint is one process on the network.
type Endpoint struct {
	id   ID
	net  *Network
	h    Handlers
	ctx  context.Context
	stop context.CancelFunc
}

// Attach puts a process on the network, in place of the one that was there.
func (n *Network) Attach(id ID, addr string, h Handlers) *Endpoint {
	e := &Endpoint{id: id, net: n, h: h}
	e.ctx, e.stop = context.WithCancel(context.Background())
	n.mu.Lock()
	old := n.ends[id]
	n.ends[id], n.addrs[addr] = e, id
	n.mu.Unlock()
	if old != nil {
		old.stop()
	}
	return e
}

// Close takes the process off the network.
func (e *Endpoint) Close() {
	e.net.mu.Lock()
	if e.net.ends[e.id] == e {
		delete(e.net.ends, e.id)
	}
	e.net.mu.Unlock()
	e.stop()
}

// Gone reports whether the process has left the network.
func (e *Endpoint) Gone() bool { return e.ctx.Err() != nil }

// Send implements multiraft.Transport.
func (e *Endpoint) Send(group uint64, msgs []*pb.Message) {
	if e.Gone() {
		return
	}
	n := e.net
	for _, m := range msgs {
		if n.opt.Sent != nil {
			n.opt.Sent(e.id, group, m)
		}
		if e.Gone() { // Sent may have ended it
			return
		}
		n.mu.Lock()
		p := pair{e.id, m.GetTo()}
		times := 1
		if n.opt.Rand.Float64() < n.linkLocked(p).Repeat {
			times = 2
		}
		for range times {
			own := proto.CloneOf(m)
			n.carryLocked(p, n.linkLocked(p), func() { n.deliver(p, group, own) }, func() {})
		}
		n.mu.Unlock()
	}
}

func (n *Network) unreachable(p pair) {
	n.mu.Lock()
	now := time.Now()
	tell := n.opt.Unreachable != nil && now.Sub(n.told[p]) >= time.Second
	if tell {
		n.told[p] = now
	}
	n.mu.Unlock()
	if tell {
		n.opt.Unreachable(p.from, p.to)
	}
}

func (n *Network) deliver(p pair, group uint64, m *pb.Message) {
	to := n.end(p.to)
	if to == nil || to.Gone() {
		n.unreachable(p)
		return
	}
	if n.opt.Received != nil {
		n.opt.Received(group, m)
	}
	to.h.Deliver(p.from, group, m)
}

// SetPeer implements metadata.Peers: addresses are known anyway.
func (e *Endpoint) SetPeer(uint64, ...string) {}

type answer struct {
	body []byte
	err  error
}

// What TCP and the transport do about a link that loses: send again, later and
// later, and after silenceMax take the connection for broken.
const (
	resendMin  = 200 * time.Millisecond
	silenceMax = 6 * time.Second
)

// stream has arrive called once when a message has come over a link that repeats
// what is lost, or broken when that did not help.
func (n *Network) stream(p pair, broken func(error), arrive func()) {
	var send func(pause, silent time.Duration)
	send = func(pause, silent time.Duration) {
		n.mu.Lock()
		l := n.linkLocked(p)
		lost := l.Cut || n.opt.Rand.Float64() < l.Loss
		if !lost {
			l.Loss = 0
			n.carryLocked(p, l, arrive, func() { send(pause, silent) })
		}
		n.mu.Unlock()
		switch {
		case lost && silent > silenceMax:
			broken(transport.ErrLost)
		case lost:
			time.AfterFunc(pause, func() { send(2*pause, silent+pause) })
		}
	}
	send(resendMin, 0)
}

// Call implements metadata.Peers.
func (e *Endpoint) Call(ctx context.Context, to ID, method uint8, body []byte) ([]byte, error) {
	if e.Gone() {
		return nil, transport.ErrUnreachable
	}
	done := make(chan answer, 3)
	n := e.net
	fail := func(err error) { done <- answer{err: err} }
	request := append([]byte(nil), body...)
	n.stream(pair{e.id, to}, fail, func() {
		peer := n.end(to)
		if peer == nil || peer.h.Serve == nil {
			n.stream(pair{to, e.id}, fail, func() { fail(transport.ErrUnreachable) })
			return
		}
		b, err := peer.h.Serve(peer.ctx, e.id, method, request)
		if peer.Gone() {
			n.stream(pair{to, e.id}, fail, func() { fail(transport.ErrLost) })
			return
		}
		if err != nil {
			err = &transport.RemoteError{Msg: err.Error()}
		}
		a := answer{append([]byte(nil), b...), err}
		n.stream(pair{to, e.id}, fail, func() { done <- a })
	})
	select {
	case a := <-done:
		return a.body, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-e.ctx.Done():
		return nil, transport.ErrUnreachable
	}
}

// CallAddr implements metadata.Peers.
func (e *Endpoint) CallAddr(ctx context.Context, addr string, method uint8, body []byte) (ID, []byte, error) {
	e.net.mu.Lock()
	id, ok := e.net.addrs[addr]
	e.net.mu.Unlock()
	if !ok {
		return 0, nil, fmt.Errorf("%w: %s", transport.ErrUnreachable, addr)
	}
	b, err := e.Call(ctx, id, method, body)
	return id, b, err
}
