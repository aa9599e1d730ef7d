package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"chronik/raftstore/transport/wire"
)

// errSilent is a connection that has brought nothing for too long.
var errSilent = errors.New("transport: the connection is silent")

var (
	// errSlow is a frame whose bytes came too slowly.
	errSlow = errors.New("transport: a frame takes too long to arrive")
	// errStranger is a large frame of a node that is not known as a peer, or not
	// yet: after a start a node hears of some by the metadata.
	errStranger = errors.New("transport: a large frame of a node that is not known as a peer")
)

const (
	// framesBytesMax bounds the frames that are larger than freeBytesMax and
	// arrive at a time, of all connections; two of the greatest.
	framesBytesMax = 2 * wire.BulkBytesMax
	freeBytesMax   = wire.CallLen + wire.BodyBytesMax
	// A frame has frameTime to arrive, and a second for each frameBytesPerSecond.
	frameTime           = 16 * time.Second
	frameBytesPerSecond = 1 << 20
)

// conn is a connection after its hello.
type conn struct {
	t      *Transport
	nc     net.Conn
	r      *bufio.Reader
	class  wire.Class
	node   uint64 // at the other end
	addr   string // that was dialed
	opened time.Time

	remote string // address without port of who has connected
	order  uint64 // among those that were accepted
	held   int    // bytes of budget, for the frame that is being read or delivered

	last atomic.Int64 // sign of life: Transport.elapsed
	due  atomic.Int64 // when the frame that is being read has to be there; 0: none is
	mu   sync.Mutex
	err  error         // why it ended
	done chan struct{} // closed with err
}

func (t *Transport) newConn(nc net.Conn) *conn {
	c := &conn{t: t, nc: nc, opened: t.opt.Clock.Now(), done: make(chan struct{})}
	c.last.Store(int64(c.opened.Sub(t.began)))
	c.r = bufio.NewReaderSize(c, 32<<10)
	return c
}

// readFrame reads the next frame of a connection that was accepted. The one
// before has been dealt with.
func (c *conn) readFrame() (wire.FrameType, []byte, error) {
	c.giveRoom()
	typ, body, err := wire.ReadFrameWithin(c.r, c.limit, c.takeRoom)
	c.due.Store(0)
	return typ, body, err
}

// takeRoom waits until there is room for a frame of that length, which then has
// so long to arrive, however slow; strangers have none for large ones. A wait
// that is too long ends the connection, for as long it is silent.
func (c *conn) takeRoom(length int) error {
	if length > freeBytesMax {
		if c.t.peer(c.node) == nil {
			return errStranger
		}
		if !c.t.frames.Take(length, c.done) {
			return c.reason()
		}
		c.held = length
	}
	c.due.Store(int64(c.t.elapsed() + frameTime + time.Duration(length)*time.Second/frameBytesPerSecond))
	return nil
}

func (c *conn) giveRoom() {
	if c.held > 0 {
		c.t.frames.Give(c.held)
		c.held = 0
	}
}

// Read is what the buffer reads through.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.nc.Read(p)
	if n > 0 {
		c.alive()
	}
	return n, err
}

// alive notes that bytes have arrived, or that the other side takes those of a
// frame that is too large for the buffers between.
func (c *conn) alive() { c.last.Store(int64(c.t.elapsed())) }

// fail closes the connection; the first reason is kept.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		close(c.done)
		_ = c.nc.Close()
	}
}

func (c *conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *conn) watch(now time.Time) {
	most := silenceMax
	if c.class == wire.Bulk {
		most = bulkSilenceMax
	}
	elapsed := now.Sub(c.t.began)
	if due := c.due.Load(); due != 0 && elapsed > time.Duration(due) {
		c.fail(errSlow)
	}
	if elapsed-time.Duration(c.last.Load()) > most {
		c.fail(errSilent)
	}
}

// limit is the greatest frame of a type on a connection.
func (c *conn) limit(typ wire.FrameType) int { return wire.Limit(c.class, typ) }

// gone reports whether an error says that the other side has closed or reset
// the connection.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// deadline closes nc when ctx ends or the time to open a connection is over;
// the function that is returned ends that, and reports whether it was in time.
func (t *Transport) deadline(ctx context.Context, nc net.Conn) func() bool {
	timer := t.opt.Clock.AfterFunc(openTimeout, func() { _ = nc.Close() })
	undo := context.AfterFunc(ctx, func() { _ = nc.Close() })
	return func() bool {
		early, alive := timer.Stop(), undo()
		return early && alive
	}
}

func (t *Transport) hello(class wire.Class, expected uint64) wire.Hello {
	return wire.Hello{Min: wire.VersionMin, Max: wire.VersionMax, Class: class, Node: t.opt.NodeID, Expected: expected, Cluster: t.opt.ClusterID()}
}

// dial opens a connection to a node; expected 0: to whoever is there.
func (t *Transport) dial(ctx context.Context, addr string, class wire.Class, expected uint64) (*conn, error) {
	dctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := t.opt.Clock.AfterFunc(openTimeout, cancel)
	nc, err := t.opt.Dial(dctx, addr)
	timer.Stop()
	if err != nil {
		return nil, err
	}
	inTime := t.deadline(ctx, nc)
	c, err := t.open(ctx, nc, addr, class, expected)
	if !inTime() {
		err = errNoAnswer
	}
	if err != nil {
		_ = nc.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("transport: hello to %s: %w", addr, err)
	}
	return c, nil
}

// open does TLS and the hello on a dialed connection.
func (t *Transport) open(ctx context.Context, nc net.Conn, addr string, class wire.Class, expected uint64) (*conn, error) {
	if t.opt.TLS != nil {
		cfg := t.opt.TLS.Clone()
		if host, _, err := net.SplitHostPort(addr); err == nil && cfg.ServerName == "" {
			cfg.ServerName = host
		}
		tc := tls.Client(nc, cfg)
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, tlsError(err)
		}
		nc = tc
	}
	c := t.newConn(nc)
	mine := t.hello(class, expected)
	if _, err := nc.Write(wire.AppendFrame(nil, wire.FrameHello, mine.Append(nil))); err != nil {
		return nil, err
	}
	theirs, head, err := readHello(c.r)
	if err != nil {
		return nil, answerError(err, head)
	}
	if _, err := mine.Accepts(&theirs); err != nil {
		return nil, err
	}
	c.class, c.node, c.addr = class, theirs.Node, addr
	return c, nil
}

// readHello reads a hello; after an error head is the beginning of what came.
func readHello(r *bufio.Reader) (h wire.Hello, head []byte, err error) {
	head, _ = r.Peek(headMax)
	head = slices.Clone(head)
	_, body, err := wire.ReadFrame(r, func(typ wire.FrameType) int {
		if typ == wire.FrameHello {
			return wire.HelloBytesMax
		}
		return -1
	})
	if err == nil {
		h, err = wire.ParseHello(body)
	}
	return h, head, err
}
