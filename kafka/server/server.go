package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/clock"
	"chronik/kafka/wire"
)

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("server closed")

// Handler answers the requests of one connection. Its calls never run at the
// same time, except that wait may run while a later overlapping request is
// served.
type Handler interface {
	// Overlaps reports whether the request may start while earlier
	// overlapping requests wait for their answer. It must be quick.
	Overlaps(frame []byte) bool

	// Weight is the memory in bytes that Serve and the response take at most, the frame and what is spliced
	// apart. Serve is not called before the server has so much to give, or at all if it is more than one request
	// may have. It must be quick.
	Weight(frame []byte) int64

	// Serve handles one request: frame is header and body without the size.
	//
	// A nil wait: the response is in out, or out is empty and there is none.
	// Otherwise the response comes later: wait is called once, from another
	// goroutine, when all earlier responses have been written; it blocks until
	// the response is known, puts it in out and returns. Requests that do not
	// overlap may simply block in Serve.
	//
	// release, if not nil, is called exactly once when nothing of out is
	// needed any more, whatever happened.
	//
	// An error, of Serve or wait, closes the connection without a response to
	// this request, after the responses to earlier ones.
	Serve(frame []byte, out *wire.Writer) (wait func() error, release func(), err error)

	// Close is the last call, when the connection is gone.
	Close()
}

// Limits bound what clients can take. The zero value of a field means its
// default.
type Limits struct {
	FrameBytesMax       int           // socket.request.max.bytes, 100 MiB
	RequestBytesMax     int64         // frames and weights of all requests, 4 times FrameBytesMax
	PendingMax          int           // requests under way a connection, 64
	ConnectionsMax      int           // max.connections, unlimited
	ConnectionsPerIPMax int           // max.connections.per.ip, unlimited
	IdleMax             time.Duration // connections.max.idle.ms, 10 minutes; negative: never
	StallGrace          time.Duration // time a frame or response may take however small, 30 s
}

func (l Limits) withDefaults() Limits {
	if l.FrameBytesMax <= 0 {
		l.FrameBytesMax = 100 << 20
	}
	if l.RequestBytesMax <= 0 {
		l.RequestBytesMax = 4 * int64(l.FrameBytesMax)
	}
	if l.PendingMax <= 0 {
		l.PendingMax = 64
	}
	if l.IdleMax == 0 {
		l.IdleMax = 10 * time.Minute
	}
	if l.StallGrace <= 0 {
		l.StallGrace = 30 * time.Second
	}
	return l
}

// Hooks are called as things happen; any may be nil. They must be quick and
// safe for concurrent use.
type Hooks struct {
	Opened       func()
	Refused      func(reason CloseReason) // a connection was closed at once
	Closed       func(reason CloseReason)
	Received     func(bytes int)          // one frame, its size field included
	Sent         func(bytes int)          // part of a response
	MemoryWaited func(took time.Duration) // a frame had to wait for memory
	Panicked     func()
}

// Options are what a server needs.
type Options struct {
	Open   func(c *Conn) Handler // makes the handler of a new connection
	Clock  clock.Clock           // nil: the real one
	Logger *slog.Logger          // nil: none
	Limits Limits
	Hooks  Hooks
	// Full reports whether the process has no room for the connection that
	// was just accepted, which is then closed (ClosedByFull); nil: never.
	Full func() bool
}

// Server owns listeners and connections.
type Server struct {
	open   func(c *Conn) Handler
	clock  clock.Clock
	log    *slog.Logger
	limits Limits
	hooks  Hooks
	full   func() bool
	small  *budget
	large  *budget
	work   *budget      // of weights
	unsent atomic.Int64 // bytes of responses, spliced ones apart, that are being written

	mu            sync.Mutex
	listeners     map[net.Listener]struct{}
	conns         map[*Conn]struct{}
	perIP         map[string]int
	lastID        uint64
	closing       bool
	sweeper       clock.Timer
	refused       int // connections since refusedLogged
	refusedLogged time.Time
	gone          sync.Cond // a connection went away; of mu
}

// New returns a server that listens nowhere yet.
func New(o Options) *Server {
	l := o.Limits.withDefaults()
	s := &Server{
		open: o.Open, clock: o.Clock, log: o.Logger, limits: l, hooks: o.Hooks, full: o.Full,
		small:     &budget{limit: l.RequestBytesMax / 8},
		large:     &budget{limit: l.RequestBytesMax - l.RequestBytesMax/8 - l.RequestBytesMax/4},
		work:      &budget{limit: l.RequestBytesMax / 4},
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*Conn]struct{}),
		perIP:     make(map[string]int),
	}
	s.gone.L = &s.mu
	if s.clock == nil {
		s.clock = clock.Real
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.full == nil {
		s.full = func() bool { return false }
	}
	s.hooks.fill()
	s.mu.Lock()
	s.sweeper = s.clock.AfterFunc(sweepInterval, s.sweep)
	s.mu.Unlock()
	return s
}

func (h *Hooks) fill() {
	if h.Opened == nil {
		h.Opened = func() {}
	}
	if h.Refused == nil {
		h.Refused = func(CloseReason) {}
	}
	if h.Closed == nil {
		h.Closed = func(CloseReason) {}
	}
	if h.Received == nil {
		h.Received = func(int) {}
	}
	if h.Sent == nil {
		h.Sent = func(int) {}
	}
	if h.MemoryWaited == nil {
		h.MemoryWaited = func(time.Duration) {}
	}
	if h.Panicked == nil {
		h.Panicked = func() {}
	}
}

// RequestBytes is the memory of requests now, frames and weights,, and the most it ever was.
func (s *Server) RequestBytes() (used, peak int64) {
	su, sp := s.small.usage()
	lu, lp := s.large.usage()
	wu, wp := s.work.usage()
	return su + lu + wu, sp + lp + wp
}

// RequestBytesMax is the limit of RequestBytes.
func (s *Server) RequestBytesMax() int64 { return s.limits.RequestBytesMax }

// Connections is the number of open connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Serve accepts connections from l, which it closes in the end, and calls
// them by the listener's name. It returns ErrServerClosed after Shutdown, or
// the error of Accept.
func (s *Server) Serve(l net.Listener, name string) error {
	defer l.Close()
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	for delay := time.Duration(0); ; {
		nc, err := l.Accept()
		if err == nil {
			delay = 0
			s.Accept(nc, name)
			continue
		}
		if s.isClosing() {
			return ErrServerClosed
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		// Most likely out of file descriptors: connections that close help.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		s.log.Warn("cannot accept", "listener", name, "err", err, "retry_in", delay)
		s.sleep(delay)
	}
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *Server) sleep(d time.Duration) {
	done := make(chan struct{})
	s.clock.AfterFunc(d, func() { close(done) })
	<-done
}

// Accept takes over one connection, or closes it if a limit says so.
func (s *Server) Accept(nc net.Conn, listener string) {
	c := s.newConn(nc, listener)
	if reason, ok := s.admit(c); !ok {
		nc.Close()
		s.noteRefusal(reason, c.host)
		s.hooks.Refused(reason)
		return
	}
	s.hooks.Opened()
	c.handler = s.open(c)
	go c.readLoop()
	go c.writeLoop()
}

// refusalsLoggedEvery is the time between two lines about refused connections.
const refusalsLoggedEvery = time.Minute

// noteRefusal logs the first refusal, and then once in a while how many came.
func (s *Server) noteRefusal(reason CloseReason, host string) {
	if reason == ClosedByShutdown {
		return
	}
	now := s.clock.Now()
	s.mu.Lock()
	s.refused++
	n, due := s.refused, s.refusedLogged.IsZero() || now.Sub(s.refusedLogged) >= refusalsLoggedEvery
	if due {
		s.refused, s.refusedLogged = 0, now
	}
	s.mu.Unlock()
	if due {
		s.log.Warn("connections refused", "reason", reason, "count", n, "last", host, "open", s.Connections())
	}
}

// admit registers c unless a limit forbids it.
func (s *Server) admit(c *Conn) (CloseReason, bool) {
	full := s.full()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch l := s.limits; {
	case s.closing:
		return ClosedByShutdown, false
	case l.ConnectionsMax > 0 && len(s.conns) >= l.ConnectionsMax,
		l.ConnectionsPerIPMax > 0 && s.perIP[c.host] >= l.ConnectionsPerIPMax:
		return ClosedByLimit, false
	case full:
		return ClosedByFull, false
	}
	s.lastID++
	c.id = s.lastID
	s.conns[c] = struct{}{}
	s.perIP[c.host]++
	return 0, true
}

// forget is called when both goroutines of c have ended.
func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	if s.perIP[c.host]--; s.perIP[c.host] == 0 {
		delete(s.perIP, c.host)
	}
	s.gone.Broadcast()
	s.mu.Unlock()
}

// Shutdown stops accepting, lets every request that has been read finish,
// wakes long polls (see Conn.PollContext) and closes the connections. When ctx
// ends first it closes them at once and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.sweeper.Stop()
	for l := range s.listeners {
		l.Close()
	}
	conns := s.connsLocked()
	s.mu.Unlock()
	for _, c := range conns {
		c.drain()
	}
	gaveUp := false
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		gaveUp = len(s.conns) > 0
		s.gone.Broadcast()
		s.mu.Unlock()
		for _, c := range conns {
			c.abort(ClosedByShutdown)
		}
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.conns) > 0 && !gaveUp {
		s.gone.Wait()
	}
	if gaveUp {
		return ctx.Err()
	}
	return nil
}

func (s *Server) connsLocked() []*Conn {
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}
