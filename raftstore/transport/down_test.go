package transport

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chronik/internal/clock"
)

func (n *testNode) downs() []uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.down)
}

func (n *testNode) reports() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.unreachable)
}

// TestPeerProcess is no test: it is the process that others kill. It listens at
// the address it is given and runs node 2 until its input ends.
func TestPeerProcess(t *testing.T) {
	addr := os.Getenv("TRANSPORT_PEER")
	if addr == "" {
		t.Skip("run by other tests")
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	n := newTestNode(2, nil)
	go func() { _ = n.Serve(ln) }()
	fmt.Println("listening", ln.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// process starts node 2 as a process of its own.
func process(t *testing.T, addr string) (p *exec.Cmd, at string) {
	t.Helper()
	p = exec.Command(os.Args[0], "-test.run=^TestPeerProcess$")
	p.Env = append(os.Environ(), "TRANSPORT_PEER="+addr)
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = p.Process.Kill(); _ = p.Wait() })
	r := bufio.NewScanner(out)
	for r.Scan() {
		if addr, ok := strings.CutPrefix(r.Text(), "listening "); ok {
			return p, addr
		}
	}
	t.Fatalf("the process did not start: %v", r.Err())
	return nil, ""
}

// TestKilledProcessIsDown: the end of a process is told once, each time it ends,
// and the process that follows it is found.
func TestKilledProcessIsDown(t *testing.T) {
	n := startNode(t, 1, nil)
	addr := "127.0.0.1:0"
	for life := 1; life <= 3; life++ {
		var p *exec.Cmd
		p, addr = process(t, addr)
		n.SetPeer(2, addr)
		until(t, "the connection", func() bool { return n.connectedTo(2) })
		if got := len(n.downs()); got != life-1 {
			t.Fatalf("life %d: Down was called %d times", life, got)
		}
		if err := p.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		until(t, "Down", func() bool { return len(n.downs()) >= life })
		_ = p.Wait()
		until(t, "the loss of the connection", func() bool { return !n.connectedTo(2) && n.reports() > 0 })
	}
	if got := n.downs(); !slices.Equal(got, []uint64{2, 2, 2}) {
		t.Errorf("Down of %v, want three times node 2", got)
	}
}

// TestClosedTransportIsDown: a process that ends in order is gone, too.
func TestClosedTransportIsDown(t *testing.T) {
	a, b := pair(t, nil)
	until(t, "the connections", func() bool { return a.connectedTo(2) && b.connectedTo(1) })
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	until(t, "Down", func() bool { return len(a.downs()) > 0 })
	if got := a.downs(); !slices.Equal(got, []uint64{2}) {
		t.Errorf("Down of %v", got)
	}
	until(t, "its address refuses, so that it is gone", func() bool { return a.Gone(2) })
}

// TestBrokenConnectionIsNotDown: the process is there and takes the next one.
func TestBrokenConnectionIsNotDown(t *testing.T) {
	a, b := pair(t, nil)
	for range 5 {
		until(t, "the connection", func() bool { return a.connectedTo(2) })
		before := a.peer(2).small.current()
		b.Transport.mu.RLock()
		for c := range b.inbound {
			if c.node == 1 {
				c.fail(net.ErrClosed)
			}
		}
		b.Transport.mu.RUnlock()
		until(t, "another connection", func() bool { c := a.peer(2).small.current(); return c != nil && c != before })
	}
	until(t, "Unreachable", func() bool { return a.reports() > 0 })
	if got := a.downs(); len(got) != 0 {
		t.Errorf("Down of %v", got)
	}
}

// cable joins nodes by connections that can be cut: what is written goes
// nowhere, nothing arrives, and dialing hangs.
type cable struct {
	refuses bool // dialing, while it is cut, instead of hanging

	mu  sync.Mutex
	cut bool
}

func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
}

func (c *cable) isCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut
}

func (c *cable) dial(ctx context.Context, addr string) (net.Conn, error) {
	if c.isCut() && c.refuses {
		return nil, syscall.ECONNREFUSED
	}
	if c.isCut() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &cableConn{Conn: nc, cable: c, closed: make(chan struct{})}, nil
}

type cableConn struct {
	net.Conn
	cable  *cable
	closed chan struct{}
	once   sync.Once
}

func (c *cableConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.cable.isCut() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *cableConn) Write(p []byte) (int, error) {
	if c.cable.isCut() {
		return len(p), nil // the socket's buffer takes it
	}
	return c.Conn.Write(p)
}

func (c *cableConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestCutLinkIsNotDown: a connection that has become silent is closed after a
// while, which makes the node unreachable, not Down, not even if something on
// the way refuses; and when the link is back, so is the connection.
func TestCutLinkIsNotDown(t *testing.T) {
	t.Run("hangs", func(t *testing.T) { testCutLink(t, &cable{}) })
	t.Run("refuses", func(t *testing.T) { testCutLink(t, &cable{refuses: true}) })
}

func testCutLink(t *testing.T, wire *cable) {
	clk := clock.NewManual(time.Unix(1000, 0))
	b := startNode(t, 2, nil)
	a := startNode(t, 1, func(o *Options) { o.Clock, o.Dial = clk, wire.dial })
	a.SetPeer(2, b.addr)
	until(t, "the connection", func() bool { return a.connectedTo(2) })
	// Time goes on, and pings are answered.
	for range 20 {
		heard := a.Peers()[0].LastHeard
		clk.Advance(tickInterval)
		until(t, "a pong", func() bool { return a.Peers()[0].LastHeard.After(heard) })
	}
	if !a.connectedTo(2) || a.reports() != 0 {
		t.Fatalf("a connection that is answered was lost: %+v", a.Peers())
	}
	wire.set(true)
	cutAt := clk.Now()
	if a.Gone(2) || a.Gone(9) {
		t.Error("a node that is connected, or not known, is gone")
	}
	until(t, "the end of the connection", func() bool { clk.Advance(100 * time.Millisecond); return !a.connectedTo(2) })
	until(t, "being taken for gone", func() bool { clk.Advance(100 * time.Millisecond); return a.Gone(2) })
	if took := clk.Now().Sub(cutAt); took < silenceMax {
		t.Errorf("closed after %v of silence", took)
	}
	a.Send(1, slices.Repeat(oneHeartbeat(1, 2), 3))
	until(t, "Unreachable", func() bool { clk.Advance(100 * time.Millisecond); return a.reports() > 0 })
	wire.set(false)
	until(t, "the connection", func() bool { clk.Advance(100 * time.Millisecond); return a.connectedTo(2) })
	if got := a.downs(); len(got) != 0 || a.Gone(2) {
		t.Errorf("Down of %v, gone %v", got, a.Gone(2))
	}
}

// TestSilentDialerIsClosed: what was accepted, and is no longer pinged, goes too.
func TestSilentDialerIsClosed(t *testing.T) {
	clk := clock.NewManual(time.Unix(1000, 0))
	b := startNode(t, 2, func(o *Options) { o.Clock = clk })
	nc := rawPeer(t, b, 1, 1)
	closed := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, nc); close(closed) }()
	until(t, "the end of the connection", func() bool {
		clk.Advance(100 * time.Millisecond)
		select {
		case <-closed:
			return true
		default:
			return false
		}
	})
	if took := clk.Now().Sub(time.Unix(1000, 0)); took < silenceMax {
		t.Errorf("closed after %v of silence", took)
	}
	// And one that does not even say hello.
	start := clk.Now()
	nc, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	closed = make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, nc); close(closed) }()
	until(t, "the end of the hello", func() bool {
		clk.Advance(100 * time.Millisecond)
		select {
		case <-closed:
			return true
		default:
			return false
		}
	})
	if took := clk.Now().Sub(start); took < openTimeout {
		t.Errorf("closed %v after it was opened", took)
	}
}
