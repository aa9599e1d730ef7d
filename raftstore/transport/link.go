package transport

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"time"

	"chronik/raftstore/transport/wire"

	pb "go.etcd.io/raft/v3/raftpb"
)

var (
	errNoCluster  = errors.New("transport: this node is in no cluster yet")
	errMoved      = errors.New("transport: the peer has another address")
	errShortLived = errors.New("transport: the connections to the peer do not last")

	pingFrame = wire.AppendFrame(nil, wire.FramePing)
	pongFrame = wire.AppendFrame(nil, wire.FramePong)
)

// unreached is what is logged of a peer that cannot be connected to.
const unreached = "cannot reach a peer"

// batchBytesTarget is how much may share a frame.
const batchBytesTarget = 256 << 10

// joinInterval is how often it is looked whether the node is in a cluster.
const joinInterval = 50 * time.Millisecond

// item is a message that waits.
type item struct {
	group uint64
	m     *pb.Message
	size  int
}

// link is a connection for messages to a peer, made again whenever it breaks,
// and the queue of what waits for it. From the first failure to connect until it
// is connected it takes no messages.
type link struct {
	p     *peer
	class wire.Class
	wake  chan struct{} // something waits
	again chan struct{} // try to connect now

	mu     sync.Mutex
	queue  []item
	queued int  // bytes
	refuse bool // takes no messages
	ping   bool // one is due
	conn   *conn
	err    error     // why there is none
	since  time.Time // when the last one ended, or the link was made
}

func newLink(p *peer, class wire.Class) *link {
	return &link{p: p, class: class, wake: make(chan struct{}, 1), again: make(chan struct{}, 1), since: p.t.opt.Clock.Now()}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (l *link) kick() { signal(l.again) }

// push queues a message, or says why not.
func (l *link) push(i item) (why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.refuse:
		return WhyUnconnected
	case l.queued+i.size > l.p.t.opt.QueueBytesMax && l.queued > 0:
		return WhyFull
	}
	l.queue, l.queued = append(l.queue, i), l.queued+i.size
	if len(l.queue) == 1 {
		signal(l.wake)
	}
	return ""
}

func (l *link) empty() bool { return l.queuedBytes() == 0 }

func (l *link) queuedBytes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queued
}

func (l *link) current() *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

func (l *link) fail(err error) {
	if c := l.current(); c != nil {
		c.fail(err)
	}
}

// keep closes a connection to an address that is not among addrs.
func (l *link) keep(addrs []string) {
	if c := l.current(); c != nil && !slices.Contains(addrs, c.addr) {
		c.fail(errMoved)
	}
}

func (l *link) tick(now time.Time) {
	c := l.current()
	if c == nil {
		return
	}
	c.watch(now)
	l.mu.Lock()
	l.ping = true
	l.mu.Unlock()
	signal(l.wake)
}

// run keeps the link connected until the peer is removed.
func (l *link) run() {
	defer l.drop(ErrClosed)
	failures := 0
	var c *conn
	for l.p.ctx.Err() == nil {
		if c == nil && l.p.t.clustered && l.p.t.opt.ClusterID() == "" {
			l.drop(errNoCluster)
			l.p.t.pause(l.p.ctx, joinInterval, l.again)
			continue
		}
		if c == nil {
			var err error
			if c, err = l.p.connect(l.p.ctx, l.class); err != nil {
				l.drop(err)
				if l.class == wire.Small && l.p.ctx.Err() == nil {
					l.p.t.say(slog.LevelWarn, unreached, l.p.name(), err, "node", l.p.id)
				}
				l.p.t.pause(l.p.ctx, l.p.t.backoff(failures), l.again)
				failures++
				continue
			}
		}
		failures, c = l.use(c, failures)
	}
	if c != nil {
		c.fail(ErrClosed)
	}
}

// use sends over a connection until it breaks. It returns the failures in a row,
// and the next connection if there is one already.
func (l *link) use(c *conn, failures int) (int, *conn) {
	l.set(c)
	if l.class == wire.Small {
		l.p.t.opt.Logger.Info("connected to a peer", "node", l.p.id, "addr", c.addr)
	}
	read := make(chan struct{})
	if l.p.t.spawn(func() { defer close(read); l.read(c) }) {
		l.write(c)
		<-read
	} else {
		c.fail(ErrClosed)
	}
	err := c.reason()
	l.mu.Lock()
	l.conn, l.err, l.since = nil, err, l.p.t.opt.Clock.Now()
	l.mu.Unlock()
	if l.p.ctx.Err() != nil {
		return 0, nil
	}
	switch lasted := l.p.t.opt.Clock.Now().Sub(c.opened) > tickInterval; {
	case l.class != wire.Small:
	case errors.Is(err, errMoved):
		l.p.t.opt.Logger.Info("a peer has another address", "node", l.p.id, "left", c.addr)
	default:
		l.p.t.say(slog.LevelWarn, "connection to a peer lost", l.p.name(), err, "node", l.p.id, "addr", c.addr)
		if lasted { // what is said of reaching it is news
			l.p.t.said.Over(unreached + " " + l.p.name())
		}
	}
	l.p.unreachable() // what was under way may be lost
	if l.class == wire.Small && gone(err) {
		if next := l.p.probe(c); next != nil && l.p.t.opt.Clock.Now().Sub(c.opened) > tickInterval {
			return 0, next
		} else if next != nil {
			next.fail(errShortLived)
		}
	}
	if l.p.t.opt.Clock.Now().Sub(c.opened) > tickInterval {
		return 0, nil
	}
	l.p.t.pause(l.p.ctx, l.p.t.backoff(failures), l.again)
	return failures + 1, nil
}

// gone reports whether nobody is there: nobody takes a connection, or none
// could be made for a while.
func (l *link) gone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn == nil && (errors.Is(l.err, syscall.ECONNREFUSED) || l.p.t.opt.Clock.Now().Sub(l.since) > goneAfter)
}

func (l *link) set(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.err, l.refuse = c, nil, false
	if l.p.ctx.Err() != nil { // stop may have come before
		c.fail(ErrClosed)
	}
}

// drop empties the queue, and takes nothing until the link is connected.
func (l *link) drop(err error) {
	l.mu.Lock()
	dropped := l.queue
	for _, i := range dropped {
		l.queued -= i.size
	}
	l.queue, l.refuse, l.err = nil, true, err
	l.mu.Unlock()
	for _, i := range dropped {
		l.p.t.opt.Hooks.Dropped(l.p.id, i.m.GetType(), WhyUnconnected)
	}
	if len(dropped) > 0 {
		l.p.unreachable()
	}
}

// read takes the answers to pings; nothing else comes on a dialed connection.
func (l *link) read(c *conn) {
	for {
		typ, _, err := wire.ReadFrame(c.r, func(typ wire.FrameType) int {
			if typ == wire.FramePong {
				return 0
			}
			return -1
		})
		if err != nil {
			c.fail(err)
			signal(l.wake)
			return
		}
		if typ == wire.FramePong {
			l.p.hear()
		}
	}
}

// write writes what waits, until the connection has failed.
func (l *link) write(c *conn) {
	w := &wire.Writer{}
	var batch []item
	for {
		var ping bool
		batch, ping = l.take(batch)
		if len(batch) == 0 && !ping {
			select {
			case <-l.wake:
			case <-c.done:
				return
			}
			continue
		}
		if ping {
			if _, err := c.nc.Write(pingFrame); err != nil {
				c.fail(err)
			}
		}
		for rest := batch; len(rest) > 0; {
			rest = l.writeSome(c, w, rest)
		}
		if c.reason() != nil {
			return
		}
	}
}

// take takes all that waits. The slice that is given up serves the queue again.
func (l *link) take(spare []item) (batch []item, ping bool) {
	clear(spare)
	if cap(spare) > 4096 {
		spare = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	batch, ping = l.queue, l.ping
	l.queue, l.ping = spare[:0], false
	return batch, ping
}

// writeSome writes as many messages of a batch as share a frame, and returns
// the others. Once the connection has failed nothing is written.
func (l *link) writeSome(c *conn, w *wire.Writer, batch []item) []item {
	failed := c.reason() != nil
	n, size := 0, 0
	for ; n < len(batch) && (n == 0 || size+batch[n].size <= batchBytesTarget); n++ {
		i := &batch[n]
		size += i.size
		if failed {
			l.p.t.opt.Hooks.Dropped(l.p.id, i.m.GetType(), WhyUnconnected)
			continue
		}
		before := w.Len()
		w.Message(i.group, i.m)
		l.p.t.opt.Hooks.Sent(i.m.GetType(), len(i.m.GetEntries()), w.Len()-before)
	}
	if !failed {
		if err := w.Flush(c.nc, wire.FrameMessages, c.alive); err != nil {
			c.fail(err)
		}
	}
	l.mu.Lock()
	l.queued -= size
	l.mu.Unlock()
	return batch[n:]
}
