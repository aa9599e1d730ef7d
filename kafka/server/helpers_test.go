package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"chronik/internal/clock"
	"chronik/kafka/wire"
)

const patience = 20 * time.Second

// toy is a handler with a protocol of one letter and an argument:
//
//	e<text>  answered with text
//	p<text>  overlaps; answered with text once test.unlock(text) was called
//	q<text>  overlaps; answered with text at once
//	0<text>  overlaps; no answer
//	l<text>  parks until PollContext ends, then answers text
//	s        answers 3 MiB of spliced bytes
//	R        answers 8 MiB of bytes that are memory of the response
//	x        error    !  panic   w  panic in wait
type toy struct {
	t    *testTool
	conn *Conn
}

// testTool runs a server and watches what its handlers do.
type testTool struct {
	*testing.T
	server *Server
	clock  *clock.Manual
	addr   string
	weight func(frame []byte) int64 // nil: nothing

	mu       sync.Mutex
	changed  sync.Cond
	events   []string
	unlocked map[string]chan struct{}
	releases map[string]int
	closed   map[CloseReason]int
	handlers int // closed
	panics   int
	opened   int
}

func (t *testTool) note(format string, args ...any) {
	t.mu.Lock()
	t.events = append(t.events, fmt.Sprintf(format, args...))
	t.changed.Broadcast()
	t.mu.Unlock()
}

// until waits for cond, which is called with t.mu held, after every change.
func (t *testTool) until(what string, cond func() bool) {
	t.Helper()
	deadline := time.AfterFunc(patience, func() {
		t.mu.Lock()
		t.changed.Broadcast()
		t.mu.Unlock()
	})
	defer deadline.Stop()
	end := time.Now().Add(patience)
	t.mu.Lock()
	defer t.mu.Unlock()
	for !cond() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s; events %q, closed %v", what, t.events, t.closed)
		}
		t.changed.Wait()
	}
}

// poll waits for cond, trying every millisecond.
func poll(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// count is how many connections match.
func (t *testTool) count(match func(c *Conn) bool) (n int) {
	t.server.mu.Lock()
	conns := t.server.connsLocked()
	t.server.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		if match(c) {
			n++
		}
		c.mu.Unlock()
	}
	return n
}

// untilUnderWay waits until n connections have a request under way.
func (t *testTool) untilUnderWay(n int) {
	t.Helper()
	poll(t, fmt.Sprintf("%d busy connections", n), func() bool {
		return t.count(func(c *Conn) bool { return c.underWay > 0 }) == n
	})
}

// untilReading waits until n connections are in the middle of a frame.
func (t *testTool) untilReading(n int) {
	t.Helper()
	poll(t, fmt.Sprintf("%d half frames", n), func() bool {
		return t.count(func(c *Conn) bool { return c.reading.active }) == n
	})
}

// untilHeld waits until the budget holds exactly n bytes.
func (t *testTool) untilHeld(n int64) {
	t.Helper()
	poll(t, fmt.Sprintf("%d bytes held", n), func() bool {
		used, _ := t.server.RequestBytes()
		return used == n
	})
}

// untilWriting waits until a write has made no progress for a while.
func (t *testTool) untilWriting() {
	t.Helper()
	last, same := int64(-1), 0
	poll(t, "a write that is stuck", func() bool {
		var at int64
		stuck := t.count(func(c *Conn) bool {
			at += c.writing.bytes
			return c.writing.active
		})
		if stuck == 0 || at != last {
			last, same = at, 0
		}
		same++
		return same > 100
	})
}

func (t *testTool) untilEvent(e string) {
	t.Helper()
	t.until("event "+e, func() bool {
		for _, have := range t.events {
			if have == e {
				return true
			}
		}
		return false
	})
}

func (t *testTool) untilClosed(r CloseReason, n int) {
	t.Helper()
	t.until(fmt.Sprintf("%d closed by %v", n, r), func() bool { return t.closed[r] == n })
}

func (t *testTool) gate(name string) chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unlocked[name] == nil {
		t.unlocked[name] = make(chan struct{})
	}
	return t.unlocked[name]
}

func (t *testTool) unlock(name string) { close(t.gate(name)) }

func (h *toy) Overlaps(frame []byte) bool {
	if len(frame) == 0 {
		return false
	}
	switch frame[0] {
	case 'p', 'q', '0', 'w', 'X':
		return true
	}
	return false
}

func (h *toy) Weight(frame []byte) int64 {
	if h.t.weight == nil {
		return 0
	}
	return h.t.weight(frame)
}

var errToy = errors.New("toy error")

func (h *toy) Serve(frame []byte, out *wire.Writer) (wait func() error, release func(), err error) {
	if len(frame) == 0 {
		return nil, nil, errToy
	}
	op, arg := frame[0], frame[1:]
	name := string(arg[:min(len(arg), 20)])
	h.t.note("serve %c%s", op, name)
	defer h.t.note("served %c%s", op, name)
	release = func() {
		h.t.mu.Lock()
		h.t.releases[string(op)+name]++
		h.t.mu.Unlock()
	}
	switch op {
	case 'e', 'q':
		out.Raw(arg)
	case 'p':
		wait = func() error {
			select {
			case <-h.t.gate(name):
				out.Raw(arg)
				return nil
			case <-h.conn.Context().Done():
				return h.conn.Context().Err()
			}
		}
	case 'w':
		wait = func() error { panic("toy panic in wait") }
	case 'l':
		<-h.conn.PollContext().Done()
		out.Raw(arg)
	case 's':
		out.Splice([][]byte{make([]byte, 1<<20), make([]byte, 2<<20)})
	case 'R':
		out.Raw(make([]byte, 8<<20))
	case 'x', 'X':
		return nil, release, errToy
	case '!':
		panic("toy panic")
	}
	return wait, release, nil
}

func (h *toy) Close() {
	h.t.mu.Lock()
	h.t.handlers++
	h.t.changed.Broadcast()
	h.t.mu.Unlock()
}

// start runs a server with these limits on a loopback port.
func start(t *testing.T, l Limits, change ...func(*Options)) *testTool {
	t.Helper()
	tool := &testTool{
		T: t, clock: clock.NewManual(time.Unix(1_700_000_000, 0)),
		unlocked: map[string]chan struct{}{}, releases: map[string]int{}, closed: map[CloseReason]int{},
	}
	tool.changed.L = &tool.mu
	count := func(n *int) func() {
		return func() {
			tool.mu.Lock()
			*n++
			tool.changed.Broadcast()
			tool.mu.Unlock()
		}
	}
	closed := func(r CloseReason) {
		tool.mu.Lock()
		tool.closed[r]++
		tool.changed.Broadcast()
		tool.mu.Unlock()
	}
	o := Options{
		Open:   func(c *Conn) Handler { return &toy{t: tool, conn: c} },
		Clock:  tool.clock,
		Logger: slog.New(slog.DiscardHandler),
		Limits: l,
		Hooks: Hooks{
			Opened:   count(&tool.opened),
			Panicked: count(&tool.panics),
			Closed:   closed,
			Refused:  closed,
		},
	}
	for _, f := range change {
		f(&o)
	}
	tool.server = New(o)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tool.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- tool.server.Serve(ln, "PLAINTEXT") }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		tool.mu.Lock()
		for name, gate := range tool.unlocked { // whatever a test left waiting
			select {
			case <-gate:
			default:
				close(gate)
			}
			_ = name
		}
		tool.mu.Unlock()
		if err := tool.server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve returned %v, want ErrServerClosed", err)
		}
		if used, _ := tool.server.RequestBytes(); used != 0 {
			t.Errorf("%d bytes of budget are still held", used)
		}
	})
	return tool
}

// client is one end of a connection.
type client struct {
	t *testTool
	net.Conn
}

func (t *testTool) dial() *client {
	t.Helper()
	nc, err := net.Dial("tcp", t.addr)
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { nc.Close() })
	return &client{t, nc}
}

func frame(payload string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

func (c *client) send(payloads ...string) {
	c.t.Helper()
	var all []byte
	for _, p := range payloads {
		all = append(all, frame(p)...)
	}
	if _, err := c.Write(all); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

func (c *client) recv() string {
	c.t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		c.t.Fatalf("recv: %v", err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, body); err != nil {
		c.t.Fatalf("recv body: %v", err)
	}
	return string(body)
}

func (c *client) wantRecv(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.recv(); got != w {
			c.t.Fatalf("received %.40q, want %.40q", got, w)
		}
	}
}

// wantEOF reads until the server has closed; nothing may come before.
func (c *client) wantEOF() {
	c.t.Helper()
	n, err := c.Read(make([]byte, 1))
	if n != 0 || err == nil {
		c.t.Fatalf("received %d bytes, want the connection closed", n)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatal("the connection was not closed")
	}
}

// lockedBuffer takes what a logger writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
