package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"chronik/raftstore/transport/wire"

	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	// largeBytesMin is the size from which a message travels on bulk.
	largeBytesMin = 64 << 10
	// stayOnBulk is how long a group's appends stay there after a large one.
	stayOnBulk = 2 * time.Second
)

var errNoAddress = errors.New("transport: no address is known")

// peer is another node.
type peer struct {
	t      *Transport
	id     uint64
	ctx    context.Context
	cancel context.CancelFunc
	small  *link
	bulk   *link
	calls  callLink

	heard atomic.Int64 // Transport.elapsed; 0: never

	mu       sync.Mutex
	addrs    []string
	onBulk   map[uint64]time.Time // group -> until when its appends travel on bulk
	reported time.Time            // the last call of Unreachable
	report   bool                 // one is due
}

func newPeer(t *Transport, id uint64, addrs []string) *peer {
	p := &peer{t: t, id: id, addrs: addrs, onBulk: map[uint64]time.Time{}}
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	p.small, p.bulk = newLink(p, wire.Small), newLink(p, wire.Bulk)
	p.calls.p = p
	return p
}

func (p *peer) name() string { return strconv.FormatUint(p.id, 10) }

func (p *peer) start() {
	p.t.spawn(p.small.run)
	p.t.spawn(p.bulk.run)
}

func (p *peer) stop() {
	p.cancel()
	p.small.fail(ErrClosed)
	p.bulk.fail(ErrClosed)
	p.calls.fail(ErrClosed)
}

func (p *peer) addresses() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addrs
}

func (p *peer) setAddrs(addrs []string) {
	p.mu.Lock()
	same := slices.Equal(addrs, p.addrs)
	p.addrs = addrs
	p.mu.Unlock()
	if same {
		return
	}
	p.small.keep(addrs)
	p.bulk.keep(addrs)
	p.calls.keep(addrs)
	p.kick()
}

// kick ends the wait for the next attempt to connect: something has changed.
func (p *peer) kick() {
	p.small.kick()
	p.bulk.kick()
}

func (p *peer) send(group uint64, m *pb.Message) {
	size := wire.MessageBytes(m)
	if size > wire.BulkBytesMax {
		p.t.opt.Logger.Error("raft message too large", "node", p.id, "group", group, "type", m.GetType(), "bytes", size)
		p.drop(m, WhyTooLarge)
		return
	}
	l := p.small
	if size > largeBytesMin || m.GetType() == pb.MsgApp || m.GetType() == pb.MsgSnap {
		if p.travelsOnBulk(group, size) {
			l = p.bulk
		}
	}
	if why := l.push(item{group: group, m: m, size: size}); why != "" {
		p.drop(m, why)
	}
}

// travelsOnBulk reports whether an append travels on bulk: a large one, and
// those of its group behind it.
func (p *peer) travelsOnBulk(group uint64, size int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if size > largeBytesMin {
		p.onBulk[group] = p.t.opt.Clock.Now().Add(stayOnBulk)
		return true
	}
	until, ok := p.onBulk[group]
	if ok && p.t.opt.Clock.Now().After(until) && p.bulk.empty() {
		delete(p.onBulk, group)
		ok = false
	}
	return ok
}

func (p *peer) drop(m *pb.Message, why string) {
	p.t.opt.Hooks.Dropped(p.id, m.GetType(), why)
	p.unreachable()
}

// unreachable has Unreachable called, now or when it may be called again.
func (p *peer) unreachable() {
	if p.t.opt.Unreachable == nil {
		return
	}
	now := p.t.opt.Clock.Now()
	p.mu.Lock()
	due := now.Sub(p.reported) >= reportInterval || p.reported.IsZero()
	if due {
		p.reported = now
	}
	p.report = !due
	p.mu.Unlock()
	if due {
		p.t.spawn(func() { p.t.opt.Unreachable(p.id) })
	}
}

func (p *peer) tick(now time.Time) {
	p.mu.Lock()
	report := p.report
	for group, until := range p.onBulk {
		if now.After(until) && p.bulk.empty() {
			delete(p.onBulk, group)
		}
	}
	p.mu.Unlock()
	if report {
		p.unreachable()
	}
	p.small.tick(now)
	p.bulk.tick(now)
	p.calls.tick(now)
}

// connect tries the addresses in turn.
func (p *peer) connect(ctx context.Context, class wire.Class) (*conn, error) {
	err := errNoAddress
	for i, addr := range p.addresses() {
		c, e := p.t.dial(ctx, addr, class, p.id)
		if e == nil {
			p.hear()
			return c, nil
		}
		if i == 0 {
			err = e
		} else {
			err = fmt.Errorf("%w; %w", err, e)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func (p *peer) hear() { p.heard.Store(max(1, int64(p.t.elapsed()))) }

// probe finds out what the loss of the small connection means, by dialing the same
// address again. It returns the new connection, or reports Down if the address
// refuses. A process that is being killed may take a connection that it never
// answers, so one that is lost during the hello is tried again.
func (p *peer) probe(lost *conn) *conn {
	for range 40 {
		c, err := p.t.dial(p.ctx, lost.addr, lost.class, p.id)
		switch {
		case err == nil:
			p.hear()
			return c
		case errors.Is(err, syscall.ECONNREFUSED):
			p.reportDown()
			return nil
		case !gone(err) || !p.t.pause(p.ctx, 5*time.Millisecond, nil):
			return nil
		}
	}
	return nil
}

func (p *peer) reportDown() {
	if p.ctx.Err() != nil {
		return
	}
	p.t.opt.Logger.Warn("the process of a peer is gone", "node", p.id)
	if p.t.opt.Down != nil {
		p.t.spawn(func() { p.t.opt.Down(p.id) })
	}
}

func (p *peer) status() PeerStatus {
	s := PeerStatus{ID: p.id, QueuedBytes: p.bulk.queuedBytes()}
	if ns := p.heard.Load(); ns != 0 {
		s.LastHeard = p.t.began.Add(time.Duration(ns))
	}
	addrs := p.addresses()
	p.small.mu.Lock()
	defer p.small.mu.Unlock()
	s.QueuedBytes += p.small.queued
	s.Err = p.small.err
	if c := p.small.conn; c != nil {
		s.Connected, s.Addr = true, c.addr
	} else if len(addrs) > 0 {
		s.Addr = addrs[0]
	}
	return s
}

// pause waits; false if ctx has ended. early ends it before.
func (t *Transport) pause(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	over := make(chan struct{})
	timer := t.opt.Clock.AfterFunc(d, func() { close(over) })
	defer timer.Stop()
	select {
	case <-over:
	case <-early:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// backoff is the wait behind the nth failure in a row.
func (t *Transport) backoff(n int) time.Duration {
	d := min(50*time.Millisecond<<min(n, 10), 2*time.Second)
	t.randMu.Lock()
	defer t.randMu.Unlock()
	return d/2 + time.Duration(t.opt.Rand.Int64N(int64(d/2)))
}
