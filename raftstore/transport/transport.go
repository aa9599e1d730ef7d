package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"chronik/internal/clock"
	"chronik/internal/repeats"
	"chronik/raftstore/transport/shares"
	"chronik/raftstore/transport/wire"

	pb "go.etcd.io/raft/v3/raftpb"
)

// ErrClosed is a call on a transport that has been closed.
var ErrClosed = errors.New("transport: closed")

// ErrRefused is a connection that a node, or this one, has declined: another
// cluster, another node than expected, no common version.
var ErrRefused = wire.ErrRefused

const (
	// tickInterval is how often a dialed connection is pinged, and how often
	// all connections are looked at.
	tickInterval = time.Second
	// silenceMax is how long a connection may bring nothing before it is
	// closed; a bulk connection's pings wait behind large frames.
	silenceMax     = 4 * time.Second
	bulkSilenceMax = 16 * time.Second
	// openTimeout bounds dialing, TLS and the hello, for either side.
	openTimeout = 4 * time.Second
	// reportInterval is the least time between two calls of Unreachable for a node.
	reportInterval = time.Second

	// goneAfter is how long a node is without a connection until it is taken for gone.
	goneAfter = 1500 * time.Millisecond

	defaultQueueBytesMax = 64 << 20
)

// Options are what a transport runs on. Those without a default are required.
type Options struct {
	NodeID uint64
	// ClusterID is the id of the cluster, "" as long as it is not known: until
	// then no messages are sent. Nodes of which both know theirs, and differ, do
	// not connect. Default: it is not asked for.
	ClusterID func() string
	Dial      func(ctx context.Context, addr string) (net.Conn, error) // default net.Dialer, TCP
	// TLS makes all connections mutual TLS: it holds this node's certificate,
	// and RootCAs (and ClientCAs, if they differ) that peers are checked
	// against. Nil: plain TCP.
	TLS    *tls.Config
	Clock  clock.Clock  // default clock.Real
	Rand   *rand.Rand   // default seeded from node id and time; used under a lock
	Logger *slog.Logger // default: none

	// Deliver takes a message from a node. It must be quick, must not keep the
	// connection's goroutine waiting. The message is its own. Required.
	Deliver func(from, group uint64, m *pb.Message) error
	// Unreachable tells that messages to a node were dropped or may be lost, at
	// most once a second for each node.
	Unreachable func(node uint64)
	// Down tells that the process of a node is gone: a connection to it was
	// closed or reset by the other side, and dialing it again at once was
	// refused. Once for each loss.
	Down func(node uint64)
	// Serve answers a call, on a goroutine of its own, of which there is a
	// bounded number. ctx ends when the caller's time is up or its connection is
	// gone. The body is its own. Without it calls are refused.
	Serve func(ctx context.Context, from uint64, method uint8, body []byte) ([]byte, error)
	Hooks Hooks

	// QueueBytesMax bounds what waits for each message connection; a single
	// message always finds room in an empty queue. Default 64 MiB.
	QueueBytesMax int
}

// Hooks are called for what metrics want to know. They must be quick. Nil ones
// are left out.
type Hooks struct {
	RPC      func(method uint8, node uint64, took time.Duration, err error) // a call of Call or CallAddr has ended; node 0: not known
	Sent     func(kind pb.MessageType, entries, bytes int)                  // a message was written
	Received func(kind pb.MessageType, entries, bytes int)                  // a message arrived
	Dropped  func(node uint64, kind pb.MessageType, why string)             // a message was not sent; why is one of Why...
}

// Why a message was dropped.
const (
	WhyUnknown     = "unknown node"
	WhyUnconnected = "not connected"
	WhyFull        = "queue full"
	WhyTooLarge    = "too large"
	WhyInvalid     = "does not travel"
)

// PeerStatus is a peer as of now.
type PeerStatus struct {
	ID          uint64
	Addr        string // that it is connected by, or the first one
	Connected   bool   // for small messages
	QueuedBytes int    // of messages that wait
	LastHeard   time.Time
	Err         error // why it is not connected
}

// Transport carries messages and calls. Create one with New.
type Transport struct {
	opt    Options
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	server *tls.Config
	began  time.Time

	clustered bool // there is a ClusterID to wait for
	said      *repeats.Log

	mu        sync.RWMutex
	peers     map[uint64]*peer
	listeners map[net.Listener]bool
	inbound   map[*conn]bool // true: it has a place of a known peer's
	enlisted  uint64         // how often one was added
	pending   []net.Conn     // accepted, hello not done; in that order

	randMu  sync.Mutex
	spawnMu sync.Mutex
	closed  bool
	wg      sync.WaitGroup // every goroutine
	ticker  clock.Timer    // under spawnMu

	serving chan struct{}  // a place for each call that is being served
	frames  *shares.Budget // of large frames that arrive
}

// New returns a transport that knows no peers yet.
func New(o Options) *Transport {
	clustered := o.ClusterID != nil
	o.setDefaults()
	t := &Transport{opt: o, clustered: clustered, began: o.Clock.Now(), said: repeats.New(o.Clock), peers: map[uint64]*peer{}, listeners: map[net.Listener]bool{}, inbound: map[*conn]bool{},
		serving: make(chan struct{}, servingMax), frames: shares.NewBudget(framesBytesMax)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if o.TLS != nil {
		t.server = o.TLS.Clone()
		t.server.ClientAuth = tls.RequireAndVerifyClientCert
		if t.server.ClientCAs == nil {
			t.server.ClientCAs = o.TLS.RootCAs
		}
	}
	t.ticker = o.Clock.AfterFunc(tickInterval, t.tick)
	return t
}

func (o *Options) setDefaults() {
	if o.ClusterID == nil {
		o.ClusterID = func() string { return "" }
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	if o.Clock == nil {
		o.Clock = clock.Real
	}
	if o.Rand == nil {
		o.Rand = rand.New(rand.NewPCG(o.NodeID, uint64(o.Clock.Now().UnixNano())))
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.QueueBytesMax == 0 {
		o.QueueBytesMax = defaultQueueBytesMax
	}
	h := &o.Hooks
	if h.RPC == nil {
		h.RPC = func(uint8, uint64, time.Duration, error) {}
	}
	if h.Sent == nil {
		h.Sent = func(pb.MessageType, int, int) {}
	}
	if h.Received == nil {
		h.Received = func(pb.MessageType, int, int) {}
	}
	if h.Dropped == nil {
		h.Dropped = func(uint64, pb.MessageType, string) {}
	}
}

// elapsed is the time since the transport was made. Unlike the time of day it is
// not moved by whoever sets the clock.
func (t *Transport) elapsed() time.Duration { return t.opt.Clock.Now().Sub(t.began) }

// spawn runs f on a goroutine that Close waits for; false if closed.
func (t *Transport) spawn(f func()) bool {
	t.spawnMu.Lock()
	defer t.spawnMu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Go(f)
	return true
}

// SetPeer makes a node known, or changes its addresses: candidates that are
// tried in turn, the first one first. A connection to an address that is no
// longer among them is closed. The node itself is ignored.
func (t *Transport) SetPeer(id uint64, addrs ...string) {
	if id == t.opt.NodeID || id == 0 {
		return
	}
	t.mu.Lock()
	p := t.peers[id]
	if p == nil {
		p = newPeer(t, id, slices.Clone(addrs))
		t.peers[id] = p
		t.mu.Unlock()
		p.start()
		return
	}
	t.mu.Unlock()
	p.setAddrs(slices.Clone(addrs))
}

// RemovePeer forgets a node: what waits for it is dropped. It may still connect.
func (t *Transport) RemovePeer(id uint64) {
	t.mu.Lock()
	p := t.peers[id]
	delete(t.peers, id)
	t.mu.Unlock()
	if p != nil {
		p.stop()
	}
}

func (t *Transport) peer(id uint64) *peer {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.peers[id]
}

// Send queues messages of a group, each for the node it is addressed to, or
// drops them. It does not block.
func (t *Transport) Send(group uint64, msgs []*pb.Message) {
	for _, m := range msgs {
		if m.GetFrom() != t.opt.NodeID || !wire.Travels(m.GetType()) || len(m.GetResponses()) > 0 || len(m.GetEntries()) > wire.EntriesMax {
			t.opt.Logger.Error("raft message does not travel", "group", group, "type", m.GetType(), "from", m.GetFrom(), "to", m.GetTo())
			t.opt.Hooks.Dropped(m.GetTo(), m.GetType(), WhyInvalid)
			continue
		}
		if p := t.peer(m.GetTo()); p != nil {
			p.send(group, m)
		} else {
			t.opt.Hooks.Dropped(m.GetTo(), m.GetType(), WhyUnknown)
		}
	}
}

// Peers returns the peers in the order of their ids.
func (t *Transport) Peers() []PeerStatus {
	peers := t.allPeers()
	out := make([]PeerStatus, 0, len(peers))
	for _, p := range peers {
		out = append(out, p.status())
	}
	slices.SortFunc(out, func(a, b PeerStatus) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Gone reports whether a peer does not run, as far as its connections tell: its
// address refuses them, or there has been none for more than a second. One that
// is not known is not gone.
func (t *Transport) Gone(id uint64) bool {
	p := t.peer(id)
	return p != nil && p.small.gone()
}

func (t *Transport) allPeers() []*peer {
	t.mu.RLock()
	defer t.mu.RUnlock()
	peers := make([]*peer, 0, len(t.peers))
	for _, p := range t.peers {
		peers = append(peers, p)
	}
	return peers
}

// tick pings what was dialed, and closes what has been silent.
func (t *Transport) tick() {
	now := t.opt.Clock.Now()
	for _, p := range t.allPeers() {
		p.tick(now)
	}
	t.mu.RLock()
	conns := make([]*conn, 0, len(t.inbound))
	for c := range t.inbound {
		conns = append(conns, c)
	}
	t.mu.RUnlock()
	for _, c := range conns {
		c.watch(now)
	}
	t.spawnMu.Lock()
	defer t.spawnMu.Unlock()
	if !t.closed {
		t.ticker.Reset(tickInterval)
	}
}

// Close ends everything: listeners and connections are closed, calls fail, and
// when it returns no goroutine or callback of the transport runs any more. It
// must not be called from a callback.
func (t *Transport) Close() error {
	t.spawnMu.Lock()
	if t.closed {
		t.spawnMu.Unlock()
		t.wg.Wait()
		return nil
	}
	t.closed = true
	t.ticker.Stop()
	t.spawnMu.Unlock()
	t.cancel()
	t.mu.Lock()
	var err error
	for ln := range t.listeners {
		if e := ln.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	conns := t.inbound
	t.inbound = map[*conn]bool{}
	t.mu.Unlock()
	for c := range conns {
		c.fail(ErrClosed)
	}
	for _, p := range t.allPeers() {
		p.stop()
	}
	t.wg.Wait()
	return err
}
