package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"chronik/kafka/wire"
)

// CloseReason says why a connection ended.
type CloseReason uint8

// Reasons to close.
const (
	_                  CloseReason = iota
	ClosedByPeer                   // end of stream, or a network error
	ClosedFrameSize                // negative or too large (G1), or of too great a weight
	ClosedByHandler                // Serve returned an error (G2)
	ClosedByPanic                  // Serve panicked
	ClosedIdle                     // G8
	ClosedStalledRead              // half a frame, and no more for too long
	ClosedStalledWrite             // the peer does not read its responses
	ClosedByLimit                  // too many connections
	ClosedByFull                   // the process has no room, see Options.Full
	ClosedByShutdown
)

// String is the reason as a metric label.
func (r CloseReason) String() string {
	names := [...]string{"none", "peer", "frame_size", "protocol", "panic", "idle", "stalled_read", "stalled_write", "limit", "full", "shutdown"}
	if int(r) >= len(names) {
		return "unknown"
	}
	return names[r]
}

// Conn is one client connection. Its exported methods are safe for concurrent
// use.
type Conn struct {
	server   *Server
	nc       net.Conn
	host     string
	listener string
	id       uint64
	handler  Handler

	ctx    context.Context // ends when the connection is closed or lost
	cancel context.CancelFunc

	in     *bufio.Reader
	queue  chan *exchange // reader to writer, in order of requests; closed by the reader
	serial chan struct{}  // holds a token while a request that does not overlap is under way
	iov    [][]byte       // of the writer
	nb     net.Buffers    // of the writer
	ended  sync.WaitGroup // the reader

	mu         sync.Mutex
	pollCtx    context.Context // ends also when a shutdown begins, or memory is short
	cancelPoll context.CancelFunc
	parked     *exchange   // a request that does not overlap, while it is served
	reason     CloseReason // the first one counts
	draining   bool
	underWay   int // requests read and not done
	lastActive time.Time
	reading    transfer
	writing    transfer
	trusted    int // largest frame completed so far, up to trustedBytesMax
}

const readBufferBytes = 4 << 10

func (s *Server) newConn(nc net.Conn, listener string) *Conn {
	c := &Conn{
		server: s, nc: nc, listener: listener,
		in:         bufio.NewReaderSize(nc, readBufferBytes),
		queue:      make(chan *exchange, s.limits.PendingMax),
		serial:     make(chan struct{}, 1),
		lastActive: s.clock.Now(),
	}
	c.host = nc.RemoteAddr().String()
	if h, _, err := net.SplitHostPort(c.host); err == nil {
		c.host = h
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.pollCtx, c.cancelPoll = context.WithCancel(c.ctx)
	c.ended.Add(1)
	return c
}

// ID is unique among the connections of this server.
func (c *Conn) ID() uint64 { return c.id }

// Host is the peer's address without the port, such as 1.2.3.4 or ::1.
func (c *Conn) Host() string { return c.host }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Listener is the name given to Serve.
func (c *Conn) Listener() string { return c.listener }

// Context ends when the connection is closed or the peer has gone.
func (c *Conn) Context() context.Context { return c.ctx }

// PollContext is for the request being served. It ends with Context, when a
// shutdown begins, or when others wait for the memory of this request. Requests
// that wait for something to happen, rather than for their own effect, use it.
func (c *Conn) PollContext() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pollCtx
}

// park notes the request to be served, nil when it has been served; a poll that
// was woken does not concern the next one.
func (c *Conn) park(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parked = x
	if x == nil && c.pollCtx.Err() != nil && !c.draining && c.ctx.Err() == nil {
		c.pollCtx, c.cancelPoll = context.WithCancel(c.ctx)
	}
}

// wake ends the poll of a request that holds memory of b.
func (c *Conn) wake(b *budget) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if x := c.parked; x != nil && (x.grant.from == b || x.work.from == b) {
		c.cancelPoll()
	}
}

// abort closes the connection at once.
func (c *Conn) abort(reason CloseReason) {
	c.mu.Lock()
	if c.reason == 0 {
		c.reason = reason
	}
	c.mu.Unlock()
	c.cancel()
	if t, ok := c.nc.(*net.TCPConn); ok && (reason == ClosedStalledWrite || reason == ClosedStalledRead) {
		t.SetLinger(0) // the kernel, too, keeps nothing for a peer that does not read, and tells it
	}
	c.nc.Close()
}

// drain stops the reader before its next frame; what has been read finishes.
func (c *Conn) drain() {
	c.mu.Lock()
	c.draining = true
	c.cancelPoll()
	c.mu.Unlock()
	c.nc.SetReadDeadline(time.Unix(1, 0))
}

// reasonOf is why the reader stops on err.
func (c *Conn) reasonOf(err error) CloseReason {
	c.mu.Lock()
	draining := c.draining
	c.mu.Unlock()
	var frameSize *frameSizeError
	var weight *weightError
	switch {
	case errors.As(err, &frameSize), errors.As(err, &weight):
		return ClosedFrameSize
	case draining && errors.Is(err, os.ErrDeadlineExceeded):
		return ClosedByShutdown
	case errors.Is(err, errPanicked):
		return ClosedByPanic
	case errors.Is(err, errHandler):
		return ClosedByHandler
	}
	return ClosedByPeer
}

var (
	errPanicked = errors.New("the handler panicked")
	errHandler  = errors.New("the handler closed the connection")
)

// handlerError carries an error of a Handler; it is errHandler.
type handlerError struct{ err error }

func (e *handlerError) Error() string        { return e.err.Error() }
func (e *handlerError) Unwrap() error        { return e.err }
func (e *handlerError) Is(target error) bool { return target == errHandler }

// exchange is one request and its response. It belongs to the reader until
// queued, then to the writer.
type exchange struct {
	frame    *buffer
	grant    grant       // of the frame
	work     grant       // of the weight
	out      wire.Writer // opens with the size
	outCap   int         // of the memory out holds
	deferred bool        // the writer calls Serve
	wait     func() error
	release  func()
}

var exchangePool = sync.Pool{New: func() any { return new(exchange) }}

// outBytesKept is the most a pooled response buffer keeps.
const outBytesKept = 64 << 10

// letGo gives the frame and its budget back: the handler is done with both.
func (x *exchange) letGo() {
	x.grant.release()
	x.work.release()
	if x.frame != nil {
		x.frame.put()
		x.frame = nil
	}
}

// done lets go of everything x holds. clean: nothing of the handler can refer
// to the frame any more; otherwise the frame is left to the garbage collector.
func (c *Conn) done(x *exchange, clean bool) {
	if x.release != nil {
		x.release()
	}
	x.grant.release()
	x.work.release()
	c.mu.Lock()
	c.underWay--
	c.lastActive = c.server.clock.Now()
	c.mu.Unlock()
	if !clean {
		return
	}
	x.letGo()
	x.recycle()
}

func (x *exchange) recycle() {
	x.out.Reset()
	if x.outCap > outBytesKept {
		x.out = wire.Writer{}
	}
	x.outCap, x.frame, x.wait, x.release, x.deferred = 0, nil, nil, nil, false
	x.grant, x.work = grant{}, grant{}
	exchangePool.Put(x)
}

// serve calls the handler's Serve.
func (c *Conn) serve(x *exchange) (err error) {
	defer c.recoverTo(&err)
	x.out.BeginFrame()
	x.wait, x.release, err = c.handler.Serve(x.frame.b, &x.out)
	if err != nil {
		return &handlerError{err}
	}
	return nil
}

// hasResponse reports whether the handler put anything behind the size.
func (x *exchange) hasResponse() bool { return x.out.Len() > 4 }

// finish calls the wait of Serve.
func (c *Conn) finish(x *exchange) (err error) {
	defer c.recoverTo(&err)
	if err = x.wait(); err != nil {
		return &handlerError{err}
	}
	return nil
}

func (c *Conn) recoverTo(err *error) {
	p := recover()
	if p == nil {
		return
	}
	c.server.hooks.Panicked()
	c.server.log.Error("panic in a request", "panic", p, "remote", c.host, "stack", string(debug.Stack()))
	*err = errPanicked
}

// close ends the connection; called by the writer, the last to leave.
func (c *Conn) close() {
	c.cancel()
	c.nc.Close()
	c.handler.Close()
	c.mu.Lock()
	reason := c.reason
	c.mu.Unlock()
	c.server.hooks.Closed(reason)
	c.server.log.Debug("connection closed", "reason", reason, "remote", c.host, "listener", c.listener)
	c.server.forget(c)
}

// isEOF reports whether the peer ended the stream in good order.
func isEOF(err error) bool { return errors.Is(err, io.EOF) }
